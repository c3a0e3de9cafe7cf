import numpy as np
import pytest
from qdrant_client import models


def test_review_lists_the_least_confident_first(filled, encoder, corpus):
    texts, labels = corpus
    items = filled.review(kind="ambiguous", limit=7)
    confidence = encoder.encode(texts).confidence
    np.testing.assert_allclose([item.confidence for item in items], np.sort(confidence)[:7], atol=1e-5)
    for item in items:
        i = texts.index(item.text)
        assert (item.id, item.label, item.payload) == (f"d{i}", labels[i], {"parity": i % 2})
        assert "groups" in item.reason


def test_review_takes_a_filter_and_refuses_nonsense(filled):
    card = models.Filter(must=[models.FieldCondition(key="fg.label", match=models.MatchValue(value="card"))])
    assert {item.label for item in filled.review(query_filter=card)} == {"card"}
    with pytest.raises(ValueError, match="kind"):
        filled.review(kind="funny")
    with pytest.raises(ValueError, match="limit"):
        filled.review(limit=0)

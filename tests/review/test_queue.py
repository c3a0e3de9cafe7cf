import numpy as np
import pytest
from engines import in_strict_mode_too
from qdrant_client import models


@in_strict_mode_too("filled")
def test_review_lists_the_least_confident_first(filled, encoder, corpus):
    texts, labels = corpus
    items = filled.review(kind="ambiguous", limit=7)
    confidence = encoder.encode(texts).confidence
    np.testing.assert_allclose([item.confidence for item in items], np.sort(confidence)[:7], atol=1e-5)
    for item in items:
        i = texts.index(item.text)
        assert (item.id, item.label, item.payload) == (f"d{i}", labels[i], {"parity": i % 2})
        assert "groups" in item.reason


@in_strict_mode_too("filled")
def test_review_takes_a_filter_and_refuses_nonsense(filled):
    card = models.Filter(must=[models.FieldCondition(key="fg.label", match=models.MatchValue(value="card"))])
    assert {item.label for item in filled.review(query_filter=card)} == {"card"}
    with pytest.raises(ValueError, match="kind"):
        filled.review(kind="funny")
    with pytest.raises(ValueError, match="limit"):
        filled.review(limit=0)


@in_strict_mode_too("index")
def test_items_that_somebody_was_unsure_of_are_a_list(own):
    first, second, third = own.review(limit=3)
    own.decide(second.id, "unsure", reviewer="Ada")
    own.decide(first.id, "unsure", reviewer="Ben")
    own.decide(third.id, "keep")
    left = own.review(kind="unsure")
    assert [item.id for item in left] == [first.id, second.id]  # the least confident first
    assert [item.reason.split(" was not sure; ")[0] for item in left] == ["Ben", "Ada"]
    assert [item.kind for item in left] == ["unsure"] * 2
    assert left[0].score == pytest.approx(1 - first.confidence)
    assert own.review(kind="unsure", min_score=left[0].score, offset=1) == []
    assert not {first.id, second.id} & {item.id for item in own.review(limit=100)}
    assert own.review(kind="unsure", evidence=2, diverse=True)[0].contradicting
    own.decide(first.id, "keep")
    assert [item.id for item in own.review(kind="unsure")] == [second.id]
    own.undo()
    assert [item.id for item in own.review(kind="unsure")] == [first.id, second.id]


def test_unfamiliar_items_are_listed_the_least_familiar_first(own, encoder):
    own.add(["quantum chromodynamics", "volcano basalt", "zebra"], ids=["a", "b", "c"])
    own.add(["my help with the"], ids=["d"])
    listed = own.review(kind="unfamiliar", limit=4)
    familiarity = encoder.encode([item.text for item in listed]).familiarity
    assert {item.id for item in listed[:3]} == {"a", "b", "c"}
    assert listed[3].id == "d"
    assert (np.diff(familiarity) >= 0).all()
    np.testing.assert_allclose([item.score for item in listed], 1 - familiarity, atol=1e-5)
    assert "0% of the examples are less familiar" in listed[0].reason
    strangest = own.review(kind="unfamiliar", min_score=0.9999)
    assert {item.id for item in strangest} == {item.id for item in listed if item.score >= 0.9999}
    hit = own.search("my card is stolen").hits[0]
    assert hit.familiarity == pytest.approx(encoder.encode([hit.text]).familiarity[0], abs=1e-5)

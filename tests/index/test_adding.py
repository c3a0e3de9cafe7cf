import numpy as np
import pytest

from fg_search import ConfidenceIndex, FeatureEmbeddings, FeatureGroupEncoder
from fg_search.errors import (
    ModelMismatchError,
)

QUESTION = "please help my card is stolen"


def test_points_carry_vectors_confidence_and_the_users_own_payload(filled, encoder, corpus, points_of):
    texts, labels = corpus
    expected = encoder.encode(texts)
    stored = points_of(filled)
    assert len(stored) == len(texts) == len(filled)
    for i, text in enumerate(texts):
        payload = stored[f"d{i}"].payload
        features = payload["fg"]
        assert payload["parity"] == i % 2
        assert features["text"] == text
        assert features["label"] == labels[i]
        assert features["model"] == encoder.fingerprint
        assert features["confidence"] == pytest.approx(expected.confidence[i], abs=1e-6)
        assert features["codes"] == expected.codes[i].tolist()
        np.testing.assert_allclose(features["groups"], expected.group_confidence[i], atol=6e-5)
        sparse = stored[f"d{i}"].vector["features"]
        dense = np.zeros(12)
        dense[sparse.indices] = sparse.values
        np.testing.assert_allclose(dense, expected.sparse()[[i]].toarray()[0], atol=1e-6)
        base = expected.base[i] / np.linalg.norm(expected.base[i])
        np.testing.assert_allclose(stored[f"d{i}"].vector["base"], base, atol=1e-5)


def test_adding_twice_is_adding_once(filled, corpus, points_of):
    texts, labels = corpus
    before = points_of(filled)
    filled.add(
        texts,
        ids=[f"d{i}" for i in range(len(texts))],
        labels=labels,
        payloads=[{"parity": i % 2} for i in range(len(texts))],
    )
    after = points_of(filled)
    assert {key: point.payload for key, point in after.items()} == {key: point.payload for key, point in before.items()}


def test_without_ids_the_same_text_is_the_same_item(index):
    assert index.add(["my card", "my loan", "my card"]).written == 2
    index.add(["my card"], labels=["card"])
    assert len(index) == 2
    assert index.search("my card", limit=1).hits[0].label == "card"


def test_any_int_or_string_is_an_id_and_comes_back_as_it_was(index):
    ids = [0, 2**64 - 1, -5, "7", "a/b c", "0d2a8f8c-7a3a-4a56-9a8f-3f7a9e1b2c4d", "ünïcode", -(2**63)]
    texts = ["my card", "my loan", "my flight", "my pizza", "the card", "the loan", "the flight", "the pizza"]
    index.add(texts, ids=ids)
    assert {item.text: item.id for item in index.review(limit=20)} == dict(zip(texts, ids, strict=True))


def test_precomputed_embeddings_give_the_same_points(encoder, corpus, points_of):
    texts, _ = corpus
    with ConfidenceIndex(":memory:", encoder) as first, ConfidenceIndex(":memory:", encoder) as second:
        first.add(texts)
        second.add(texts, embeddings=encoder.encode(texts))
        one, two = points_of(first), points_of(second)
        assert {k: p.payload["fg"]["codes"] for k, p in one.items()} == {
            k: p.payload["fg"]["codes"] for k, p in two.items()
        }


def test_many_writes_give_the_same_index_as_one(encoder, monkeypatch, corpus, points_of):
    texts, _ = corpus
    with ConfidenceIndex(":memory:", encoder) as whole, ConfidenceIndex(":memory:", encoder) as parts:
        whole.add(texts)
        monkeypatch.setattr("fg_search.index.adding.ITEMS_PER_WRITE", 7)
        parts.add(texts)
        assert points_of(whole).keys() == points_of(parts).keys()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": ["fine", ""]}, ValueError, r"texts\[1\] is empty"),
        ({"texts": ["fine", None]}, TypeError, r"texts\[1\] is missing"),
        ({"texts": "fine"}, TypeError, "wrap it"),
        ({"texts": ["a", "b"], "ids": [1]}, ValueError, "ids has 1 items, texts has 2"),
        ({"texts": ["a", "b"], "ids": [1, 1.5]}, TypeError, r"ids\[1\]"),
        ({"texts": ["a", "b"], "ids": [1, True]}, TypeError, r"ids\[1\]"),
        ({"texts": ["a", "b"], "ids": [1, 2**64]}, ValueError, r"ids\[1\].*64 bits"),
        ({"texts": ["a", "b"], "ids": ["x", "x"]}, ValueError, "items 0 and 1 share the id 'x'"),
        ({"texts": ["a", "a"], "labels": ["x", "y"]}, ValueError, r"texts\[0\] and texts\[1\] are the same text"),
        ({"texts": ["a", "b"], "labels": ["x", ""]}, ValueError, r"labels\[1\] is empty"),
        ({"texts": ["a", "b"], "labels": ["x", 3]}, TypeError, r"labels\[1\] is int"),
        ({"texts": ["a", "b"], "payloads": [{}, {"fg": 1}]}, ValueError, r"payloads\[1\] uses the key 'fg'"),
        ({"texts": ["a", "b"], "payloads": [{}, {"x": {1, 2}}]}, ValueError, r"payloads\[1\] cannot be stored as JSON"),
        ({"texts": ["a", "b"], "payloads": [{}, {"x": float("nan")}]}, ValueError, r"payloads\[1\]"),
        ({"texts": ["a", "b"], "payloads": [{}, [1]]}, TypeError, r"payloads\[1\] is list"),
    ],
)
def test_a_bad_item_is_named_and_nothing_is_written(filled, arguments, error, message):
    before = len(filled)
    with pytest.raises(error, match=message):
        filled.add(**arguments)
    assert len(filled) == before


def test_embeddings_of_another_shape_are_refused(filled, encoder, tiny_model, corpus):
    texts, labels = corpus
    with pytest.raises(ValueError, match="embeddings has 2 items, texts has 1"):
        filled.add(["a"], embeddings=encoder.encode(["a", "b"]))
    wide = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=5, hidden=8, steps=2)
    with pytest.raises(ModelMismatchError, match=r"\(24, 2, 5\), this index needs \(24, 4, 3\)"):
        filled.add(["a"], embeddings=wide.encode(["a"]))


def test_broken_or_foreign_embeddings_are_refused_before_anything_is_written(filled, encoder, other_encoder, corpus):
    texts, _ = corpus
    good = encoder.encode(texts)
    base, probabilities = good.base.copy(), good.probabilities * 7
    base[40, 3] = np.inf
    with pytest.raises(ValueError, match=r"embeddings\.base\[40\] holds NaN or infinite"):
        filled.add(texts, embeddings=FeatureEmbeddings(base, good.probabilities))
    with pytest.raises(ValueError, match=r"embeddings\.probabilities\[0\] is no distribution"):
        filled.add(texts, embeddings=FeatureEmbeddings(good.base, probabilities))
    with pytest.raises(ModelMismatchError, match=other_encoder.fingerprint):
        filled.add(texts, embeddings=other_encoder.encode(texts))
    with pytest.raises(ModelMismatchError, match=other_encoder.fingerprint):
        filled.search_many(texts, embeddings=other_encoder.encode(texts)[:])
    assert len(filled) == 48


def test_labels_may_be_an_array(index, corpus):
    texts, labels = corpus
    index.add(texts, labels=np.array(labels))
    assert index.info().labelled == 48
    assert index.search(QUESTION, limit=1).hits[0].label == "card"


def test_ids_that_spell_one_uuid_differently_are_two(index):
    index.add(["my card", "my loan"], ids=["A" * 32, "a" * 32])
    assert len(index) == 2

"""An index of vectors that somebody brings along, and searches of it by vectors."""

import asyncio
import logging

import numpy as np
import pytest
import torch
from qdrant_client import models

from fg_search import AsyncConfidenceIndex, BroughtVectors, ConfidenceIndex, FeatureGroupEncoder
from fg_search.errors import NoEmbedderError

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 60}


@pytest.fixture(scope="module")
def base(encoder, corpus, questions):
    """Vectors of the items, vectors of questions, and the labels of their answers."""
    texts, right = questions(120, 5)
    return encoder.embed(corpus[0]), encoder.embed(texts), right


@pytest.fixture(scope="module")
def brought(base, corpus):
    return FeatureGroupEncoder(BroughtVectors(24, "words")).fit(vectors=base[0], labels=corpus[1], **SIZES)


@pytest.fixture
def index(brought, base, corpus):
    with ConfidenceIndex(":memory:", brought) as index:
        index.add(corpus[0], ids=range(48), labels=corpus[1], vectors=base[0])
        yield index


def test_searches_by_vector_are_those_by_text(encoder, corpus, base, questions, local):
    texts, _ = questions(120, 5)
    local.add(corpus[0], labels=corpus[1], vectors=base[0])
    assert local.add(corpus[0], labels=corpus[1], vectors=base[0]).unchanged == 48
    expected = local.search_many(texts, limit=3)
    assert local.search_many(texts, vectors=base[1], limit=3) == expected
    nameless = local.search_many(vectors=base[1], limit=3)
    assert [result.hits for result in nameless] == [result.hits for result in expected]
    assert nameless[1].query == "(vector 2)"
    assert local.search(texts[0], vector=base[1][0], limit=3) == expected[0]
    for given in (base[1][0].tolist(), torch.from_numpy(base[1][0]).requires_grad_()):
        assert local.search(vector=given, limit=3).hits == expected[0].hits
    two = local.search(texts[:2], limit=3)
    assert local.search(texts[:2], vector=base[1][:2], limit=3) == two
    groups = local.search_groups(texts[0], group_by="fg.label")
    assert local.search_groups(texts[0], vector=base[1][0], group_by="fg.label") == groups
    assert local.search_groups(vector=base[1][0], group_by="fg.label").groups == groups.groups


def test_everything_goes_without_a_model(index, base, corpus, tmp_path, brought):
    _, asked, right = base
    calibration = index.calibrate(vectors=asked[:80], relevant=right[:80])
    assert calibration.queries == 80
    found = index.evaluate(vectors=asked[80:], relevant=right[80:])
    assert len(found.outcomes.correct) == 40
    assert "length" not in found.outcomes.attributes
    assert index.adapt(vectors=asked).share is not None
    assert index.check_traffic(vectors=asked).reason
    result = index.search(vector=base[0][0], target_precision=0.8)
    assert result.confidence is not None
    with pytest.raises(NoEmbedderError, match="nothing embeds texts here, such as 'my card'"):
        index.search("my card")
    with pytest.raises(NoEmbedderError):
        index.add(["my card"])
    assert index.count() == 48
    refitted = index.refit(tmp_path / "refitted")
    assert refitted.base_fingerprint == brought.base_fingerprint
    assert index.search(vector=base[0][0]).hits


def test_vectors_that_were_learned_from_are_no_judged_queries(index, base, corpus, caplog):
    asked = np.concatenate([base[1][:80], base[0][:5]])
    with caplog.at_level(logging.WARNING):
        calibration = index.calibrate(vectors=asked, relevant=[*base[2][:80], *corpus[1][:5]])
    assert calibration.queries == 80
    assert "5 of 85 queries are left out" in caplog.text


def test_ids_are_shown_where_there_are_no_texts(brought, base):
    with ConfidenceIndex(":memory:", brought) as index:
        assert index.add(vectors=base[0], ids=(f"item-{i}" for i in range(48))).written == 48
        hit = index.search(vector=base[0][7], rank_by="base").hits[0]
        assert (hit.id, hit.text) == ("item-7", "item-7")
        changed = base[0] * np.where(np.arange(48) == 7, -1, 1)[:, None]
        assert index.add(vectors=changed, ids=[f"item-{i}" for i in range(48)]).written == 1
        with pytest.raises(ValueError, match=r"vectors alone do not say what they are of; give texts, or ids=…"):
            index.add(vectors=base[0])
        with pytest.raises(ValueError, match="there is nothing to add; give texts, or vectors=… and ids=…"):
            index.add()


def test_queries_without_a_text_are_not_logged(index, base):
    index.log_queries("all")
    index.search(vector=base[1][0])
    index.search_many(vectors=base[1][:3])
    assert index.logged_queries(only_open=False) == []
    index.search_many(["one", "two"], vectors=base[1][:2])
    assert {query.text for query in index.logged_queries(only_open=False)} == {"one", "two"}


def test_a_corpus_is_calibrated_on_itself(index):
    zeros = models.PointVectors(id=7, vector={"base": [0.0] * 24})  # as others may have written them
    index.client.update_vectors(index.collection, [zeros])
    assert index.calibrate().pretended


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda index, base: index.add(["a"], vectors=base[:2]), "vectors has 2 rows, texts has 1 items"),
        (lambda index, base: index.add(["a"], vectors=base[:1, :5]), "dimension 5, the model needs 24"),
        (lambda index, base: index.add(["a", "b"], vectors=base[:2] * [[1], [0]]), r"vectors\[1\] holds zeros alone"),
        (lambda index, base: index.search(vector=base[0] * np.nan), r"vector\[0\] holds NaN"),
        (lambda index, base: index.search("a", vector=base[:2]), "vectors has 2 rows, queries has 1 items"),
        (lambda index, base: index.search(vector=base[:2]), "vector holds several vectors"),
        (lambda index, base: index.search(vector=[*base[0][:23], None]), r"vector\[0\] holds NaN"),
        (lambda index, base: index.search("a", vector=[[1.0, 2.0], [1.0]]), r"vector\[1\] has 1 numbers, those before"),
        (lambda index, base: index.search(), "there is nothing to search for; give a text, or vector=…"),
        (lambda index, base: index.search_many(vectors=base[:3, :9]), "vectors has vectors of dimension 9"),
        (lambda index, base: index.search_many(["a"], vectors=base[:3]), "vectors has 3 rows, queries has 1 items"),
        (lambda index, base: index.calibrate(vectors=base), "give queries and relevant, or neither"),
        (lambda index, base: index.calibrate(vectors=base, relevant=["card"]), "relevant has 1"),
        (
            lambda index, base: index.search("a", vector=base[0], embeddings=index.encoder.features(base[:1])),
            "vector and embeddings are two ways to say the same",
        ),
        (
            lambda index, base: index.add(["a"], vectors=base[:1], embeddings=index.encoder.features(base[:1])),
            "vectors and embeddings are two ways to say the same",
        ),
    ],
)
def test_wrong_vectors_are_named(index, base, call, message):
    with pytest.raises(ValueError, match=message):
        call(index, base[0])
    assert index.count() == 48


@pytest.mark.parametrize("wrong", ["my card", 3.0, {"a": 1}])
def test_what_is_no_vector_is_named(index, wrong):
    with pytest.raises(TypeError, match="vector must be a list, got"):
        index.search(vector=wrong)


def test_the_vector_of_a_query_comes_in_many_forms(index, base):
    import pandas as pd
    import torch

    one = base[0][3]
    tensor = torch.from_numpy(one.copy()).requires_grad_()
    for vector in (
        one,
        one[None],
        one.tolist(),
        [one],
        iter(one),
        tensor,
        [tensor],
        pd.Series(one, index=range(5, 29)),
    ):
        assert index.search(vector=vector).hits == index.search(vector=one).hits


def test_vectors_of_another_model_get_a_warning_with_numbers(index, base, corpus, caplog):
    rng = np.random.default_rng(0)
    foreign = base[0] @ np.linalg.qr(rng.standard_normal((24, 24)))[0]
    with caplog.at_level(logging.WARNING, logger="fg_search"):
        index.search_many(vectors=base[1])
        index.add(corpus[0], ids=range(100, 148), vectors=base[0])
        index.search(vector=foreign[0])
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING, logger="fg_search"):
        index.add(corpus[0], ids=range(48), vectors=foreign)
    assert "the 48 vectors do not look like those that the encoder of the index" in caplog.text
    assert "median cosine to the nearest" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="fg_search"):
        index.search_many(vectors=foreign)
    assert "embed the texts with 'words'" in caplog.text


def test_the_other_face_takes_vectors_too(brought, base, corpus):
    async def work():
        async with AsyncConfidenceIndex(":memory:", brought) as index:
            assert (await index.add(corpus[0], vectors=base[0])).written == 48
            assert (await index.search(vector=base[0][3], rank_by="base")).hits[0].text == corpus[0][3]
            assert len(await index.search_many(vectors=base[1][:3])) == 3

    asyncio.run(work())

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import models

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.errors import (
    EmptyIndexError,
    UncertainQueryError,
)

QUESTION = "please help my card is stolen"
UNKNOWN = "quantum chromodynamics lattice"


def test_search_finds_the_label_and_describes_each_hit(filled, encoder, corpus):
    texts, labels = corpus
    result = filled.search(QUESTION, limit=5)
    query = encoder.encode([QUESTION])
    assert result.decision == "answer"
    assert result.query_confidence == pytest.approx(query.confidence[0])
    assert len(result.hits) == 5
    for hit in result.hits:
        i = texts.index(hit.text)
        point = encoder.encode([hit.text])
        assert hit.label == labels[i] == "card"
        assert hit.id == f"d{i}"
        assert hit.payload == {"parity": i % 2}
        assert hit.confidence == pytest.approx(point.confidence[0], abs=1e-5)
        assert (
            hit.score
            == hit.weighted_score
            == pytest.approx((query.sparse() @ point.sparse().T).toarray()[0, 0], abs=1e-5)
        )
        assert hit.agreement == tuple((query.codes[0] == point.codes[0]).tolist())
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)
    assert QUESTION in str(result)
    assert result.hits[0].text in str(result)


def test_search_excludes_points_below_min_confidence(filled):
    confidences = sorted(hit.confidence for hit in filled.search(QUESTION, limit=48, rank_by="base").hits)
    middle = confidences[24]
    hits = filled.search(QUESTION, limit=48, rank_by="base", min_confidence=middle).hits
    assert [hit.confidence >= middle for hit in hits] == [True] * 24


@pytest.mark.parametrize("rank_by", ["features", "base", "both"])
def test_confidence_weight_orders_by_the_weighted_score(filled, rank_by):
    plain = {hit.id: hit for hit in filled.search(QUESTION, limit=12, rank_by=rank_by).hits}
    weighted = filled.search(QUESTION, limit=12, rank_by=rank_by, confidence_weight=2.0).hits
    assert [hit.weighted_score for hit in weighted] == sorted((h.weighted_score for h in weighted), reverse=True)
    for hit in weighted:
        assert hit.weighted_score == pytest.approx(hit.score * hit.confidence**2, abs=1e-5)
        if hit.id in plain and rank_by != "both":  # ranks are fused among more candidates when weighting
            assert hit.score == pytest.approx(plain[hit.id].score, abs=1e-4)


def test_rank_by_base_is_the_cosine(filled, encoder, corpus):
    texts, _ = corpus
    base = encoder.embed([QUESTION, *texts])
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    cosine = base[1:] @ base[0]
    hits = filled.search(QUESTION, limit=10, rank_by="base").hits
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosine)[::-1][:10], atol=1e-5)


def test_auto_ranks_by_features_with_labels_and_by_base_without(tiny_model, corpus, encoder):
    texts, _ = corpus
    unsupervised = FeatureGroupEncoder(tiny_model).fit(texts, groups=4, codes=3, hidden=16, steps=30)
    for used, expected in ((encoder, "features"), (unsupervised, "base")):
        with ConfidenceIndex(":memory:", used) as index:
            index.add(texts)
            auto = [hit.score for hit in index.search(QUESTION, rank_by="auto").hits]
            assert auto == pytest.approx([hit.score for hit in index.search(QUESTION, rank_by=expected).hits])


def test_query_filter_joins_min_confidence(filled):
    odd = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=1))])
    hits = filled.search(QUESTION, limit=48, rank_by="base", query_filter=odd, min_confidence=0.4).hits
    everything = filled.search(QUESTION, limit=48, rank_by="base").hits
    wanted = {hit.id for hit in everything if hit.payload["parity"] == 1 and hit.confidence >= 0.4}
    assert {hit.id for hit in hits} == wanted


def test_an_uncertain_query_is_flagged_abstained_or_raised(filled):
    assert filled.search(QUESTION, min_query_confidence=0.7).uncertain is False
    flagged = filled.search(UNKNOWN, min_query_confidence=0.9)
    assert flagged.uncertain
    assert flagged.decision == "answer"
    assert flagged.hits
    abstained = filled.search(UNKNOWN, min_query_confidence=0.9, on_uncertain="abstain")
    assert abstained.decision == "abstain"
    assert abstained.hits == ()
    assert "below 0.90" in abstained.reason
    with pytest.raises(UncertainQueryError, match="quantum"):
        filled.search(UNKNOWN, min_query_confidence=0.9, on_uncertain="raise")


def test_a_filter_that_nothing_passes_is_an_abstention(filled):
    nothing = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=5))])
    result = filled.search(QUESTION, query_filter=nothing)
    assert result.decision == "abstain"
    assert "no point passes" in result.reason


def test_more_hits_than_points_gives_all(filled):
    assert len(filled.search(QUESTION, limit=500, rank_by="base").hits) == 48


def test_search_many_answers_in_order_across_requests(filled, monkeypatch, encoder):
    monkeypatch.setattr("fg_search.index.searching.QUERIES_PER_REQUEST", 2)
    questions = ["my card", UNKNOWN, "pizza oven", "flight hotel", "loan rate"]
    results = filled.search_many(questions, limit=1, min_query_confidence=0.8, on_uncertain="abstain")
    assert [result.query for result in results] == questions
    assert results[1].hits == ()
    assert [results[i].hits[0].label for i in (0, 2, 3, 4)] == ["card", "food", "travel", "loan"]
    same = filled.search_many(
        questions, embeddings=encoder.encode(questions), limit=1, min_query_confidence=0.8, on_uncertain="abstain"
    )
    assert same == results


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_confidence": 1.5}, "min_confidence must be between 0 and 1, got 1.5"),
        ({"min_confidence": -0.1}, "min_confidence"),
        ({"min_confidence": float("nan")}, "min_confidence"),
        ({"min_query_confidence": 2}, "min_query_confidence"),
        ({"confidence_weight": -1}, "confidence_weight"),
        ({"confidence_weight": float("inf")}, "confidence_weight"),
        ({"limit": 0}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"rank_by": "magic"}, "'auto', 'features', 'base', 'both'"),
        ({"on_uncertain": "cry"}, "'flag', 'abstain', 'raise'"),
        ({"on_uncertain": "abstain"}, "needs target_precision or min_query_confidence"),
    ],
)
def test_options_out_of_range_are_refused(filled, options, message):
    with pytest.raises(ValueError, match=message):
        filled.search(QUESTION, **options)


def test_a_query_must_be_a_text(filled):
    with pytest.raises(TypeError, match="must be a string or a list of phrasings, got int"):
        filled.search(3)
    with pytest.raises(ValueError, match="holds no phrasing"):
        filled.search([])
    with pytest.raises(ValueError, match=r"\[0\] is empty"):
        filled.search("  ")


def test_an_empty_index_says_so(index):
    with pytest.raises(EmptyIndexError, match="is empty"):
        index.search(QUESTION)
    with pytest.raises(EmptyIndexError, match="is empty"):
        index.review()
    assert index.info().points == 0


@pytest.fixture(scope="module")
def engine(tmp_path_factory, encoder, corpus):
    texts, labels = corpus
    with ConfidenceIndex(tmp_path_factory.mktemp("engine"), encoder) as index:
        index.add(texts, labels=labels)
        yield index


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    limit=st.integers(1, 60),
    min_confidence=st.none() | st.floats(0, 1),
    weight=st.floats(0, 3),
    rank_by=st.sampled_from(["features", "base"]),
    question=st.sampled_from(["my card", "loan pizza", "flight hotel help", UNKNOWN]),
)
def test_the_engine_ranks_as_brute_force_does(
    engine, encoder, corpus, limit, min_confidence, weight, rank_by, question
):
    texts, _ = corpus
    hits = engine.search(
        question, limit=limit, min_confidence=min_confidence, confidence_weight=weight, rank_by=rank_by
    ).hits
    points, query = encoder.encode(texts), encoder.encode([question])
    if rank_by == "features":
        scores = (points.sparse() @ query.sparse().T).toarray()[:, 0]
    else:
        scores = points.base @ query.base[0]
        scores /= np.linalg.norm(points.base, axis=1) * np.linalg.norm(query.base[0])
    confidence = points.confidence.astype(float).round(6)
    scores = scores * confidence**weight
    allowed = confidence >= (min_confidence or 0)
    if rank_by == "features":  # the inverted index only finds points that share a code with the query
        allowed &= scores > 0
    expected = np.sort(scores[allowed])[::-1][:limit]
    found = [hit.weighted_score for hit in hits]
    if rank_by == "base" and weight and (expected < 0).any():
        return  # down-weighting moves negative cosines up: the order among them is not specified
    np.testing.assert_allclose(found, expected, atol=1e-4)

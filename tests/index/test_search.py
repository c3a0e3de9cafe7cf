import numpy as np
import pytest
from engines import in_strict_mode_too
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import WITH_FIXTURES, examples
from qdrant_client import models
from strict_mode import in_strict_mode

from fg_search import ConfidenceIndex, FeatureEmbeddings, FeatureGroupEncoder
from fg_search.arrays import unit_rows
from fg_search.confidence import answerability, best_label_similarity
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
    assert result.query_confidence == pytest.approx(query.answerability[0])
    assert result.query_familiarity == pytest.approx(query.familiarity[0])
    assert len(result.hits) == 5
    for hit in result.hits:
        i = texts.index(hit.text)
        point = encoder.encode([hit.text])
        assert hit.label == labels[i]
        assert hit.id == f"d{i}"
        assert hit.payload == {"parity": i % 2}
        assert hit.confidence == pytest.approx(point.confidence[0], abs=1e-5)
        assert hit.score == pytest.approx((query.sparse() @ point.sparse().T).toarray()[0, 0], abs=1e-5)
        cosine = float(unit_rows(query.base)[0] @ unit_rows(point.base)[0])
        assert hit.ranking_score == pytest.approx((hit.score + 0.5 * cosine) / 1.5, abs=1e-5)
        assert hit.agreement == tuple((query.codes[0] == point.codes[0]).tolist())
    assert result.hits[0].label == "card"
    ranked = [hit.ranking_score for hit in result.hits]
    assert ranked == sorted(ranked, reverse=True)
    assert QUESTION in str(result)
    assert result.hits[0].text in str(result)


def test_search_excludes_points_below_min_confidence(filled):
    confidences = sorted(hit.confidence for hit in filled.search(QUESTION, limit=48, rank_by="base").hits)
    middle = confidences[24]
    hits = filled.search(QUESTION, limit=48, rank_by="base", min_confidence=middle).hits
    assert [hit.confidence >= middle for hit in hits] == [True] * 24


@in_strict_mode_too("filled")
@pytest.mark.parametrize("rank_by", ["features", "base", "both"])
def test_confidence_weight_orders_by_the_ranking_score(filled, rank_by):
    plain = {hit.id: hit for hit in filled.search(QUESTION, limit=12, rank_by=rank_by).hits}
    weighted = filled.search(QUESTION, limit=12, rank_by=rank_by, confidence_weight=2.0).hits
    assert [hit.ranking_score for hit in weighted] == sorted((h.ranking_score for h in weighted), reverse=True)
    for hit in weighted:
        if hit.id in plain:
            assert hit.score == pytest.approx(plain[hit.id].score, abs=1e-4)
            assert hit.ranking_score == pytest.approx(plain[hit.id].ranking_score * hit.confidence**2, abs=1e-5)


def test_rank_by_base_is_the_cosine(filled, encoder, corpus):
    texts, _ = corpus
    base = encoder.embed([QUESTION, *texts])
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    cosine = base[1:] @ base[0]
    hits = filled.search(QUESTION, limit=10, rank_by="base").hits
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosine)[::-1][:10], atol=1e-5)


def test_auto_ranks_by_both_with_labels_and_by_base_without(tiny_model, corpus, encoder):
    texts, _ = corpus
    unsupervised = FeatureGroupEncoder(tiny_model).fit(texts, groups=4, codes=3, hidden=16, steps=30)
    for used, expected in ((encoder, "both"), (unsupervised, "base")):
        with ConfidenceIndex(":memory:", used) as index:
            index.add(texts)
            auto = [hit.score for hit in index.search(QUESTION, rank_by="auto").hits]
            assert auto == pytest.approx([hit.score for hit in index.search(QUESTION, rank_by=expected).hits])


@in_strict_mode_too("filled")
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


@in_strict_mode_too("filled")
def test_more_hits_than_points_gives_all(filled):
    assert len(filled.search(QUESTION, limit=500, rank_by="base").hits) == 48


def test_search_many_answers_in_order_across_requests(filled, monkeypatch, encoder):
    monkeypatch.setattr("fg_search.index.retrieval.QUERIES_PER_REQUEST", 2)
    questions = ["my card", UNKNOWN, "pizza oven", "flight hotel", "loan rate"]
    results = filled.search_many(questions, limit=1, min_query_confidence=0.3, on_uncertain="abstain")
    assert [result.query for result in results] == questions
    assert results[1].hits == ()
    assert [results[i].hits[0].label for i in (0, 2, 3, 4)] == ["card", "food", "travel", "loan"]
    same = filled.search_many(
        questions, embeddings=encoder.encode(questions), limit=1, min_query_confidence=0.3, on_uncertain="abstain"
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
        ({"limit": 2**62}, r"limit \+ offset must be at most 2,147,483,647"),
        ({"confidence_weight": float("inf")}, "confidence_weight"),
        ({"confidence_weight": "1"}, "confidence_weight must be between 0 and 100, got '1'"),
        ({"confidence_weight": None}, "confidence_weight"),
        ({"min_familiarity": 1.5}, "min_familiarity must be between 0 and 1, got 1.5"),
        ({"familiarity_weight": 101}, "familiarity_weight must be between 0 and 100, got 101"),
        ({"target_precision": "0.9"}, "target_precision must be greater than 0 and less than 1, got '0.9'"),
        ({"limit": 0}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"rank_by": "magic"}, "'auto', 'features', 'base', 'both'"),
        ({"on_uncertain": "cry"}, "'flag', 'abstain', 'clarify', 'raise'"),
        ({"on_uncertain": "abstain"}, "needs target_precision or min_query_confidence"),
    ],
)
def test_options_out_of_range_are_refused(in_memory, options, message):
    with pytest.raises(ValueError, match=message):
        in_memory.search(QUESTION, **options)


def test_every_engine_is_asked_nothing_that_makes_no_sense(filled):
    with pytest.raises(ValueError, match="min_confidence must be between 0 and 1"):
        filled.search(QUESTION, min_confidence=1.5)
    with pytest.raises(ValueError, match=r"queries\[1\] is empty"):
        filled.search_many([QUESTION, " "])


def test_a_query_must_be_a_text(in_memory):
    with pytest.raises(TypeError, match="must be a string or a list of phrasings, got int"):
        in_memory.search(3)
    with pytest.raises(ValueError, match="holds no phrasing"):
        in_memory.search([])
    with pytest.raises(ValueError, match=r"\[0\] is empty"):
        in_memory.search("  ")


def test_questions_may_come_from_a_generator(filled):
    questions = [QUESTION, "pizza oven"]
    assert filled.search_many(question for question in questions) == filled.search_many(questions)


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


@settings(max_examples=examples(25), suppress_health_check=WITH_FIXTURES)
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
    found = [hit.ranking_score for hit in hits]
    if rank_by == "base" and weight and (expected < 0).any():
        return  # down-weighting moves negative cosines up: the order among them is not specified
    np.testing.assert_allclose(found, expected, atol=1e-4)


# pages


@pytest.mark.parametrize("rank_by", ["features", "base", "both"])
@pytest.mark.parametrize("options", [{}, {"confidence_weight": 1.5}, {"min_confidence": 0.6}])
def test_pages_together_are_one_long_page(filled, rank_by, options):
    whole = filled.search(QUESTION, limit=40, rank_by=rank_by, **options).hits
    pages = [
        filled.search(QUESTION, limit=7, offset=offset, rank_by=rank_by, **options).hits for offset in range(0, 40, 7)
    ]
    together = tuple(hit for page in pages for hit in page)[: len(whole)]
    np.testing.assert_allclose([hit.ranking_score for hit in together], [hit.ranking_score for hit in whole], atol=1e-6)
    # the engine re-scores and fuses equals in no fixed order, so one of them may be on two pages
    scores = np.sort([hit.ranking_score for hit in together])
    gaps = np.diff(scores, prepend=-np.inf, append=np.inf) > 1e-6
    alone = scores[gaps[:-1] & gaps[1:]]
    untied, expected = (
        [hit.id for hit in hits if np.abs(alone - hit.ranking_score).min(initial=1) < 1e-6]
        for hits in (together, whole)
    )
    assert untied == expected
    if rank_by != "both":
        assert untied


def test_pages_by_both_go_on_where_more_candidates_are_needed(encoder):
    # the last 50 have a higher mean, but only four of them are similar enough to be among the first candidates
    same, other = np.array([1, 0, 0], dtype=np.float32), np.array([0, 1, 0], dtype=np.float32)
    probabilities = np.array([[same] * 4] * 61 + [[same, same, same, other]] * 50)
    base = np.eye(24, dtype=np.float32)[[0] + [1] * 60 + [0] * 50]
    embeddings = FeatureEmbeddings(base, probabilities, encoder.fingerprint)
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add([f"item {i}" for i in range(110)], ids=range(110), embeddings=embeddings[1:])
        options = {"rank_by": "both", "embeddings": embeddings[:1]}
        whole = [hit.id for hit in index.search("item", limit=105, **options).hits]
        pages = [index.search("item", limit=7, offset=start, **options).hits for start in range(0, 105, 7)]
    assert len(set(whole)) == 105
    assert [hit.id for page in pages for hit in page] == whole


def test_pages_are_the_same_with_a_calibration(own, questions):
    plain = [own.search(QUESTION, limit=3, offset=offset).hits for offset in (0, 3, 6, 30, 60)]
    own.calibrate(*questions(120, 0))
    for offset, hits in zip((0, 3, 6, 30, 60), plain, strict=True):
        result = own.search(QUESTION, limit=3, offset=offset)
        assert result.hits == hits
        assert result.confidence == own.search(QUESTION).confidence


def test_a_page_behind_the_last_hit_has_none(filled):
    result = filled.search(QUESTION, rank_by="base", limit=5, offset=48)
    assert (result.hits, result.decision, result.reason) == ((), "abstain", "no more hits")
    assert len(filled.search(QUESTION, rank_by="base", limit=5, offset=46).hits) == 2


# several phrasings


@pytest.mark.parametrize("rank_by", ["features", "base"])
def test_phrasings_are_searched_as_their_mean_weighted_by_confidence(filled, encoder, corpus, rank_by):
    phrasings = ["my card is stolen", "flight luggage", UNKNOWN]
    result = filled.search(phrasings, limit=48, rank_by=rank_by)
    parts = encoder.encode(phrasings)
    weights = parts.confidence / parts.confidence.sum()
    assert weights[2] < min(weights[:2])
    points = encoder.encode(corpus[0])
    mixed = np.tensordot(weights, parts.probabilities, 1)[None]
    unit = weights @ (parts.base / np.linalg.norm(parts.base, axis=1, keepdims=True))
    if rank_by == "base":
        scores = points.base @ unit / np.linalg.norm(points.base, axis=1) / np.linalg.norm(unit)
    else:
        scores = (points.sparse() @ FeatureEmbeddings(unit[None], mixed).sparse().T).toarray()[:, 0]
    expected = dict(zip(corpus[0], scores, strict=True))
    assert {hit.text: hit.score for hit in result.hits} == pytest.approx(
        {hit.text: expected[hit.text] for hit in result.hits}, abs=1e-5
    )
    assert result.query == " / ".join(phrasings)
    familiarity = weights @ parts.familiarity
    sure = best_label_similarity(mixed, encoder.codebook.label_codes)
    assert result.query_familiarity == pytest.approx(familiarity, abs=1e-5)
    assert result.query_confidence == pytest.approx(answerability(sure, familiarity)[0], abs=1e-5)


def test_one_phrasing_is_the_question_itself_and_many_questions_may_have_several(filled, encoder):
    questions = ["my card", ["pizza oven", "cheese"], ["flight"]]
    results = filled.search_many(questions, limit=3)
    for result, single in zip(results, [*questions[:2], "flight"], strict=True):
        alone = filled.search(single, limit=3)
        assert (result.query, result.query_confidence) == (alone.query, pytest.approx(alone.query_confidence))
        assert [hit.id for hit in result.hits] == [hit.id for hit in alone.hits]
    encoded = encoder.encode(["my card", "pizza oven", "cheese", "flight"])
    assert filled.search_many(questions, limit=3, embeddings=encoded) == results
    with pytest.raises(ValueError, match="embeddings has 4 items, queries has 3"):
        filled.search_many(["a", ["b", "c"]], embeddings=encoded)


# options of every kind


def test_no_questions_have_no_results(filled):
    assert filled.search_many([]) == []


@pytest.mark.parametrize(
    ("queries", "error", "message"),
    [
        ("my card", TypeError, "wrap it"),
        (["my card", "  "], ValueError, r"queries\[1\] is empty"),
        (["my card", ["a", ""]], ValueError, r"queries\[1\]\[1\] is empty"),
        (["my card", None], TypeError, r"queries\[1\]"),
        (["my card", []], ValueError, r"queries\[1\] holds no phrasing"),
        (["my card", "half \ud800"], ValueError, r"queries\[1\] holds half a character"),
    ],
)
def test_a_question_that_is_none_is_named_by_its_position(in_memory, queries, error, message):
    with pytest.raises(error, match=message):
        in_memory.search_many(queries)


@in_strict_mode_too("filled")
@pytest.mark.parametrize("rank_by", ["auto", "features", "base", "both"])
def test_every_ranking_takes_every_filter(filled, rank_by):
    if in_strict_mode(filled):
        pytest.skip("strict mode takes filters on indexed fields alone")
    wanted = {f"d{i}" for i in range(0, 48, 2)} - {"d4"}
    every = models.Filter(
        must=[models.Filter(should=[models.FieldCondition(key="parity", match=models.MatchAny(any=[0, 5]))])],
        must_not=[models.FieldCondition(key="fg.id", match=models.MatchValue(value="d4"))],
    )
    hits = filled.search(QUESTION, limit=100, rank_by=rank_by, query_filter=every).hits
    assert {hit.id for hit in hits} <= wanted
    if rank_by in ("base", "both"):
        assert {hit.id for hit in hits} == wanted
    few = filled.search(QUESTION, limit=100, rank_by=rank_by, query_filter=every, min_confidence=0.8).hits
    assert {hit.id for hit in few} == {hit.id for hit in hits if hit.confidence >= 0.8}
    only_labels = models.Filter(must=[models.FieldCondition(key="fg.label", match=models.MatchValue(value="loan"))])
    assert {hit.label for hit in filled.search(QUESTION, rank_by="base", query_filter=only_labels).hits} == {"loan"}


def test_numbers_of_numpy_are_numbers(filled):
    plain = filled.search(QUESTION, limit=3, offset=1, min_confidence=0.5, confidence_weight=1.5)
    same = filled.search(
        QUESTION,
        limit=np.int64(3),
        offset=np.int32(1),
        min_confidence=np.float64(0.5),
        confidence_weight=np.float32(1.5),
    )
    # hits of equal scores come in any order
    assert [hit.ranking_score for hit in same.hits] == [hit.ranking_score for hit in plain.hits]


def test_an_index_that_was_emptied_says_so_too(own):
    own.delete([f"d{i}" for i in range(48)])
    with pytest.raises(EmptyIndexError, match="is empty"):
        own.search_many([QUESTION, "my loan"])
    with pytest.raises(EmptyIndexError, match="is empty"):
        own.search(UNKNOWN, min_query_confidence=0.99, on_uncertain="abstain")


# groups


@pytest.mark.parametrize("rank_by", ["features", "base", "both"])
def test_groups_hold_the_best_hits_of_each_value(filled, rank_by):
    grouped = filled.search_groups(QUESTION, group_by="parity", group_size=3, limit=5, rank_by=rank_by)
    assert sorted(group.value for group in grouped.groups) == [0, 1]
    everything = filled.search(QUESTION, limit=48, rank_by=rank_by).hits
    for group in grouped.groups:
        best = [hit.score for hit in everything if hit.payload["parity"] == group.value][:3]
        if rank_by != "both":
            assert [hit.score for hit in group.hits] == pytest.approx(best, abs=1e-5)
        assert {hit.payload["parity"] for hit in group.hits} == {group.value}
    firsts = [group.hits[0].score for group in grouped.groups]
    assert firsts == sorted(firsts, reverse=True)
    assert grouped.result.hits == tuple(hit for group in grouped.groups for hit in group.hits)
    assert QUESTION in str(grouped)


@in_strict_mode_too("filled")
def test_groups_keep_to_filters_labels_and_the_number_asked_for(filled):
    odd = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=1))])
    grouped = filled.search_groups(
        QUESTION, group_by="fg.label", group_size=2, limit=3, rank_by="base", query_filter=odd, min_confidence=0.5
    )
    assert len(grouped.groups) == 3
    assert grouped.groups[0].value == "card"
    for group in grouped.groups:
        assert len(group.hits) <= 2
        for hit in group.hits:
            assert (hit.label, hit.payload["parity"], hit.confidence >= 0.5) == (group.value, 1, True)
    weighted = filled.search_groups(QUESTION, group_by="parity", limit=2, rank_by="features", confidence_weight=1.0)
    for hit in weighted.result.hits:
        assert hit.ranking_score == pytest.approx(hit.score * hit.confidence, abs=1e-5)


def test_groups_of_an_uncertain_question_are_flagged_or_left_out(filled):
    options = {"group_by": "parity", "min_query_confidence": 0.95}
    assert filled.search_groups(UNKNOWN, **options).result.uncertain
    abstained = filled.search_groups(UNKNOWN, **options, on_uncertain="abstain")
    assert (abstained.groups, abstained.result.decision) == ((), "abstain")
    with pytest.raises(UncertainQueryError):
        filled.search_groups(UNKNOWN, **options, on_uncertain="raise")
    with pytest.raises(TypeError, match="offset"):  # groups have no pages
        filled.search_groups(QUESTION, group_by="parity", offset=3)
    with pytest.raises(ValueError, match="group_size"):
        filled.search_groups(QUESTION, group_by="parity", group_size=0)


def test_groups_of_a_calibrated_index_have_the_confidence_of_the_search(own, questions):
    own.calibrate(*questions(120, 0))
    grouped = own.search_groups(QUESTION, group_by="parity")
    assert grouped.result.confidence == own.search(QUESTION).confidence
    assert own.search_groups("my", group_by="parity", target_precision=0.5).result.confidence is not None


@in_strict_mode_too("filled")
def test_groups_of_a_field_that_no_point_has_say_so(filled):
    if in_strict_mode(filled):
        pytest.skip("strict mode groups by indexed fields alone")
    found = filled.search_groups(QUESTION, group_by="no_such_key")
    assert found.groups == ()
    assert "has a text or an integer in 'no_such_key'" in found.result.reason


def test_groups_of_an_empty_index_are_an_error(local):
    with pytest.raises(EmptyIndexError):
        local.search_groups(QUESTION, group_by="parity")

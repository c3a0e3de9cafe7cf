import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from qdrant_client import models
from read_only import read_only

from fg_search import Calibrator, ConfidenceIndex
from fg_search.errors import EmptyIndexError, FormatVersionError, NotCalibratedError, UncertainQueryError
from fg_search.index.abstention import assess_hits
from fg_search.index.search_options import SearchOptions

QUESTION = "please help my card is stolen"
UNKNOWN = "my quantum"


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory, encoder, corpus, questions):
    """The corpus, calibrated for searches with the usual options; no test changes it."""
    with ConfidenceIndex(tmp_path_factory.mktemp("calibrated"), encoder) as index:
        texts, labels = corpus
        ids = [f"d{i}" for i in range(len(texts))]
        index.add(texts, ids=ids, labels=labels, payloads=[{"parity": i % 2} for i in range(len(texts))])
        index.calibrate(*questions(800, 0))
        yield read_only(index)


@pytest.fixture
def corpus_index(local, rows) -> ConfidenceIndex:
    local.add(**rows)
    return local


def test_a_calibrated_index_gives_every_result_a_probability(calibrated, questions):
    texts, labels = questions(600, 1)
    results = calibrated.search_many(texts, limit=1)
    confidence = np.array([result.confidence for result in results])
    assert ((confidence >= 0) & (confidence <= 1)).all()
    right = np.array([result.hits[0].label == label for result, label in zip(results, labels, strict=True)])
    assert confidence[right].mean() > confidence[~right].mean() + 0.2
    for low, high in ((0.0, 0.5), (0.5, 0.9), (0.9, 1.0)):  # the confidence means what it says
        chosen = (confidence >= low) & (confidence <= high)
        assert right[chosen].mean() == pytest.approx(confidence[chosen].mean(), abs=0.12)


def test_the_confidence_is_the_same_however_it_is_asked_for(calibrated, questions):
    texts = [*questions(20, 2)[0], UNKNOWN, "my"]
    many = calibrated.search_many(texts)
    for text, result in zip(texts, many, strict=True):
        alone = calibrated.search(text, limit=1)
        assert alone.confidence == pytest.approx(result.confidence, abs=1e-5)
        assert calibrated.search(text, limit=3, offset=5).confidence == pytest.approx(result.confidence, abs=1e-5)


def test_a_search_that_finds_nothing_has_no_confidence_at_all(calibrated):
    nothing = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=5))])
    result = calibrated.search(QUESTION, query_filter=nothing, target_precision=0.5)
    assert (result.hits, result.decision, result.confidence) == ((), "abstain", 0.0)


@pytest.mark.parametrize("rank_by", ["features", "base", "both"])
def test_answers_at_a_target_precision_reach_it(tmp_path, encoder, rows, questions, rank_by):
    count = 1000
    texts, labels = questions(count, 1)
    embeddings = encoder.encode(texts)
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        calibration = index.calibrate(*questions(count, 0), rank_by=rank_by)
        everything = index.search_many(texts, embeddings=embeddings, limit=1, rank_by=rank_by)
        for target in (0.8, 0.9) if rank_by == "both" else (0.8,):
            results = index.search_many(
                texts,
                embeddings=embeddings,
                limit=1,
                rank_by=rank_by,
                target_precision=target,
                on_uncertain="abstain",
            )
            answers = [
                result.hits[0].label == label for result, label in zip(results, labels, strict=True) if result.hits
            ]
            assert (
                np.mean([result.hits[0].label == label for result, label in zip(everything, labels, strict=True)])
                < target
            )
            threshold = calibration.threshold(target)
            assert np.mean(answers) >= target
            assert len(answers) / count == pytest.approx(threshold.coverage, abs=0.06)
            assert [result.confidence for result in results] == [whole.confidence for whole in everything]
            assert len(answers) > 200
            for result in results:
                assert (result.confidence >= threshold.threshold) == bool(result.hits) == (not result.uncertain)
                assert result.decision == ("answer" if result.hits else "abstain")


def test_an_uncertain_result_is_flagged_abstained_or_raised(calibrated):
    for question, uncertain in ((QUESTION, False), (UNKNOWN, True)):
        flagged = calibrated.search(question, target_precision=0.8)
        assert flagged.hits
        assert (flagged.uncertain, flagged.decision) == (uncertain, "answer")
        assert ("is below" if uncertain else "reaches") in flagged.reason
        assert "a precision of 80.0%" in flagged.reason
    abstained = calibrated.search(UNKNOWN, target_precision=0.8, on_uncertain="abstain")
    assert (abstained.hits, abstained.decision) == ((), "abstain")
    assert abstained.confidence == calibrated.search(UNKNOWN).confidence
    with pytest.raises(UncertainQueryError, match=r"below what a precision of 80.0% takes.*quantum"):
        calibrated.search(UNKNOWN, target_precision=0.8, on_uncertain="raise")
    with pytest.raises(UncertainQueryError, match="quantum"):
        calibrated.search_many([QUESTION, UNKNOWN], target_precision=0.8, on_uncertain="raise")


def test_both_confidences_can_make_a_result_uncertain(calibrated):
    own = calibrated.search(QUESTION, target_precision=0.5, min_query_confidence=1.0)
    assert own.uncertain
    assert "query confidence" in own.reason
    assert "below 1.00" in own.reason
    assert not calibrated.search(QUESTION, target_precision=0.5, min_query_confidence=0.1).uncertain
    assert calibrated.search(UNKNOWN, target_precision=0.9, min_query_confidence=0.0).uncertain


def test_without_a_target_the_reason_is_the_chance_to_be_right(calibrated):
    result = calibrated.search(QUESTION)
    assert result.reason == f"chance to be right {result.confidence:.2f}; no precision was asked for"
    assert calibrated.search(QUESTION, min_query_confidence=0.1).reason.startswith("query confidence")


def test_a_precision_that_nothing_can_promise_makes_every_result_uncertain(calibrated):
    result = calibrated.search(QUESTION, target_precision=0.9999)
    assert result.uncertain
    assert "calibrate on more" in result.reason
    assert calibrated.search(QUESTION, target_precision=0.9999, on_uncertain="abstain").hits == ()


def test_a_result_at_the_threshold_is_answered(calibrated):
    promised, found = calibrated.calibration.threshold(0.8), calibrated.search(QUESTION)
    for confidence, uncertain in ((promised.threshold, False), (np.nextafter(promised.threshold, 0), True)):
        result = assess_hits(replace(found, confidence=confidence), found.hits, promised, SearchOptions())
        assert result.uncertain is uncertain
        assert result.threshold == promised.threshold


def test_a_calibration_of_the_release_before_is_kept(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        new = index.calibrate(*questions(400, 0)).to_metadata()["fg_search_calibration"]
        calibrator = Calibrator().fit({"similarity": [0.0, 1.0, 2.0, 3.0]}, [False, True, False, True])
        sure = np.repeat(np.float32([0.3, 0.9]), 200)
        old = {
            **{name: value for name, value in new.items() if name not in ("promise", "relevant_within")},
            "format": 1,
            "calibrator": calibrator.to_dict(),
            "queries": 800,
            "confidence": base64.b64encode(sure.tobytes()).decode(),
            "correct": "01" * 100 + "1" * 200,
        }
        index.client.update_collection(index.collection, metadata={"fg_search_calibration": old})
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        threshold = index.calibration.threshold(0.95)
        assert (threshold.threshold, threshold.precision) == (pytest.approx(0.9), 1)
        assert index.search(QUESTION, target_precision=0.95).confidence < 1
        with pytest.raises(ValueError, match=r"an earlier release calibrated.*calibrate again"):
            index.adapt(expected_unanswerable=0.2)


# the searches it holds for


def test_without_a_calibration_a_target_precision_is_refused_and_says_what_to_do(corpus_index):
    assert corpus_index.calibration is None
    assert corpus_index.search(QUESTION).confidence is None
    for search in (
        lambda: corpus_index.search(QUESTION, target_precision=0.9),
        lambda: corpus_index.search_many([QUESTION], target_precision=0.9),
        lambda: corpus_index.search_groups(QUESTION, group_by="parity", target_precision=0.9),
    ):
        with pytest.raises(NotCalibratedError, match=r"no calibration.*index\.calibrate\(held_out_queries"):
            search()


@pytest.mark.parametrize(
    "options", [{"rank_by": "base"}, {"rank_by": "features"}, {"min_confidence": 0.5}, {"confidence_weight": 1.0}]
)
def test_a_calibration_holds_for_searches_of_its_kind_alone(corpus_index, questions, options):
    corpus_index.calibrate(*questions(100, 0))
    with pytest.raises(NotCalibratedError, match="for searches with rank_by both, min_confidence none"):
        corpus_index.search(QUESTION, target_precision=0.9, **options)
    assert corpus_index.search(QUESTION, **options).confidence is None
    corpus_index.calibrate(*questions(200, 0), **options)
    assert corpus_index.search(QUESTION, target_precision=0.6, **options).confidence is not None
    others = {"rank_by": "both"} if "rank_by" in options else {}  # by default as it was calibrated
    assert corpus_index.search(QUESTION, **others).confidence is None
    assert corpus_index.info().calibration.queries == 200


def test_other_filters_limits_and_policies_keep_the_calibration(calibrated):
    even = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])
    for options in ({"limit": 3}, {"query_filter": even}, {"rank_by": "both"}, {"min_query_confidence": 0.3}):
        assert calibrated.search(QUESTION, target_precision=0.6, **options).confidence is not None


@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_a_calibration_is_kept_with_the_index(kind, tmp_path, encoder, rows, questions):
    from qdrant_client import QdrantClient

    from fg_search import EdgeClient

    client = EdgeClient(tmp_path / "i") if kind == "edge" else QdrantClient(":memory:")
    first = ConfidenceIndex(client, encoder)
    first.add(**rows)
    calibration = first.calibrate(*questions(300, 0), confidence_weight=np.float64(0.5), min_confidence=0.4)
    texts = questions(30, 1)[0]
    options = {"confidence_weight": 0.5, "min_confidence": 0.4, "target_precision": 0.8, "on_uncertain": "abstain"}
    expected = first.search_many(texts, **options)
    if kind == "edge":
        client.close()
        client = EdgeClient(tmp_path / "i")
    second = ConfidenceIndex(client, encoder)
    for found, other in zip(second.search_many(texts, **options), expected, strict=True):
        assert (found.decision, found.confidence, found.reason) == (other.decision, other.confidence, other.reason)
        assert {hit.id for hit in found.hits} == {hit.id for hit in other.hits}
    assert len({result.decision for result in expected}) == 2
    assert second.calibration.threshold(0.8) == calibration.threshold(0.8)
    assert second.metadata == first.metadata
    second.calibrate(*questions(100, 5))
    third = ConfidenceIndex(client, encoder)
    assert third.info().calibration == second.info().calibration
    assert third.calibration.queries == 100
    client.close()


def test_info_says_what_the_calibration_was_made_on(calibrated):
    info = calibrated.info().calibration
    assert (info.queries, info.relevant_by, info.points) == (800, "label", 48)
    assert info.search.startswith("rank_by both, ")


def test_a_calibration_of_a_newer_release_is_refused(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        stored = index.calibrate(*questions(100, 0)).to_metadata()["fg_search_calibration"]
        assert json.loads(json.dumps(stored)) == stored
        index.client.update_collection(index.collection, metadata={"fg_search_calibration": {**stored, "format": 99}})
    with pytest.raises(FormatVersionError, match="upgrade fg_search"):
        ConfidenceIndex(tmp_path / "i", encoder)


def test_another_seed_makes_other_folds_and_the_same_seed_the_same(corpus_index, questions):
    first, same, other = (
        corpus_index.calibrate(*questions(200, 0), seed=seed).to_metadata()["fg_search_calibration"]["promise"]
        for seed in (1, 1, 2)
    )
    assert first == same
    assert first["evidence_right"] != other["evidence_right"]
    assert first["queries"] == len(first["correct"]) == 200


# judging


def test_labels_and_ids_are_told_apart(corpus_index, rows, questions):
    texts, labels = questions(150, 0)
    assert corpus_index.calibrate(texts, labels).relevant_by == "label"
    assert corpus_index.calibrate(texts, [None if label is None else [label, "other"] for label in labels])
    answers = [*rows["ids"], *[None] * 150]
    like_items = [f"{text} please" for text in rows["texts"]]
    by_id = corpus_index.calibrate([*like_items, *texts], answers, rank_by="base")
    assert by_id.relevant_by == "id"
    assert by_id.promise.judged.correct.sum() > 10


def test_ids_may_be_numbers_and_several_may_be_right(local, rows, questions):
    local.add(rows["texts"], ids=range(48), labels=rows["labels"])
    relevant = [{i, (i + 1) % 48} for i in range(48)]
    like_items = [f"{text} please" for text in rows["texts"]]
    calibration = local.calibrate([*like_items, *questions(30, 0)[0]], [*relevant, *[None] * 30])
    assert calibration.relevant_by == "id"


def test_what_could_be_a_label_and_an_id_has_to_be_said(local, rows, questions):
    local.add(rows["texts"], ids=["card", *range(47)], labels=rows["labels"])
    texts, labels = questions(200, 0)
    with pytest.raises(ValueError, match=r"labels and ids of .*; say which is meant: relevant_by='label'"):
        local.calibrate(texts, labels)
    assert local.calibrate(texts, labels, relevant_by="label").relevant_by == "label"


@pytest.mark.parametrize(
    ("queries", "relevant", "error", "message"),
    [
        (["my card", "my loan"], ["card"], ValueError, "relevant has 1 items, queries has 2"),
        (["my card"], "card", ValueError, "relevant has one string"),
        (["my card", "my loan"], ["unheard", "of"], ValueError, "none of the relevant values, such as 'of'"),
        (["my card", "my loan"], [None, None], ValueError, "None for all queries"),
        (["my card", "my loan"], ["card", 1.5], TypeError, r"relevant\[1\] is float"),
        (["my card", "my loan", "my pin"], ["card", "loan", "card"], ValueError, "of 3 judged results 3 are right"),
        (
            ["my card", "my loan", "my pin"],
            ["loan", "card", "card"],
            ValueError,
            "1 are right; .*at least 2 right",
        ),
        (["my card", ""], ["card", "loan"], ValueError, r"queries\[1\] is empty"),
        ("my card", ["card"], TypeError, "wrap it"),
    ],
)
def test_judgements_that_teach_nothing_are_refused_and_the_calibration_stays(
    calibrated, queries, relevant, error, message
):
    before = calibrated.calibration
    with pytest.raises(error, match=message):
        calibrated.calibrate(queries, relevant)
    assert calibrated.calibration is before


def test_relevant_by_is_one_of_its_values(corpus_index):
    with pytest.raises(ValueError, match="relevant_by must be one of 'auto', 'label', 'id'"):
        corpus_index.calibrate(["my card"], ["card"], relevant_by="text")


def test_an_empty_index_cannot_be_calibrated(local):
    with pytest.raises(EmptyIndexError):
        local.calibrate(["my card", "my loan"], ["card", "loan"], relevant_by="label")


def test_queries_that_find_nothing_are_no_evidence(corpus_index, questions):
    nothing = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=5))])
    with pytest.raises(ValueError, match="no query has a hit"):
        corpus_index.calibrate(*questions(20, 0), query_filter=nothing)

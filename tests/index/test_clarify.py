"""Labels to choose from: what an uncertain query gets with ``on_uncertain="clarify"``."""

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from read_only import read_only

from fg_search import ConfidenceIndex
from fg_search.errors import NotCalibratedError

CLEAR = "please help my card is stolen"
ASKING = {"target_precision": 0.9, "on_uncertain": "clarify"}


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory, encoder, corpus, questions):
    """The corpus, calibrated on questions of which some are torn between two labels; no test changes it."""
    with ConfidenceIndex(tmp_path_factory.mktemp("clarify"), encoder) as index:
        texts, labels = corpus
        index.add(texts, ids=[f"d{i}" for i in range(len(texts))], labels=labels)
        index.calibrate(*questions(500, 0))
        yield read_only(index)


def of_label(label: str) -> models.FieldCondition:
    """Items with a label."""
    return models.FieldCondition(key="fg.label", match=models.MatchValue(value=label))


@pytest.fixture(scope="module")
def asked(calibrated, questions):
    """New questions, their labels, and what they get."""
    texts, labels = questions(500, 1)
    return texts, labels, calibrated.search_many(texts, **ASKING)


def test_the_sets_of_uncertain_queries_hold_the_right_label_as_often_as_promised(asked):
    _, labels, results = asked
    uncertain = [(result, label) for result, label in zip(results, labels, strict=True) if result.uncertain and label]
    held = np.mean([label in {choice.label for choice in result.choices} for result, label in uncertain])
    assert len(uncertain) > 100
    assert held > 0.9 - 3 * (0.09 / len(uncertain)) ** 0.5 - 0.03  # of the queries, and of those of the calibration


def test_an_empty_set_abstains_and_one_label_or_several_are_a_question(calibrated, asked):
    texts, _, results = asked
    kinds = set()
    for result in [*results, *calibrated.search_many(texts, label_miss=0.4, **ASKING)]:
        count = len(result.choices)
        if not result.uncertain:
            assert (result.decision, count) == ("answer", 0)
            continue
        kinds.add(min(count, 2))
        assert result.decision == ("clarify" if count else "abstain")
        assert result.hits == ()
        assert [choice.probability for choice in result.choices] == sorted(
            (choice.probability for choice in result.choices), reverse=True
        )
        for choice in result.choices:
            assert choice.example.label == choice.label
            assert 0 < choice.probability <= result.confidence + 1e-6
        assert "is below" in result.reason
    assert kinds == {0, 1, 2}


def test_a_question_says_what_it_is_worth(asked):
    _, _, results = asked
    result = next(result for result in results if len(result.choices) > 1)
    assert f"of such queries that have an answer, 90% have its label among these {len(result.choices)}" in result.reason
    assert f"did you mean:\n    {result.choices[0]}" in str(result)


def test_examples_are_the_best_hits_of_their_labels(calibrated, asked):
    texts, _, results = asked
    checked = 0
    for text, result in zip(texts, results, strict=True):
        for choice in result.choices if checked < 20 else ():
            own = models.Filter(must=[of_label(choice.label)])
            assert calibrated.search(text, limit=1, query_filter=own).hits[0].id == choice.example.id
            checked += 1
    assert checked >= 20


def test_one_by_one_in_many_and_logged_they_are_the_same(calibrated, asked):
    texts, _, results = asked
    for text, result in list(zip(texts, results, strict=True))[:25]:
        alone = calibrated.search(text, **ASKING)
        assert alone.decision == result.decision
        assert [choice.label for choice in alone.choices] == [choice.label for choice in result.choices]


def test_fewer_misses_take_larger_sets(calibrated, questions):
    texts = questions(100, 2)[0]
    sizes = [
        sum(len(result.choices) for result in calibrated.search_many(texts, label_miss=miss, **ASKING))
        for miss in (0.05, 0.2, 0.5)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_too_many_labels_are_no_question(calibrated, asked):
    texts, _, results = asked
    text = next(text for text, result in zip(texts, results, strict=True) if len(result.choices) > 1)
    result = calibrated.search(text, limit=1, **ASKING)
    assert (result.decision, result.hits, result.choices) == ("abstain", (), ())
    assert "more than limit=1 to ask about" in result.reason


def test_labels_without_items_that_the_search_considers_are_no_choice(calibrated, asked):
    texts, _, results = asked
    text, result = next((text, found) for text, found in zip(texts, results, strict=True) if len(found.choices) > 1)
    gone = result.choices[-1].label
    others = models.Filter(must_not=[of_label(gone)])
    found = calibrated.search(text, query_filter=others, **ASKING)
    assert gone not in {choice.label for choice in found.choices}


def test_a_sure_result_is_answered_and_a_query_below_its_least_confidence_is_not_asked_about(calibrated):
    assert calibrated.search(CLEAR, target_precision=0.8, on_uncertain="clarify").decision == "answer"
    result = calibrated.search(CLEAR, min_query_confidence=1.0, **ASKING)
    assert (result.decision, result.choices, result.hits) == ("abstain", (), ())


def test_grouped_results_ask_too(calibrated, asked):
    texts, _, results = asked
    text, result = next((text, one) for text, one in zip(texts, results, strict=True) if one.decision == "clarify")
    grouped = calibrated.search_groups(text, group_by="fg.label", **ASKING)
    assert (grouped.result.decision, grouped.groups) == ("clarify", ())
    assert [choice.label for choice in grouped.result.choices] == [choice.label for choice in result.choices]
    clear = calibrated.search_groups(CLEAR, group_by="fg.label", target_precision=0.8, on_uncertain="clarify")
    assert (clear.result.decision, clear.result.choices) == ("answer", ())
    assert clear.groups


def test_what_it_needs_is_kept_with_the_index(tmp_path, encoder, rows, questions):
    texts = questions(60, 3)[0]
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        index.calibrate(*questions(300, 0))
        before = index.search_many(texts, **ASKING)
    with ConfidenceIndex(tmp_path / "i", encoder) as again:
        after = again.search_many(texts, **ASKING)
        assert [result.choices for result in after] == [result.choices for result in before]
        again.adapt(expected_unanswerable=0.5)
        asking = {**ASKING, "target_precision": 0.8}
        assert {result.decision for result in again.search_many(texts, **asking)} >= {"answer", "clarify"}


def test_what_was_asked_back_is_in_the_log_as_open(local, rows, questions):
    local.add(**rows)
    local.calibrate(*questions(400, 0))
    texts = questions(60, 3)[0]
    expected = local.search_many(texts, **ASKING)
    results = local.search_many(texts, log="uncertain", **ASKING)
    assert [(one.decision, one.choices, one.hits) for one in results] == [
        (one.decision, one.choices, one.hits) for one in expected
    ]
    logged = {query.text: query for query in local.logged_queries(limit=100)}
    for result in results:
        if result.uncertain:
            assert logged[result.query].decision == result.decision
            assert logged[result.query].is_open
            assert logged[result.query].nearest is not None
    assert "clarify" in {query.decision for query in logged.values()}


def test_labels_that_the_head_has_never_seen_are_choices_too(local, rows, questions):
    local.add(rows["texts"], labels=[f"new {label}" for label in rows["labels"]])
    texts, labels = questions(400, 0)
    local.calibrate(texts, [label and f"new {label}" for label in labels])
    texts, labels = questions(100, 1)
    results = local.search_many(texts, label_miss=0.4, **ASKING)
    asked = [(one, label) for one, label in zip(results, labels, strict=True) if one.decision == "clarify"]
    assert {choice.label[:4] for one, _ in asked for choice in one.choices} == {"new "}
    held = [f"new {label}" in {choice.label for choice in one.choices} for one, label in asked if label]
    assert np.mean(held) > 0.5


# what it takes


def test_too_few_uncertain_queries_promise_no_set(local, rows, questions):
    local.add(**rows)
    local.calibrate(*questions(40, 0))
    result = local.search("my quantum", target_precision=0.5, label_miss=0.01, on_uncertain="clarify")
    assert (result.decision, result.choices) == ("abstain", ())
    assert "it takes 99 to tell" in result.reason


def test_labels_are_asked_for_of_a_calibration_on_labels(local, rows, questions):
    local.add(**rows)
    like_items = [f"{text} please" for text in rows["texts"]]
    local.calibrate([*like_items, *questions(30, 0)[0]], [*rows["ids"], *[None] * 30])
    with pytest.raises(NotCalibratedError, match="calibrated on right ids, and on_uncertain='clarify' asks for"):
        local.search(CLEAR, **ASKING)
    with pytest.raises(NotCalibratedError, match="calibrated on right ids"):
        local.search_groups(CLEAR, group_by="parity", **ASKING)


def test_a_calibration_of_before_is_to_be_made_again(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        stored = index.calibrate(*questions(200, 0)).to_metadata()
        stored["fg_search_calibration"]["promise"].pop("right_label")
        index.client.update_collection(index.collection, metadata=stored)
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        assert index.search(CLEAR, target_precision=0.8).decision == "answer"
        with pytest.raises(NotCalibratedError, match="calibrate again, with the encoder at hand"):
            index.search(CLEAR, **ASKING)


def test_a_calibration_without_the_encoder_at_hand_promises_precision_alone(other_encoder, rows, questions):
    texts, labels = questions(200, 0)
    client = QdrantClient(":memory:")
    ConfidenceIndex(client, other_encoder).add(**rows)
    index = ConfidenceIndex(client)  # the encoder was never saved
    index.calibrate(texts, labels, embeddings=other_encoder.encode(texts))
    question = {"embeddings": other_encoder.encode([CLEAR])}
    assert index.search(CLEAR, target_precision=0.8, **question).confidence is not None
    with pytest.raises(NotCalibratedError, match="calibrate again, with the encoder at hand"):
        index.search(CLEAR, **ASKING, **question)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_uncertain": "clarify"}, "on_uncertain='clarify' needs target_precision"),
        ({"on_uncertain": "clarify", "min_query_confidence": 0.5}, "on_uncertain='clarify' needs target_precision"),
        ({"label_miss": 0.0, **ASKING}, "label_miss must be greater than 0 and less than 1"),
        ({"label_miss": 1, **ASKING}, "label_miss must be greater than 0 and less than 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(calibrated, options, message):
    with pytest.raises(ValueError, match=message):
        calibrated.search(CLEAR, **options)

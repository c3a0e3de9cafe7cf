"""Promises by label and by tenant, of an index whose answers for one label are wrong half of the time."""

import random

import numpy as np
import pytest
from read_only import read_only

from fg_search import ConfidenceIndex, IndexSettings

TARGET = 0.8
QUESTION = "please help my loan mortgage interest"
TENANTS = ("good", "bad")


def confused(questions, count, seed, name="loan"):
    """Questions of which those about one label are meant otherwise half of the time, whatever their words are."""
    texts, labels = questions(count, seed)
    rng = random.Random(seed)
    return texts, ["card" if label == name and rng.random() < 0.5 else label for label in labels]


@pytest.fixture(scope="module")
def by_label(tmp_path_factory, encoder, corpus, questions):
    """An index that was calibrated by label; no test changes it."""
    with ConfidenceIndex(tmp_path_factory.mktemp("by-label"), encoder) as index:
        texts, labels = corpus
        index.add(texts, labels=labels)
        index.calibrate(*confused(questions, 700, 0), promise_by="label")
        yield read_only(index)


@pytest.fixture(scope="module")
def by_tenant(tmp_path_factory, encoder, corpus, questions):
    """Two tenants with the same items; the queries of one are wrong half of the time."""
    folder = tmp_path_factory.mktemp("by-tenant")
    with ConfidenceIndex(folder, encoder, settings=IndexSettings(tenant_key="owner")) as index:
        texts, labels = corpus
        for tenant in TENANTS:
            index.tenant(tenant).add(texts, labels=labels)
        asked, right = questions(800, 0)
        tenants = [TENANTS[i % 4 == 0] for i in range(len(asked))]
        rng = random.Random(1)
        right = [
            "zzz" if label and tenant == "bad" and rng.random() < 0.5 else label
            for label, tenant in zip(right, tenants, strict=True)
        ]
        index.calibrate(asked, right, relevant_by="label", promise_by="tenant", tenants=tenants)
        yield read_only(index)


def test_a_label_that_is_wrong_half_of_the_time_is_never_answered(by_label):
    calibration = by_label.calibration
    assert calibration.promise_by == "label"
    loan, *others = calibration.groups(TARGET)
    assert (loan.group, loan.falls_short, loan.threshold.basis) == ("loan", True, "none")
    assert loan.precision == pytest.approx(0.5, abs=0.15)
    assert {row.group for row in others} == {"card", "travel", "food"}
    assert not any(row.falls_short for row in others)
    assert calibration.threshold(TARGET, group="loan").reason == loan.threshold.reason
    result = by_label.search(QUESTION, target_precision=TARGET, on_uncertain="abstain")
    assert (result.decision, result.hits) == ("abstain", ())
    assert "label loan falls short of a precision of 80.0%" in result.reason


def test_each_answer_reaches_the_threshold_of_its_label(by_label, questions):
    calibration = by_label.calibration
    texts, labels = confused(questions, 250, 5)
    results = by_label.search_many(texts, limit=1, target_precision=TARGET)
    least = calibration.least(TARGET, [result.hits[0].label for result in results])
    answered = np.array([not result.uncertain for result in results])
    assert (answered == (np.array([result.confidence for result in results]) >= least)).all()
    right = np.array([result.hits[0].label == label for result, label in zip(results, labels, strict=True)])
    assert answered.sum() > 60
    assert right[answered].mean() >= TARGET
    (at_target,) = [one for one in by_label.evaluate(texts, labels).precisions if one.target == 0.9]
    answered = [r for r in by_label.search_many(texts, limit=1, target_precision=0.9) if not r.uncertain]
    assert at_target.coverage == len(answered) / len(texts)


def test_one_query_alone_and_grouped_hits_are_decided_likewise(by_label):
    for text in (QUESTION, "please help my pizza recipe"):
        alone = by_label.search(text, target_precision=TARGET)
        (among,) = by_label.search_many([text], target_precision=TARGET)
        grouped = by_label.search_groups(text, group_by="fg.label", target_precision=TARGET).result
        assert alone.uncertain == among.uncertain == grouped.uncertain
        assert alone.reason == among.reason == grouped.reason


def test_a_query_whose_label_falls_short_is_asked_back(by_label, questions):
    texts, labels = confused(questions, 300, 7)
    results = by_label.search_many(texts, limit=4, target_precision=TARGET, on_uncertain="clarify")
    asked = [
        (label, [choice.label for choice in result.choices])
        for result, label in zip(results, labels, strict=True)
        if result.uncertain and label is not None
    ]
    assert sum("loan" in choices for _, choices in asked) > 30
    assert np.mean([label in choices for label, choices in asked]) >= 0.85


def test_thresholds_by_label_are_kept_with_the_index(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        calibration = index.calibrate(*confused(questions, 400, 0), promise_by="label")
        assert index.adapt(expected_unanswerable=0.3).promise_by == "label"
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        assert index.calibration.groups(TARGET)[0].group == "loan"
        assert index.calibration.key == calibration.key
        assert index.search(QUESTION, target_precision=TARGET).uncertain
        index.calibrate(*confused(questions, 400, 0))
        assert index.calibration.promise_by is None


def test_a_tenant_whose_answers_are_wrong_more_often_has_a_higher_threshold_or_none(by_tenant):
    calibration = by_tenant.calibration
    assert calibration.promise_by == "tenant"
    found = {row.group: row for row in calibration.groups(TARGET)}
    assert (found["bad"].judged, found["good"].judged) == (200, 600)
    assert found["bad"].falls_short
    assert found["good"].is_promised
    text = "my pizza recipe cheese"
    bad, good = (by_tenant.tenant(name).search(text, target_precision=TARGET) for name in ("bad", "good"))
    assert (bad.uncertain, good.uncertain) == (True, False)
    assert "tenant bad" in bad.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"promise_by": "word"}, "promise_by must be"),
        ({"promise_by": "tenant"}, r"give tenants=\[…\]"),
        ({"tenants": ["good"]}, "tenants has 1 items, relevant 2, queries 2"),
        ({"tenants": "good"}, "tenants must be a list"),
    ],
)
def test_bad_groups_are_refused(by_tenant, options, message):
    index = by_tenant
    with pytest.raises((ValueError, TypeError), match=message):
        index.calibrate(["my card", "my loan"], ["card", "loan"], relevant_by="label", **options)


def test_a_chosen_tenant_leaves_no_others(by_tenant):
    with pytest.raises(ValueError, match="'good' was chosen already"):
        by_tenant.tenant("good").calibrate(["my card"], ["card"], relevant_by="label", tenants=["good"])


def test_items_taken_for_queries_promise_nothing_by_label(by_label):
    with pytest.raises(ValueError, match="single labels or tenants; give queries"):
        by_label.calibrate(promise_by="label")

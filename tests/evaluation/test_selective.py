import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from fg_search.evaluation import (
    abstention_nauc,
    at_coverages,
    aurc,
    auroc,
    average_precision,
    coverage_at_precision,
    excess_aurc,
    risk_coverage_curve,
    selective_report,
)

answers = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40)


def columns(pairs):
    return np.array([c for c, _ in pairs]), np.array([ok for _, ok in pairs])


@given(answers)
def test_auroc_counts_pairs(pairs):
    confidence, correct = columns(pairs)
    right, wrong = confidence[correct], confidence[~correct]
    if not len(right) or not len(wrong):
        assert np.isnan(auroc(confidence, correct))
        return
    wins = (right[:, None] > wrong).mean() + 0.5 * (right[:, None] == wrong).mean()
    assert auroc(confidence, correct) == pytest.approx(wins)
    assert auroc(confidence, correct) == pytest.approx(roc_auc_score(correct, confidence))
    assert average_precision(confidence, correct) == pytest.approx(average_precision_score(correct, confidence))


@given(answers)
def test_aurc_is_the_mean_risk_over_random_orders_of_ties(pairs):
    confidence, correct = columns(pairs)
    rng = np.random.default_rng(0)
    risks = []
    for _ in range(300):
        order = np.lexsort((rng.random(len(pairs)), -confidence))
        risks.append((np.cumsum(~correct[order]) / np.arange(1, len(pairs) + 1)).mean())
    assert aurc(confidence, correct) == pytest.approx(np.mean(risks), abs=5 * np.std(risks) / np.sqrt(300) + 1e-9)


@given(answers)
def test_excess_aurc_is_the_distance_to_the_best_order(pairs):
    confidence, correct = columns(pairs)
    n, wrong = len(pairs), int((~correct).sum())
    best = sum(max(0, k - (n - wrong)) / k for k in range(1, n + 1)) / n
    assert excess_aurc(confidence, correct) == pytest.approx(aurc(confidence, correct) - best)
    assert excess_aurc(correct, correct) == pytest.approx(0)


@given(answers)
def test_a_risk_coverage_curve_has_a_point_for_every_threshold(pairs):
    confidence, correct = columns(pairs)
    curve = risk_coverage_curve(confidence, correct)
    assert [point.threshold for point in curve] == sorted(set(confidence), reverse=True)
    for point in curve:
        answered = confidence >= point.threshold
        assert point.coverage == pytest.approx(answered.mean())
        assert point.risk == pytest.approx((~correct[answered]).mean())


def test_the_table_of_a_curve_holds_the_points_nearest_above_each_tenth():
    curve = risk_coverage_curve([0.9, 0.9, 0.5, 0.2], [True, False, True, False])
    assert [(point.coverage, point.risk) for point in at_coverages(curve)] == [
        (0.5, 0.5),
        (0.75, pytest.approx(1 / 3)),
        (1.0, 0.5),
    ]


@given(answers, st.sampled_from([0.5, 0.9, 1.0]))
def test_coverage_is_the_best_of_all_thresholds(pairs, precision):
    confidence, correct = columns(pairs)
    best = 0.0
    for threshold in confidence:
        answered = confidence >= threshold
        if correct[answered].mean() >= precision:
            best = max(best, answered.mean())
    assert coverage_at_precision(confidence, correct, precision) == pytest.approx(best)


def test_abstention_nauc_is_the_share_of_the_oracle_area_above_a_flat_curve():
    # ten queries: abstention rates 0, .1 … .9 drop 0, 1 … 9 of them
    confidence = np.arange(10) / 10
    quality = np.array([0, 1, 0, 0, 1, 1, 0, 1, 1, 1], dtype=float)

    def area(order):
        curve = [quality[order][dropped:].mean() for dropped in range(10)]
        return sum((a + b) / 2 * 0.1 for a, b in itertools.pairwise(curve))

    flat = quality.mean() * 0.9
    expected = (area(np.arange(10)) - flat) / (area(np.argsort(quality)) - flat)
    assert abstention_nauc(confidence, quality) == pytest.approx(expected)
    assert abstention_nauc(quality, quality) == pytest.approx(1)
    assert abstention_nauc(-quality, quality) < 0
    assert np.isnan(abstention_nauc(confidence, np.ones(10)))


def test_abstention_nauc_is_that_of_mteb():
    # what mteb 2's nauc gives for the same numbers: ties in their order, rates that are rounded to whole queries
    numbers = np.arange(37)
    confidence = numbers * 7 % 37 % 10 / 10
    assert abstention_nauc(confidence, numbers**2 % 11 > 4) == pytest.approx(0.11241901638070581, rel=1e-12)
    assert abstention_nauc(confidence, 1 / (1 + numbers * 5 % 13)) == pytest.approx(0.033775792438004396, rel=1e-12)
    almost = np.ones(100_000)
    almost[0] = 0
    assert abstention_nauc(np.arange(100_000), almost) == pytest.approx(1)  # one wrong answer of very many is enough


def test_report_counts_recall_in_scope_and_everything_else_over_all():
    report = selective_report([0.9, 0.8, 0.4, 0.1], [True, True, False, False], [True, True, True, False])
    assert (report.queries, report.in_scope) == (4, 3)
    assert report.queries == 4
    assert report.recall_at_1 == pytest.approx(2 / 3)
    assert report.auroc == report.average_precision == report.out_of_scope_auroc == 1.0
    assert report.excess_aurc == pytest.approx(0)
    assert report.coverage_at_99 == 0.5
    assert report.fpr_at_95_tpr == 0


def test_report_without_out_of_scope_queries_has_no_such_figures():
    report = selective_report([0.9, 0.8, 0.4], [True, True, False], [True, True, True])
    assert np.isnan(report.out_of_scope_auroc)
    assert np.isnan(report.fpr_at_95_tpr)
    assert report.auroc == 1.0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="equally long"):
        aurc([0.1, 0.2], [True])
    with pytest.raises(ValueError, match=r"confidence\[1\] is NaN"):
        coverage_at_precision([0.1, float("nan")], [True, False], 0.9)
    with pytest.raises(ValueError, match=r"correct\[1\] is true, but the query is out of scope"):
        selective_report([0.1, 0.2], [True, True], [True, False])
    with pytest.raises(ValueError, match="equally long"):
        abstention_nauc([0.1, 0.2], [1.0])


def test_the_abstention_curve_refuses_numbers_that_are_none():
    with pytest.raises(ValueError, match="finite"):
        abstention_nauc([0.1, float("nan"), 0.3], [1, 0, 1])

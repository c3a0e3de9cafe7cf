import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.evaluation import aurc, coverage_at_precision, selective_report

answers = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40)


@given(answers)
def test_aurc_is_the_mean_risk_over_random_orders_of_ties(pairs):
    confidence, correct = np.array([c for c, _ in pairs]), np.array([ok for _, ok in pairs])
    rng = np.random.default_rng(0)
    risks = []
    for _ in range(300):
        order = np.lexsort((rng.random(len(pairs)), -confidence))
        risks.append((np.cumsum(~correct[order]) / np.arange(1, len(pairs) + 1)).mean())
    assert aurc(confidence, correct) == pytest.approx(np.mean(risks), abs=5 * np.std(risks) / np.sqrt(300) + 1e-9)


@given(answers, st.sampled_from([0.5, 0.9, 1.0]))
def test_coverage_is_the_best_of_all_thresholds(pairs, precision):
    confidence, correct = np.array([c for c, _ in pairs]), np.array([ok for _, ok in pairs])
    best = 0.0
    for threshold in confidence:
        answered = confidence >= threshold
        if correct[answered].mean() >= precision:
            best = max(best, answered.mean())
    assert coverage_at_precision(confidence, correct, precision) == pytest.approx(best)


def test_report_counts_recall_in_scope_and_everything_else_over_all():
    report = selective_report([0.9, 0.8, 0.4, 0.1], [True, True, False, False], [True, True, True, False])
    assert report.queries == 4
    assert report.recall_at_1 == pytest.approx(2 / 3)
    assert report.auroc == 1.0
    assert report.coverage_at_99 == 0.5


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="equally long"):
        aurc([0.1, 0.2], [True])
    with pytest.raises(ValueError, match=r"confidence\[1\] is NaN"):
        coverage_at_precision([0.1, float("nan")], [True, False], 0.9)

"""Out of scope, calibration, retrieval and the bootstrap, each against its definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from fg_search.evaluation import (
    auroc,
    bootstrap_interval,
    brier_score,
    expected_calibration_error,
    fpr_at_tpr,
    out_of_scope_auroc,
    r_auroc,
    recall_at_k,
    reliability_bins,
    selective_intervals,
    selective_report,
    wilson_interval,
)

outcomes = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60)


@given(outcomes, st.sampled_from([0.5, 0.95, 1.0]))
def test_fpr_at_tpr_is_read_off_the_roc_curve(pairs, tpr):
    confidence, inside = np.array([c for c, _ in pairs]), np.array([i for _, i in pairs])
    if inside.all() or not inside.any():
        assert np.isnan(fpr_at_tpr(confidence, inside, tpr))
        return
    fpr, reached, _ = roc_curve(inside, confidence, drop_intermediate=False)
    assert fpr_at_tpr(confidence, inside, tpr) == pytest.approx(fpr[np.argmax(reached >= tpr - 1e-9)])
    assert out_of_scope_auroc(confidence, inside) == pytest.approx(roc_auc_score(inside, confidence))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_ece_is_the_weighted_gap_of_the_bins(pairs, bins):
    probability, correct = np.array([p for p, _ in pairs]), np.array([ok for _, ok in pairs])
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (probability > low) & (probability <= high)
        if low == 0:
            inside |= probability == 0
        if inside.any():
            total += inside.mean() * abs(probability[inside].mean() - correct[inside].mean())
    assert expected_calibration_error(probability, correct, bins=bins) == pytest.approx(total)
    assert brier_score(probability, correct) == pytest.approx(np.mean((probability - correct) ** 2))
    assert brier_score(probability, correct) == pytest.approx(brier_score_loss(correct, probability, labels=[0, 1]))


def test_calibration_metrics_refuse_what_is_no_probability():
    with pytest.raises(ValueError, match=r"probability\[1\] is 1.5, outside 0 to 1"):
        expected_calibration_error([0.5, 1.5], [True, False])
    with pytest.raises(ValueError, match="bins"):
        expected_calibration_error([0.5], [True], bins=0)


def test_recall_at_k_counts_queries_with_a_relevant_hit():
    relevant = [[False, True, False], [False, False, True], [True, False, False]]
    assert [recall_at_k(relevant, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])
    with pytest.raises(ValueError, match="k must be between 1 and the 3 hits"):
        recall_at_k(relevant, 4)
    with pytest.raises(ValueError, match="at least one query"):
        recall_at_k(np.empty((0, 3)), 1)


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=60), st.sampled_from([1, 8, 10]))
def test_reliability_bins_are_what_lies_between_their_edges(pairs, bins):
    probability, correct = np.array([p / 40 for p, _ in pairs]), np.array([ok for _, ok in pairs])
    found = reliability_bins(probability, correct, bins=bins)
    assert sum(bin_.queries for bin_ in found) == len(pairs)
    assert [bin_.low for bin_ in found] == sorted({bin_.low for bin_ in found})
    for bin_ in found:
        inside = (probability > bin_.low if bin_.low else probability >= 0) & (probability <= bin_.high)
        assert bin_.high - bin_.low == pytest.approx(1 / bins)
        assert bin_.queries == inside.sum()
        assert bin_.right == pytest.approx(correct[inside].mean())
        assert bin_.promised == pytest.approx(probability[inside].mean())
        assert 0 <= bin_.interval[0] <= bin_.right <= bin_.interval[1] <= 1
    gaps = sum(bin_.queries / len(pairs) * abs(bin_.right - bin_.promised) for bin_ in found)
    assert expected_calibration_error(probability, correct, bins=bins) == pytest.approx(gaps)


def test_reliability_bins_refuse_what_is_no_probability():
    with pytest.raises(ValueError, match=r"probability\[1\] is 1.5, outside 0 to 1"):
        reliability_bins([0.5, 1.5], [True, False])
    with pytest.raises(ValueError, match="bins must be an integer of at least 1"):
        reliability_bins([0.5], [True], bins=0)


def test_wilson_interval_of_a_textbook():
    # 10 of 20: Newcombe (1998) and every table of it give .299 to .701
    assert wilson_interval(0.5, 20) == pytest.approx((0.299, 0.701), abs=5e-4)
    for count in range(1, 100):
        assert wilson_interval(1.0, count)[1] == 1.0
        assert wilson_interval(0.0, count)[0] == 0.0


def test_r_auroc_looks_at_the_nearest_other_item():
    rng = np.random.default_rng(0)
    embeddings, labels, confidence = rng.standard_normal((60, 5)), rng.integers(0, 3, 60), rng.random(60)
    right = []
    for i, row in enumerate(embeddings):
        cosine = [
            -np.inf if j == i else row @ other / np.linalg.norm(row) / np.linalg.norm(other)
            for j, other in enumerate(embeddings)
        ]
        right.append(labels[int(np.argmax(cosine))] == labels[i])
    assert r_auroc(embeddings, labels, confidence) == pytest.approx(roc_auc_score(right, confidence))
    with pytest.raises(ValueError, match="labels must be one for each"):
        r_auroc(embeddings, labels[:-1], confidence)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        interval = bootstrap_interval(np.mean, rng.random(80) < 0.7, level=0.9, resamples=200, seed=seed)
        covered += interval.low <= 0.7 <= interval.high
    assert 0.82 < covered / 200 < 0.96


def test_a_metric_that_no_resample_has_leaves_the_interval_open():
    found = bootstrap_interval(auroc, [0.1, 0.5, 0.9], [True, True, True], resamples=20)
    assert np.isnan([found.estimate, found.low, found.high]).all()
    some = bootstrap_interval(auroc, [0.1, 0.5, 0.9], [False, True, True], resamples=50)  # some resamples lack a class
    assert 0 <= some.low <= some.high <= 1


def test_intervals_of_a_report_hold_its_metrics():
    rng = np.random.default_rng(0)
    confidence = rng.random(200)
    correct = rng.random(200) < confidence
    report = selective_report(confidence, correct, np.ones(200, dtype=bool))
    found = selective_intervals(confidence, correct, resamples=100)
    for name in ("auroc", "aurc", "abstention_nauc"):
        interval = getattr(found, name)
        assert interval.low < interval.estimate == getattr(report, name) < interval.high
    assert found == selective_intervals(confidence, correct, resamples=100)


def test_bootstrap_resamples_columns_together_and_repeats_by_seed():
    confidence = np.linspace(0, 1, 50)
    first, again, other = (
        bootstrap_interval(roc_auc_score, confidence > 0.5, confidence, seed=seed, resamples=100) for seed in (0, 0, 1)
    )
    assert first == again
    assert (first.estimate, first.low, first.high) == pytest.approx(
        (1, 1, 1)
    )  # shuffled apart it would be near one half
    assert other.level == 0.95
    with pytest.raises(ValueError, match="equally long"):
        bootstrap_interval(np.mean, [1, 2], [1])
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(np.mean, [1, 2], level=1)

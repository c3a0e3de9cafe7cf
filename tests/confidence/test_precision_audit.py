"""Bounds of an audit: valid whenever one looks, exact once all was judged, and telling after fifty judgements."""

import numpy as np
import pytest

from fg_search.confidence.precision_audit import PrecisionAudit


def audited(outcomes, *, total=None, weights=None, delta=0.1):
    audit = PrecisionAudit(total=total, delta=delta)
    for i, right in enumerate(outcomes):
        audit.add(bool(right), 1.0 if weights is None else float(weights[i]))
    return audit


def allowed(share, draws):
    """Most misses that chance explains, three standard deviations over the share."""
    return share * draws + 3 * np.sqrt(share * (1 - share) * draws)


@pytest.mark.parametrize("precision", [0.8, 0.95])
def test_a_bound_is_ever_wrong_in_a_tenth_of_the_streams_at_most(precision):
    rng, draws = np.random.default_rng(0), 300
    audits = [audited(rng.random(200) < precision) for _ in range(draws)]  # each looks at all 200 moments
    assert sum(audit.proves(precision) for audit in audits) <= allowed(0.1, draws)
    assert sum(audit.refutes(precision) for audit in audits) <= allowed(0.1, draws)


@pytest.mark.parametrize("frequent_are_right", [True, False])
def test_the_same_by_weight_without_replacement_where_frequent_queries_are_unlike_the_others(frequent_are_right):
    rng, draws, count = np.random.default_rng(1), 300, 200
    weights = np.ceil(500 / np.arange(1, count + 1))
    chance = np.where(np.arange(count) < 10, *((0.99, 0.7) if frequent_are_right else (0.3, 0.99)))
    too_high = too_low = unweighted = 0
    for _ in range(draws):
        right = rng.random(count) < chance
        precision = weights @ right / weights.sum()
        order = np.argsort(rng.exponential(size=count) / weights)[:100]
        audit = audited(right[order], total=weights.sum(), weights=weights[order])
        too_high += audit.proves(precision + 1e-6)
        too_low += audit.refutes(precision - 1e-6)
        unweighted += audited(right[order]).proves(precision) or audited(right[order]).refutes(precision)
    assert too_high <= allowed(0.1, draws)
    assert too_low <= allowed(0.1, draws)
    assert unweighted > draws / 2  # what the weights are for


def test_fifty_judgements_tell_something():
    bounds = audited([True] * 50).bounds
    assert bounds.lower == pytest.approx(0.942, abs=0.002)
    assert bounds.upper == 1
    audit = audited([False] + [True] * 49)
    assert (audit.proves(0.9), audit.proves(0.88)) == (False, True)
    rng = np.random.default_rng(2)
    assert sum(audited(rng.random(50) < 0.8).refutes(0.95) for _ in range(100)) > 70


def test_a_bound_that_was_reached_stays_however_it_goes_on():
    audit = PrecisionAudit()
    lower = [audit.observe(right).lower for right in [True] * 30 + [False] * 10]
    assert lower == sorted(lower)
    assert lower[29] > 0.85


def test_once_all_is_judged_both_bounds_are_the_precision():
    audit = audited([True, False, True, True], total=10, weights=[4, 1, 3, 2])
    bounds = audit.bounds
    assert bounds.lower == pytest.approx(0.9, abs=1e-5)
    assert bounds.upper == pytest.approx(0.9, abs=1e-5)
    assert (bounds.judged, bounds.right) == (4, 3)


def test_the_estimate_is_unbiased_by_weight():
    rng, weights, right = np.random.default_rng(3), np.array([6.0, 2, 1, 1]), np.array([False, True, True, False])
    estimates = []
    for _ in range(2000):
        order = np.argsort(rng.exponential(size=4) / weights)[:2]
        audit = audited(right[order], total=10, weights=weights[order])
        estimates.append(audit.estimate)
    assert np.mean(estimates) == pytest.approx(0.3, abs=0.02)


def test_before_anything_is_judged_nothing_is_known():
    bounds = PrecisionAudit(total=5).bounds
    assert (bounds.lower, bounds.upper, bounds.judged) == (0, 1, 0)
    assert np.isnan(bounds.estimate)
    assert not PrecisionAudit().proves(0.01)
    assert "0 of 0 right" in repr(PrecisionAudit())


def test_a_smaller_delta_is_slower_to_believe():
    assert audited([True] * 50, delta=0.01).bounds.lower < audited([True] * 50).bounds.lower


@pytest.mark.parametrize("arguments", [{"delta": 0}, {"delta": 1.0}, {"total": 0}, {"total": float("inf")}])
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be"):
        PrecisionAudit(**arguments)


def test_weights_out_of_range_are_refused():
    audit = PrecisionAudit(total=3)
    with pytest.raises(ValueError, match="weight must be"):
        audit.observe(True, 0)
    audit.observe(True, 2)
    with pytest.raises(ValueError, match="more than the total of 3"):
        audit.observe(True, 2)
    assert audit.judged == 1


def test_a_judgement_is_right_or_wrong():
    audit = PrecisionAudit()
    for unknown in (float("nan"), "wrong", None):
        with pytest.raises(ValueError, match="right must be a boolean"):
            audit.observe(unknown)
    assert audit.judged == 0


def test_only_a_precision_between_0_and_1_is_proved_or_refuted():
    audit = audited([True] * 50)
    assert audit.proves(0.9)
    for target in (0, 1, 1.5, None):
        for asked in (audit.proves, audit.refutes):
            with pytest.raises(ValueError, match="target must be greater than 0"):
                asked(target)

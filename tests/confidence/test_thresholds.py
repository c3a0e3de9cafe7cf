import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from fg_search import threshold_for_precision


def draw(rng, n, ability):
    """Confidences, and answers that are right with a chance that rises with them."""
    confidence = rng.random(n)
    return confidence, rng.random(n) < ability(confidence)


ABILITIES = {
    "gradual": (lambda c: 0.5 + 0.5 * c, lambda t: 0.5 + 0.5 * (1 + t) / 2),
    "never good enough": (lambda c: np.full_like(c, 0.89), lambda t: 0.89),
    # right below .6 by chance, above it nearly always: the target is met from .5385 upwards
    "step": (
        lambda c: np.where(c > 0.6, 0.99, 0.4),
        lambda t: 0.99 if t > 0.6 else (0.396 + 0.4 * (0.6 - t)) / (1 - t),
    ),
}


@pytest.mark.parametrize("ability", ABILITIES)
@pytest.mark.parametrize(("n", "delta"), [(150, 0.1), (1000, 0.1), (1000, 0.02)])
def test_the_target_is_missed_in_at_most_delta_of_the_draws(ability, n, delta):
    right_with, true_precision = ABILITIES[ability]
    rng = np.random.default_rng(7)
    draws = 600
    missed = 0
    for _ in range(draws):
        found = threshold_for_precision(*draw(rng, n, right_with), target=0.9, delta=delta)
        missed += found.threshold is not None and true_precision(found.threshold) < 0.9
    assert missed <= binom.ppf(0.999, draws, delta)


def test_it_is_not_needlessly_careful():
    rng = np.random.default_rng(0)
    coverages = [
        threshold_for_precision(*draw(rng, 3000, lambda c: 0.5 + 0.5 * c), target=0.9).coverage for _ in range(50)
    ]
    assert np.mean(coverages) > 0.7 * 0.4  # .4 of the queries could be answered if the truth were known


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=300), st.sampled_from([0.5, 0.8]))
def test_the_result_describes_the_data(pairs, target):
    confidence, correct = np.array([c for c, _ in pairs]), np.array([ok for _, ok in pairs])
    found = threshold_for_precision(confidence, correct, target)
    assert found.queries == len(pairs)
    if found:
        answered = confidence >= found.threshold
        assert found.coverage == pytest.approx(answered.mean())
        assert found.precision == pytest.approx(correct[answered].mean())
        assert found.precision >= target
    else:
        assert found.threshold is None
        assert found.coverage == 0
        assert np.isnan(found.precision)


def test_the_order_of_the_queries_does_not_matter():
    rng = np.random.default_rng(3)
    confidence, correct = draw(rng, 400, lambda c: 0.7 + 0.3 * c)
    confidence = confidence.round(2)
    shuffled = rng.permutation(400)
    assert threshold_for_precision(confidence, correct, 0.8) == threshold_for_precision(
        confidence[shuffled], correct[shuffled], 0.8
    )


def test_too_few_queries_say_how_many_it_takes():
    found = threshold_for_precision([0.9] * 10, [True] * 10, 0.95)
    assert not found
    assert "takes 45" in str(found)
    assert 0.95**45 <= 0.1 < 0.95**44


def test_answers_that_are_not_good_enough_are_said_to_be():
    found = threshold_for_precision(np.linspace(0, 1, 500), [True, False] * 250, 0.9)
    assert not found
    assert "no threshold reaches a precision of 90.0%" in str(found)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="target"):
        threshold_for_precision([0.5], [True], 1.0)
    with pytest.raises(ValueError, match="delta"):
        threshold_for_precision([0.5], [True], 0.9, delta=0)
    with pytest.raises(ValueError, match=r"confidence\[1\] is NaN"):
        threshold_for_precision([0.5, float("nan")], [True, True], 0.9)
    with pytest.raises(ValueError, match=r"correct\[0\] is 0.5"):
        threshold_for_precision([0.5], [0.5], 0.9)
    with pytest.raises(ValueError, match="equally long"):
        threshold_for_precision([], [], 0.9)


def test_a_target_close_to_one_says_at_once_how_many_queries_it_takes():
    found = threshold_for_precision([1.0] * 10, [True] * 10, target=0.999999)
    assert "it takes 2302584" in found.reason

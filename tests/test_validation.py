"""The quick checks accept what the exact ones accept, and refuse what they refuse."""

import numpy as np
import pytest

from fg_search.validation import check_distributions, check_vectors


def _uniform(items: int) -> np.ndarray:
    return np.full((items, 4, 8), 1 / 8, dtype=np.float32)


@pytest.mark.parametrize("off", [0.0, 9e-4, -9e-4])
def test_distributions_may_be_off_by_rounding_in_every_group(off: float) -> None:
    # all together they are off by more than one of them may be
    check_distributions(_uniform(50) * np.float32(1 + off), name="p")


@pytest.mark.parametrize("off", [1.2e-3, -1.2e-3, 1.0])
def test_one_group_that_does_not_sum_to_1_is_told(off: float) -> None:
    probabilities = _uniform(50)
    probabilities[17, 2] *= 1 + off
    with pytest.raises(ValueError, match=r"p\[17\] is no distribution"):
        check_distributions(probabilities, name="p")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -0.5])
def test_a_number_that_is_no_probability_is_told(wrong: float) -> None:
    probabilities = _uniform(5)
    probabilities[3, 1, :2] = wrong, 0.25 - wrong
    with pytest.raises(ValueError, match=r"p\[3\] is no distribution"):
        check_distributions(probabilities, name="p")


@pytest.mark.parametrize("largest", [1e30, -3e38])
def test_finite_vectors_pass_even_if_their_square_is_infinite(largest: float) -> None:
    vectors = np.array([[1.0, largest], [0.0, 1.0]], dtype=np.float32)
    assert check_vectors(vectors, name="v") is vectors


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_vectors_with_other_numbers_are_told(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"v\[1\] holds NaN or infinite"):
        check_vectors([[1.0, 1e30], [wrong, 1.0]], name="v")

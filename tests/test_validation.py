"""What is refused as input, and what is not; quick checks accept what exact ones accept."""

import math

import numpy as np
import pytest

from fg_search.validation import check_distributions, check_label, check_text, check_vectors, is_blank


class NAType:
    """As of pandas: it is compared with nothing."""

    def __eq__(self, other):
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = None

    def __repr__(self):
        return "<NA>"


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\ufeff \u200d", "\ufe0f", "\u3164", "\u2800\u2800", "\u0301"])
def test_a_text_of_which_nothing_can_be_seen_is_empty(text):
    assert is_blank(text)
    with pytest.raises(ValueError, match=r"texts\[3\] is empty.*drop the item"):
        check_text(text, "texts[3]")
    with pytest.raises(ValueError, match="use None"):
        check_label(text, "labels[0]")


@pytest.mark.parametrize("text", ["a", "👍", "1\ufe0f\u20e3", "\u200bx", "ก", "e\u0301", "?", "\U0001fadf", "\ue000"])
def test_whatever_can_be_seen_is_a_text(text):
    check_text(text, "text")
    check_label(text, "label")


@pytest.mark.parametrize("value", [math.nan, np.float32("nan"), NAType()])
def test_a_missing_value_is_no_label_and_no_text(value):
    assert check_label(value, "labels[2]") is None
    with pytest.raises(TypeError, match=r"texts\[2\] is missing"):
        check_text(value, "texts[2]")


@pytest.mark.parametrize("value", [3, 3.0, np.int8(3), np.float64(3)])
def test_a_whole_number_is_a_label_by_its_digits(value):
    assert check_label(value, "labels[0]") == "3"


@pytest.mark.parametrize("value", [3.5, True, np.bool_(True), math.inf, 3j, b"3"])
def test_nothing_else_is_a_label(value):
    with pytest.raises(TypeError, match=r"use str\(label\)"):
        check_label(value, "labels[0]")


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

import math

import numpy as np
import pytest

from fg_search.validation import check_label, check_text, is_blank


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


def test_a_number_may_be_made_a_label():
    with pytest.raises(TypeError, match=r"use str\(label\)"):
        check_label(3, "labels[0]")

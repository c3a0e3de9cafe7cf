import numpy as np
import pytest

from fg_search.model.partition import alike, gathered, listed, spans, title


def test_a_code_gathers_the_labels_that_mostly_have_it():
    labels = ["tents", "stoves", "boots"]
    rows = np.array([0, 0, 0, 1, 1, 1, 1, 2, -1])
    codes = np.array([2, 2, 0, 2, 0, 2, 2, 1, 0])
    assert gathered(labels, rows, codes, 4) == [(), ("boots",), ("stoves", "tents"), ()]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([["tents", "sleeping bags"], ["a", "b", "c", "d"]], "tents and sleeping bags against the rest"),
        ([["a", "b", "c"], ["tents"]], "tents against a, b and c"),
        ([["a"], ["b"], ["c"]], "3 labels, each with a code of its own: a, b and c"),
        ([["a"], ["b", "c"], ["d", "e"], ["f"], ["g"]], "b and c | d and e | a | 2 more"),
        ([["a", "b"]], "nothing: all labels share one code"),
    ],
)
def test_a_group_is_named_by_what_it_separates(parts, expected):
    assert title(tuple(map(tuple, parts))) == expected


def test_many_names_are_cut():
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed([*"abcd"]) == "a, b, c and d"
    assert listed([*"abcde"]) == "a, b, c and 2 more"


def test_numbers_in_a_row_are_folded():
    assert spans([]) == ""
    assert spans([0, 3, 4, 7, 8, 9, 63]) == "0, 3, 4, 7 to 9, 63"


def test_groups_of_one_partition_are_together():
    assert alike(["x", "y", "x", "z", "y"]) == ((0, 2), (1, 4), (3,))

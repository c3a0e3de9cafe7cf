"""Sets of labels: they hold the right one as often as promised, by queries that may be exchanged with new ones."""

import numpy as np
import pytest

from fg_search.confidence.label_sets import fewest_queries, label_cutoff, label_weights


@pytest.mark.parametrize("miss", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("queries", [19, 60, 200])
def test_the_right_label_is_missed_as_seldom_as_promised(miss, queries):
    """Whatever the probabilities are worth, over draws of the queries of the calibration and of new ones."""
    rng = np.random.default_rng(queries)
    draws = 4_000
    probability = rng.beta(2, 1, size=(draws, queries + 1))
    missed = np.mean([new < label_cutoff(old, miss).cutoff for *old, new in probability.tolist()])
    assert missed <= miss + 3 * (miss * (1 - miss) / draws) ** 0.5
    assert missed >= miss - 1 / (queries + 1) - 3 * (miss / draws) ** 0.5  # and no set is larger than it has to be


@pytest.mark.parametrize("miss", [0.01, 0.05, 0.1, 0.2, 0.5])
def test_the_fewest_queries_are_just_enough(miss):
    fewest = fewest_queries(miss)
    assert label_cutoff([0.5] * fewest, miss)
    found = label_cutoff([0.5] * (fewest - 1), miss)
    assert not found
    assert f"it takes {fewest}" in found.reason


def test_right_labels_that_are_no_candidates_leave_nothing_to_promise():
    found = label_cutoff([0.0] * 3 + [0.9] * 16, 0.1)
    assert found.cutoff is None
    assert "not among the candidates of 15.8%" in str(found)
    assert label_cutoff([0.0] * 3 + [0.9] * 16, 0.2).cutoff == 0.9


@pytest.mark.parametrize(
    ("probability", "miss", "message"),
    [
        ([0.5], 0.0, "miss must be greater than 0"),
        ([0.5], 1, "miss must be"),
        ([1.5], 0.1, r"n numbers in \[0, 1\]"),
        ([[0.5]], 0.1, r"n numbers in \[0, 1\]"),
        ([float("nan")], 0.1, r"n numbers in \[0, 1\]"),
    ],
)
def test_what_is_no_probability_is_refused(probability, miss, message):
    with pytest.raises(ValueError, match=message):
        label_cutoff(probability, miss)


def test_weights_are_relative_to_the_most_probable_label():
    posterior = np.array([[0.6, 0.4], [0.2, 0.8]])
    assert label_weights(posterior, [[1.0, 3.0], [0.0, 0.0]]) == pytest.approx(np.array([[1, 2 / 3], [1 / 4, 1]]))
    assert label_weights(np.empty((2, 0)), [[1.0, 3.0], [0.0, 0.0]]) == pytest.approx(np.array([[1 / 3, 1], [0, 0]]))


def test_labels_that_the_head_does_not_know_have_the_share_of_their_votes():
    weights = label_weights([[0.8, 0.2], [0.8, 0.2]], [[1.0, 0.0, 3.0], [0.0, 0.0, 2.0]])
    assert weights == pytest.approx(np.array([[0.2 / 0.75, 0.05 / 0.75, 1], [0, 0, 1]]))

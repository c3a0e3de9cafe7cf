"""Slices of judged queries, against counting by hand."""

import math

import numpy as np
import pytest

from fg_search.evaluation import Proportion, foremost, slices_of, wilson_interval


@pytest.fixture
def outcomes():
    """Answered, right and answerable, of 300 queries."""
    rng = np.random.default_rng(0)
    answerable = rng.random(300) < 0.8
    correct = answerable & (rng.random(300) < 0.9)
    return rng.random(300) < 0.7, correct, answerable


def test_a_proportion_of_nothing_is_unknown():
    assert Proportion.of(np.array([True, False, True, True])) == Proportion(3, 4, 0.75, *wilson_interval(0.75, 4))
    nothing = Proportion.of(np.array([], dtype=bool))
    assert nothing == Proportion.of(np.zeros(0, dtype=bool))
    assert math.isnan(nothing.share)
    assert (nothing.count, nothing.total, nothing.low, nothing.high) == (0, 0, 0, 1)


def test_every_slice_counts_its_own_queries(outcomes):
    answered, correct, answerable = outcomes
    values = [("red", "blue", None, "")[i % 4] for i in range(300)]
    found = slices_of("colour", values, answered, correct, answerable, 0.9)
    assert [(each.by, each.value, each.name, each.target) for each in found] == [
        ("colour", "blue", "blue", 0.9),
        ("colour", "red", "red", 0.9),
        ("colour", None, "(none)", 0.9),
    ]
    assert [each.queries for each in found] == [75, 75, 150]
    for each in found:
        rows = [i for i, value in enumerate(values) if (value or None) == each.value]
        given = [i for i in rows if answered[i]]
        inside = [i for i in rows if answerable[i]]
        assert (each.coverage.count, each.coverage.total) == (len(given), len(rows))
        assert (each.precision.count, each.precision.total) == (sum(correct[given]), len(given))
        assert (each.precision.low, each.precision.high) == wilson_interval(each.precision.share, len(given))
        assert (each.answerable.count, each.answerable.total) == (sum(answered[inside]), len(inside))
        assert each.answerable.total + each.unanswerable.total == len(rows)
        assert each.answerable.count + each.unanswerable.count == len(given)


def test_many_numbers_are_cut_into_quarters_from_low_to_high(outcomes):
    lengths = [1 + i % 20 for i in range(300)]
    found = slices_of("length", [*lengths[:-1], None], *outcomes)
    assert [each.value for each in found] == ["1 to 5", "6 to 10", "11 to 15", "16 to 20", None]
    assert [each.queries for each in found] == [75, 75, 75, 74, 1]
    few = slices_of("stars", [5 - i % 5 for i in range(300)], *outcomes)
    assert [each.value for each in few] == [1, 2, 3, 4, 5]


def test_a_number_that_most_queries_have_is_a_slice_of_its_own(outcomes):
    found = slices_of("length", [2] * 280 + list(range(3, 23)), *outcomes)
    assert [(each.value, each.queries) for each in found] == [("2", 280), ("3 to 22", 20)]


def test_a_query_with_several_values_is_in_several_slices(outcomes):
    tags = [[["new"], ["new", "sale"], []][i % 3] for i in range(300)]
    found = slices_of("tags", tags, *outcomes)
    assert {each.value: each.queries for each in found} == {"new": 200, "sale": 100, None: 100}


def test_only_more_than_chance_falls_short():
    def precision_of(right, answers):
        return [True] * right + [False] * (answers - right)

    correct = precision_of(40, 80) + precision_of(8, 10) + precision_of(79, 80)
    values, every = ["bad"] * 80 + ["few"] * 10 + ["good"] * 80, np.ones(170, dtype=bool)
    found = {each.value: each for each in slices_of("kind", values, every, correct, every, 0.9)}
    assert [found[name].falls_short for name in ("bad", "few", "good")] == [True, False, False]
    assert [found[name].is_below for name in ("bad", "few", "good")] == [True, True, False]
    without = slices_of("kind", values, every, correct, every)
    assert not any(each.falls_short or each.is_below for each in without)
    nothing = slices_of("kind", values, ~every, correct, every, 0.9)
    assert not any(each.falls_short for each in nothing)


def test_slices_that_keep_the_target_are_seldom_named():
    rng = np.random.default_rng(0)
    values, every = [f"label {i % 50}" for i in range(2000)], np.ones(2000, dtype=bool)
    drawn = [slices_of("label", values, every, rng.random(2000) < 0.9, every, 0.9) for _ in range(40)]
    assert sum(any(each.falls_short for each in found) for found in drawn) <= 5  # 5 % of 40 are 2
    assert sum(each.precision.high < 0.9 for found in drawn for each in found) > 20  # each by itself would be


def test_the_foremost_are_those_that_fall_short_and_the_largest():
    correct = [True] * 90 + [False] * 10
    values, every = ["large"] * 50 + ["middle"] * 40 + ["short"] * 10, np.ones(100, dtype=bool)
    found = slices_of("size", values, every, correct, every, 0.9)
    assert [each.value for each in foremost(found, 2)] == ["large", "short"]
    assert foremost(found, 9) == list(found)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"must be equally long, got lengths \[2, 3, 3, 3\]"):
        slices_of("x", ["a", "b"], [1, 1, 1], [1, 1, 0], [1, 1, 1])

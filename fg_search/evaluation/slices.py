"""Slices: parts of the queries that share a value, and whether the precision asked for holds in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.proportions import Proportion
from fg_search.validation import check_booleans, is_missing, is_number

SliceValue: TypeAlias = str | int | float | bool | None

FALSE_DISCOVERY_RATE = 0.05
_MOST_NUMBERS = 8  # distinct numbers that are slices of their own; more are cut into quarters


@dataclass(frozen=True)
class Slice:
    """The queries that share a value, and what becomes of them at a target precision.

    Attributes:
        by: Name of what they share, such as ``"label"``.
        value: Value that they share; a range of numbers as a string, such as ``"3 to 5"``; ``None`` if it is missing.
        target: Target precision; ``None`` if every query counts as answered.
        queries: Number of queries.
        coverage: Answered queries among all of them.
        precision: Right answers among the answered queries.
        answerable: Answered queries among those that have an answer in the index.
        unanswerable: Answered queries among those that have none.
        falls_short: Whether the precision is below the target by more than chance, see :func:`slices_of`.
    """

    by: str
    value: SliceValue
    target: float | None
    queries: int
    coverage: Proportion
    precision: Proportion
    answerable: Proportion
    unanswerable: Proportion
    falls_short: bool

    @property
    def name(self) -> str:
        """The value as a text."""
        return "(none)" if self.value is None else str(self.value)

    @property
    def is_below(self) -> bool:
        """Whether the precision is below the target, by chance or not."""
        return self.target is not None and self.precision.share < self.target


def slices_of(
    by: str,
    values: Sequence[Any],
    answered: npt.ArrayLike,
    correct: npt.ArrayLike,
    in_scope: npt.ArrayLike,
    target: float | None = None,
) -> tuple[Slice, ...]:
    """Cut n queries into slices by a value that each of them has.

    A precision falls short of the target if an exact binomial test says so; the false discovery rate over all slices is
    kept at 5 % (Benjamini & Hochberg, 1995). Intervals are for each slice by itself: of a hundred slices that keep the
    target, some have an interval below it.

    Args:
        by: Name of the value.
        values: ``(n,)`` texts, numbers or ``None``, or lists of these for queries in several slices. More than eight
            different numbers are cut into quarters of about the same size.
        answered: ``(n,)`` booleans, whether each query is answered.
        correct: ``(n,)`` booleans, whether the answer is right.
        in_scope: ``(n,)`` booleans, whether the corpus can answer each query.
        target: Target precision, in (0, 1); ``None`` if nothing is asked for.

    Returns:
        The slices: ranges of numbers from low to high, everything else from the most queries to the fewest.

    Raises:
        ValueError: If lengths differ.
    """
    given, right = check_booleans(answered, name="answered"), check_booleans(correct, name="correct")
    inside = check_booleans(in_scope, name="in_scope")
    lengths = [len(column) for column in (values, given, right, inside)]
    if len(set(lengths)) > 1:
        raise ValueError(f"values, answered, correct and in_scope must be equally long, got lengths {lengths}")
    members = list(_members(values))
    precisions = [Proportion.of(right[rows & given]) for _, rows in members]
    return tuple(
        Slice(
            by=by,
            value=value,
            target=target,
            queries=int(rows.sum()),
            coverage=Proportion.of(given[rows]),
            precision=precision,
            answerable=Proportion.of(given[rows & inside]),
            unanswerable=Proportion.of(given[rows & ~inside]),
            falls_short=short,
        )
        for (value, rows), precision, short in zip(members, precisions, _fall_short(precisions, target), strict=True)
    )


def foremost(slices: Sequence[Slice], most: int) -> list[Slice]:
    """At most ``most`` slices, those that fall short and then the largest, in the order in which they are."""
    urgent = sorted(range(len(slices)), key=lambda i: (not slices[i].falls_short, -slices[i].queries))
    return [slices[i] for i in sorted(urgent[:most])]


def _members(values: Sequence[Any]) -> Iterator[tuple[SliceValue, npt.NDArray[np.bool_]]]:
    """Each slice's value and the queries in it, as ``(n,)`` booleans."""
    lists = [list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value] for value in values]
    several = [[None if is_missing(value) or value == "" else value for value in own] or [None] for own in lists]
    known = {value for own in several for value in own if value is not None}
    ranges: dict[SliceValue, str] = {}
    if len(known) > _MOST_NUMBERS and all(map(is_number, known)):
        ranges = _ranges([value for own in several for value in own if value is not None])
    rows: dict[SliceValue, npt.NDArray[np.bool_]] = {}
    for i, own in enumerate(several):
        for value in own:
            rows.setdefault(ranges.get(value, value), np.zeros(len(values), dtype=bool))[i] = True
    if all(map(is_number, known)):
        ordered = list(dict.fromkeys(ranges.values())) if ranges else sorted(known)
        names = [*ordered, *(name for name in rows if name is None)]
    else:
        names = sorted(rows, key=lambda name: (name is None, -rows[name].sum(), str(name)))
    for name in names:
        yield name, rows[name]


def _ranges(numbers: Sequence[float]) -> dict[SliceValue, str]:
    """The range of each number, from low to high: quarters of the numbers, of about the same size."""
    different = np.unique(numbers)
    edges = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75], method="inverted_cdf"))
    which = np.searchsorted(edges, different, side="left")
    names: dict[SliceValue, str] = {}
    for part in np.unique(which):
        inside = different[which == part]
        name = f"{inside[0]:g}" if len(inside) == 1 else f"{inside[0]:g} to {inside[-1]:g}"
        names |= dict.fromkeys(inside.tolist(), name)
    return names


def _fall_short(precisions: Sequence[Proportion], target: float | None) -> list[bool]:
    """Which precisions are below the target by more than chance."""
    from scipy.stats import binom

    tested = [i for i, found in enumerate(precisions) if found.total]
    if target is None or not tested:
        return [False] * len(precisions)
    counts, totals = ([getattr(precisions[i], name) for i in tested] for name in ("count", "total"))
    chance = np.asarray(binom.cdf(counts, totals, target))
    ranked = np.sort(chance)
    passing = ranked[ranked <= FALSE_DISCOVERY_RATE * np.arange(1, len(tested) + 1) / len(tested)]
    short = {i for i, value in zip(tested, chance.tolist(), strict=True) if len(passing) and value <= passing[-1]}
    return [i in short for i in range(len(precisions))]

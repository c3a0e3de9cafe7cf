"""Partitions: which labels each code of a group gathers, in words, and which groups gather the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Parts = tuple[tuple[str, ...], ...]
"""Labels that share a code, for each such code."""

_NAMES, _PARTS = 3, 3  # as many as a title names


def gathered(
    values: Sequence[str], rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int64], size: int
) -> list[tuple[str, ...]]:
    """Values that each code stands for: those of which more items have it than have any other code.

    Args:
        values: L values, such as labels.
        rows: ``(n,)`` number of each item's value, -1 where it is unknown.
        codes: ``(n,)`` codes of the items in [0, size).
        size: Number K of codes.

    Returns:
        For each code its values, those of most items first.
    """
    counts = np.zeros((len(values), size), dtype=np.int64)
    known = rows >= 0
    np.add.at(counts, (rows[known], codes[known]), 1)
    found: list[list[str]] = [[] for _ in range(size)]
    for row in np.argsort(-counts.sum(axis=1), kind="stable"):
        found[counts[row].argmax()].append(values[row])
    return [tuple(names) for names in found]


def membership(codes: npt.NDArray[np.int64], size: int) -> csr_array:
    """One row for each code, with a one for each item that has it."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(size, len(codes)))


def title(parts: Parts, what: str = "labels") -> str:
    """What a group separates, such as ``"tents and sleeping bags against the rest"``.

    Args:
        parts: At least one.
        what: Word for what they hold.
    """
    if len(parts) == 1:
        return f"nothing: all {what} share one code"
    if all(len(part) == 1 for part in parts):
        names = [name for part in parts for name in part]
        return f"{len(names)} {what}, each with a code of its own: {listed(names)}"
    if len(parts) == 2:
        fewer, more = sorted(parts, key=len)
        return f"{listed(fewer)} against {listed(more) if len(more) <= _NAMES else 'the rest'}"
    # what shares a code is what tells groups from one another
    together = sorted(parts, key=lambda part: len(part) == 1)
    rest = len(parts) - _PARTS
    return " | ".join([*map(listed, together[:_PARTS]), *([f"{rest} more"] if rest > 0 else [])])


def alike(partitions: Sequence[Hashable]) -> tuple[tuple[int, ...], ...]:
    """Numbers of the groups that have the same partition, those of the first group first."""
    found: dict[Hashable, list[int]] = {}
    for group, partition in enumerate(partitions):
        found.setdefault(partition, []).append(group)
    return tuple(map(tuple, found.values()))


def listed(names: Sequence[str]) -> str:
    """Names as a text: ``"tents, stoves, lamps and 9 more"``."""
    if len(names) > _NAMES + 1:
        return f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES} more"
    return " and ".join([*filter(None, [", ".join(names[:-1])]), *names[-1:]])


def spans(numbers: Sequence[int]) -> str:
    """Ascending numbers as a text, with those in a row folded: ``"0, 3, 12 to 63"``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)

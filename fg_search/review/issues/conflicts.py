"""Near-duplicates with different labels, found in bounded memory and without comparing all pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.review.issues.duplicates import NEAR_DUPLICATE
from fg_search.review.issues.neighbours import FloatArray, IntArray, Neighbours, label_numbers, search
from fg_search.validation import check_count, check_fraction, check_vectors

_ALL_PAIRS = 20_000  # up to this many items, every pair is compared
_CELL = 500  # items per pivot
_PIVOTS = 3  # nearest pivots per item: near-duplicates almost always share one of them
_LARGEST = 10_000  # items compared with one another; a larger cell is split
_ROWS = 8_192


def conflicting_copies(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    similarity: float = NEAR_DUPLICATE,
    k: int = 3,
    seed: int = 0,
) -> Neighbours:
    """For each item, the k most similar near-duplicates with a different label.

    Exact up to 20,000 items. Beyond that, one item in 500 is drawn as a pivot, and an item is compared only with items
    that share one of its three nearest pivots. This finds nearly all pairs in linear time (an inverted file with
    multiple assignment, as in Jégou et al., 2011).

    Args:
        embeddings: ``(n, d)`` finite float array.
        labels: ``(n,)`` labels, ``None`` where unknown. Items without a label have no conflicts.
        similarity: Minimum cosine of two near-duplicates, in [0, 1].
        k: Maximum number of near-duplicates per item.
        seed: Random seed for drawing the pivots.

    Returns:
        ``(n, k)`` neighbours; row -1 where an item has fewer than k.

    Raises:
        ValueError: If lengths differ or a number is out of range or not finite.
    """
    unit = unit_rows(check_vectors(embeddings, name="embeddings"))
    number = label_numbers(labels, len(unit))
    check_fraction(similarity, name="similarity")
    check_count(k, name="k")
    known = np.flatnonzero(number >= 0)
    rows = np.full((len(unit), k), -1, dtype=np.int64)
    found = np.zeros((len(unit), k), dtype=np.float32)
    for cell in _cells(unit, known, seed):
        there = search(unit, cell, cell, k=k, number=number, same=False, least=similarity)
        some = np.flatnonzero(there.rows[:, 0] >= 0)
        _merge(rows, found, cell[some], there.rows[some], there.similarity[some])
    return Neighbours(rows, found)


def _cells(unit: FloatArray, known: IntArray, seed: int) -> Iterator[IntArray]:
    """Groups of rows to compare with one another; an item may be in several."""
    if len(known) <= _ALL_PAIRS:
        yield known
        return
    pivots = np.random.default_rng(seed).choice(known, len(known) // _CELL, replace=False)
    nearest = np.concatenate(
        [
            np.argpartition(unit[known[start : start + _ROWS]] @ unit[pivots].T, -_PIVOTS, axis=1)[:, -_PIVOTS:]
            for start in range(0, len(known), _ROWS)
        ]
    )
    items, cells = np.repeat(known, _PIVOTS), nearest.reshape(-1)
    order = np.argsort(cells, kind="stable")
    for cell in np.split(items[order], np.cumsum(np.bincount(cells, minlength=len(pivots)))[:-1]):
        for start in range(0, len(cell), _LARGEST):
            yield cell[start : start + _LARGEST]


def _merge(rows: IntArray, found: FloatArray, items: IntArray, more_rows: IntArray, more: FloatArray) -> None:
    """Merge the neighbours found in another cell: each once, the most similar first."""
    k = rows.shape[1]
    for item, other_rows, others in zip(items.tolist(), more_rows.tolist(), more.tolist(), strict=True):
        both = {
            row: value
            for row, value in zip([*rows[item].tolist(), *other_rows], [*found[item].tolist(), *others], strict=True)
            if row >= 0
        }
        best = sorted(both.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        rows[item, : len(best)] = [row for row, _ in best]
        found[item, : len(best)] = [value for _, value in best]

"""Exact nearest neighbours, computed block by block; on request split by whether they share the item's label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.arrays import row_slices, unit_rows
from fg_search.validation import check_count, check_vectors

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_QUERIES, _POINTS = 1024, 4096  # shape of a block of similarities


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest other items of each of m items, the nearest first.

    Attributes:
        rows: ``(m, k)`` int64 rows of the neighbours, -1 where an item has fewer than k.
        similarity: ``(m, k)`` float32 cosines in [-1, 1], 0 where there is no neighbour.
    """

    rows: IntArray
    similarity: FloatArray


def nearest(
    embeddings: npt.ArrayLike, rows: npt.ArrayLike | None = None, *, k: int = 10, among: npt.ArrayLike | None = None
) -> Neighbours:
    """The k nearest other items of each item, by cosine.

    Args:
        embeddings: ``(n, d)`` finite float array.
        rows: ``(m,)`` rows whose neighbours are wanted; all by default.
        k: Number of neighbours per item.
        among: ``(p,)`` rows that may be neighbours; all by default.

    Raises:
        ValueError: If a row does not exist, k is less than one, or a number is not finite.
    """
    unit, chosen = _prepared(embeddings, rows, k)
    others = np.arange(len(unit)) if among is None else _rows(among, len(unit), "among")
    return search(unit, chosen, others, k=k)


def agreeing_and_contradicting(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, rows: npt.ArrayLike | None = None, *, k: int = 3
) -> tuple[Neighbours, Neighbours]:
    """For each item, the k nearest other items with the same label and the k nearest with a different one.

    Items without a label (``None``) neither have neighbours nor are neighbours.

    Args:
        embeddings: ``(n, d)`` finite float array.
        labels: ``(n,)`` labels, ``None`` where unknown.
        rows: ``(m,)`` rows whose neighbours are wanted; all by default.
        k: Number of neighbours of either kind.

    Raises:
        ValueError: If lengths differ, a row does not exist, k is less than one, or a number is not finite.
    """
    unit, chosen = _prepared(embeddings, rows, k)
    number = label_numbers(labels, len(unit))
    every = np.arange(len(unit))
    return (
        search(unit, chosen, every, k=k, number=number, same=True),
        search(unit, chosen, every, k=k, number=number, same=False),
    )


def label_numbers(labels: npt.ArrayLike, count: int) -> IntArray:
    """``(n,)`` int64 label numbers: equal for equal labels, -1 for ``None``."""
    names = np.asarray(labels, dtype=object)
    if names.shape != (count,):
        raise ValueError(f"labels must be one for each of {count} embeddings, got shape {names.shape}")
    number: dict[object, int] = {None: -1}
    return np.array([number.setdefault(name, len(number) - 1) for name in names], dtype=np.int64)


def _prepared(embeddings: npt.ArrayLike, rows: npt.ArrayLike | None, k: int) -> tuple[FloatArray, IntArray]:
    unit = unit_rows(check_vectors(embeddings, name="embeddings"))
    check_count(k, name="k")
    return unit, np.arange(len(unit)) if rows is None else _rows(rows, len(unit), "rows")


def _rows(rows: npt.ArrayLike, count: int, name: str) -> IntArray:
    chosen = np.asarray(rows, dtype=np.int64).reshape(-1)
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < count:
        odd = int(((chosen < 0) | (chosen >= count)).argmax())
        raise ValueError(f"{name}[{odd}] is {chosen[odd]}, there are {count} embeddings")
    return chosen


def search(
    unit: FloatArray,
    items: IntArray,
    points: IntArray,
    *,
    k: int,
    number: IntArray | None = None,
    same: bool = True,
    least: float = -np.inf,
) -> Neighbours:
    """The k nearest of ``points`` to each of ``items``, not counting the item itself. Inputs are not validated.

    Args:
        unit: ``(n, d)`` rows of length one.
        items: ``(m,)`` rows whose neighbours are wanted.
        points: ``(p,)`` rows that may be neighbours.
        k: Number of neighbours per item.
        number: ``(n,)`` label numbers from :func:`label_numbers`; if given, neighbours are selected by label.
        same: Whether neighbours must have the label of the item (true) or a different one (false).
        least: Minimum cosine of a neighbour.
    """
    found_rows = np.full((len(items), k), -1, dtype=np.int64)
    found = np.full((len(items), k), -np.inf, dtype=np.float32)
    for queries in row_slices(len(items), _QUERIES):
        asked = items[queries]
        for some in row_slices(len(points), _POINTS):
            others = points[some]
            similarity = unit[asked] @ unit[others].T
            np.clip(similarity, -1, 1, out=similarity)
            if number is not None:
                allowed = (number[asked][:, None] == number[others]) == same
                allowed &= (number[asked][:, None] >= 0) & (number[others] >= 0)
                similarity[~allowed] = -np.inf
            similarity[asked[:, None] == others] = -np.inf
            best = similarity.max(axis=1)
            nearer = np.flatnonzero((best >= least) & (best > found[queries].min(axis=1)))
            if len(nearer):
                _keep(found[queries], found_rows[queries], nearer, similarity[nearer], others)
    order = np.argsort(-found, axis=1, kind="stable")
    found, found_rows = np.take_along_axis(found, order, axis=1), np.take_along_axis(found_rows, order, axis=1)
    missing = np.isneginf(found) | (found < least)
    return Neighbours(np.where(missing, -1, found_rows), np.where(missing, np.float32(0), found))


def _keep(found: FloatArray, found_rows: IntArray, changed: IntArray, similarity: FloatArray, others: IntArray) -> None:
    """Update ``found`` in place: keep, row by row, the k best of what it holds and of the new similarities."""
    k = found.shape[1]
    top = np.argpartition(similarity, max(0, similarity.shape[1] - k), axis=1)[:, -k:]
    both = np.concatenate([found[changed], np.take_along_axis(similarity, top, axis=1)], axis=1)
    rows = np.concatenate([found_rows[changed], others[top]], axis=1)
    best = np.argsort(-both, axis=1, kind="stable")[:, :k]
    found[changed] = np.take_along_axis(both, best, axis=1)
    found_rows[changed] = np.take_along_axis(rows, best, axis=1)

"""Nearest examples that agree with an item's label, and that contradict it: exact, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.validation import check_count, check_vectors

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_QUERIES, _POINTS = 1024, 4096  # similarities held at once


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest other items of m items, the nearest first.

    Attributes:
        rows: ``(m, k)`` int64, -1 where there are fewer than k.
        similarity: ``(m, k)`` float32, cosines in [-1, 1]; 0 where there is no neighbour.
    """

    rows: IntArray
    similarity: FloatArray


def nearest(
    embeddings: npt.ArrayLike, rows: npt.ArrayLike | None = None, *, k: int = 10, among: npt.ArrayLike | None = None
) -> Neighbours:
    """The k nearest other items of each item, by cosine.

    Args:
        embeddings: ``(n, d)`` finite float array.
        rows: ``(m,)`` items to look at; by default all.
        k: Neighbours of each.
        among: ``(p,)`` items that may be neighbours; by default all.

    Raises:
        ValueError: If a row does not exist, k is less than one, or a number is not finite.
    """
    unit, chosen = _prepared(embeddings, rows, k)
    others = np.arange(len(unit)) if among is None else _rows(among, len(unit), "among")
    return search(unit, chosen, others, k=k)


def agreeing_and_contradicting(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, rows: npt.ArrayLike | None = None, *, k: int = 3
) -> tuple[Neighbours, Neighbours]:
    """The k nearest other items with the label of each item, and the k nearest with another one.

    Items without a label (``None``) are no one's neighbours, and have none.

    Args:
        embeddings: ``(n, d)`` finite float array.
        labels: ``(n,)`` labels.
        rows: ``(m,)`` items to look at; by default all.
        k: Neighbours of each kind.

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
    """``(n,)`` int64, equal for equal labels, -1 for ``None``."""
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
    """The k nearest of some points to each of some items, itself left out; what is given is taken to be right.

    Args:
        unit: ``(n, d)`` rows of length one.
        items: ``(m,)`` rows.
        points: ``(p,)`` rows.
        k: Neighbours of each.
        number: ``(n,)`` of :func:`label_numbers`, if labels count.
        same: Whether neighbours are to have the item's label, or another one.
        least: Only neighbours at least this similar.
    """
    found_rows = np.full((len(items), k), -1, dtype=np.int64)
    found = np.full((len(items), k), -np.inf, dtype=np.float32)
    for queries in _pieces(len(items), _QUERIES):
        asked = items[queries]
        for some in _pieces(len(points), _POINTS):
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
    """Let the k best of what was found and of these similarities take the place of what was found, row by row."""
    k = found.shape[1]
    top = np.argpartition(similarity, max(0, similarity.shape[1] - k), axis=1)[:, -k:]
    both = np.concatenate([found[changed], np.take_along_axis(similarity, top, axis=1)], axis=1)
    rows = np.concatenate([found_rows[changed], others[top]], axis=1)
    best = np.argsort(-both, axis=1, kind="stable")[:, :k]
    found[changed] = np.take_along_axis(both, best, axis=1)
    found_rows[changed] = np.take_along_axis(rows, best, axis=1)


def _pieces(count: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, count)) for start in range(0, count, step))

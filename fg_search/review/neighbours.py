"""Nearest examples that agree with an item's label, and that contradict it: exact, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.codebook import unit_rows
from fg_search.validation import check_count, check_vectors

FloatArray = npt.NDArray[np.float32]

_QUERIES, _POINTS = 1024, 4096  # similarities held at once


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest other items of m items, the nearest first.

    Attributes:
        rows: ``(m, k)`` int64, -1 where there are fewer than k.
        similarity: ``(m, k)`` float32, cosines in [-1, 1]; 0 where there is no neighbour.
    """

    rows: npt.NDArray[np.int64]
    similarity: FloatArray


def nearest(embeddings: npt.ArrayLike, rows: npt.ArrayLike | None = None, *, k: int = 10) -> Neighbours:
    """The k nearest other items of each item, by cosine.

    Args:
        embeddings: ``(n, d)`` finite float array.
        rows: ``(m,)`` items to look at; by default all.
        k: Neighbours of each.

    Raises:
        ValueError: If a row does not exist, k is less than one, or a number is not finite.
    """
    unit, chosen = _prepared(embeddings, rows, k)
    return _search(unit, chosen, np.zeros(len(unit), dtype=np.int64), k, same=True)


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
    return _search(unit, chosen, number, k, same=True), _search(unit, chosen, number, k, same=False)


def label_numbers(labels: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    """``(n,)`` int64, equal for equal labels, -1 for ``None``."""
    names = np.asarray(labels, dtype=object)
    if names.shape != (count,):
        raise ValueError(f"labels must be one for each of {count} embeddings, got shape {names.shape}")
    number: dict[object, int] = {None: -1}
    return np.array([number.setdefault(name, len(number) - 1) for name in names], dtype=np.int64)


def _prepared(
    embeddings: npt.ArrayLike, rows: npt.ArrayLike | None, k: int
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    unit = unit_rows(check_vectors(embeddings, name="embeddings"))
    check_count(k, name="k")
    chosen = np.arange(len(unit)) if rows is None else np.asarray(rows, dtype=np.int64).reshape(-1)
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(unit):
        odd = int(((chosen < 0) | (chosen >= len(unit))).argmax())
        raise ValueError(f"rows[{odd}] is {chosen[odd]}, there are {len(unit)} embeddings")
    return unit, chosen


def _search(
    unit: FloatArray, chosen: npt.NDArray[np.int64], number: npt.NDArray[np.int64], k: int, *, same: bool
) -> Neighbours:
    found_rows = np.full((len(chosen), k), -1, dtype=np.int64)
    found = np.full((len(chosen), k), -np.inf, dtype=np.float32)
    for queries in _pieces(len(chosen), _QUERIES):
        items = chosen[queries]
        for points in _pieces(len(unit), _POINTS):
            others = np.arange(points.start, points.stop)
            allowed = (number[items][:, None] == number[points]) == same
            allowed &= (number[items][:, None] >= 0) & (number[points] >= 0) & (items[:, None] != others)
            similarity = np.where(allowed, (unit[items] @ unit[points].T).clip(-1, 1), -np.inf)
            both = np.concatenate([found[queries], similarity], axis=1)
            rows = np.concatenate([found_rows[queries], np.broadcast_to(others, similarity.shape)], axis=1)
            top = np.argpartition(-both, min(k, both.shape[1] - 1), axis=1)[:, :k]
            found[queries] = np.take_along_axis(both, top, axis=1)
            found_rows[queries] = np.take_along_axis(rows, top, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    found, found_rows = np.take_along_axis(found, order, axis=1), np.take_along_axis(found_rows, order, axis=1)
    missing = np.isneginf(found)
    return Neighbours(np.where(missing, -1, found_rows), np.where(missing, np.float32(0), found))


def _pieces(count: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, count)) for start in range(0, count, step))

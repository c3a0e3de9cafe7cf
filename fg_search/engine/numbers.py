"""Numbers of vectors as text: a float32 needs nine digits, Python writes up to seventeen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from qdrant_client import models

_DIGITS = 9  # with so many, each float32 is read back as it was


def with_short_numbers(points: Sequence[models.PointStruct]) -> list[models.PointStruct]:
    """Points that a server stores as the same float32 vectors, but that are half as long as JSON."""
    lists = list(chain.from_iterable(_lists(point.vector) for point in points))
    if not lists:
        return list(points)
    short = _shortened(np.fromiter(chain.from_iterable(lists), dtype=np.float64)).tolist()
    ends = list(accumulate(map(len, lists)))
    parts = iter([short[start:end] for start, end in zip([0, *ends], ends, strict=False)])
    return [point.model_copy(update={"vector": _replaced(point.vector, parts)}) for point in points]


def _lists(vector: Any) -> list[list[float]]:
    """Lists of numbers in the vectors of a point."""
    if isinstance(vector, dict):
        return [numbers for one in vector.values() for numbers in _lists(one)]
    if isinstance(vector, models.SparseVector):
        return [vector.values]
    if isinstance(vector, list):
        return [numbers for one in vector for numbers in _lists(one)] if _is_nested(vector) else [vector]
    return []


def _replaced(vector: Any, parts: Iterator[list[float]]) -> Any:
    """The vectors with the next lists in place of their own."""
    if isinstance(vector, dict):
        return {name: _replaced(one, parts) for name, one in vector.items()}
    if isinstance(vector, models.SparseVector):
        return vector.model_copy(update={"values": next(parts)})
    if isinstance(vector, list):
        return [_replaced(one, parts) for one in vector] if _is_nested(vector) else next(parts)
    return vector


def _is_nested(vector: list[Any]) -> bool:
    return bool(vector) and isinstance(vector[0], list)


def _shortened(numbers: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers rounded to nine significant digits. What is not finite is left alone."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponent = np.floor(np.log10(np.abs(numbers)))
        places = _DIGITS - 1 - np.where(np.isfinite(exponent), exponent, 0)
        scale = 10.0 ** np.abs(places)
        rounded = np.where(places >= 0, np.rint(numbers * scale) / scale, np.rint(numbers / scale) * scale)
    return np.where(np.isfinite(rounded), rounded, numbers)

"""Numbers of vectors as a client takes and sends them: lists, and as text in as few digits as a float32 needs.

It needs nine; Python writes up to seventeen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from qdrant_client import models

from fg_search.edge.instances import filled

_DIGITS = 9  # with so many, each float32 is read back as it was


def as_sent(points: Sequence[models.PointStruct], *, as_text: bool) -> list[models.PointStruct]:
    """Points as qdrant-client takes them: vectors that are rows of an array become lists.

    Args:
        points: The points.
        as_text: Whether they are sent as JSON. Then their numbers are shortened to what a float32 needs.
    """
    lists = [_with_lists(point) for point in points]
    return _with_short_numbers(lists) if as_text else lists


def _with_lists(point: models.PointStruct) -> models.PointStruct:
    vectors: Any = point.vector
    if not isinstance(vectors, dict) or not any(isinstance(one, np.ndarray) for one in vectors.values()):
        return point
    lists = {name: one.tolist() if isinstance(one, np.ndarray) else one for name, one in vectors.items()}
    return filled(models.PointStruct, {"id": point.id, "vector": lists, "payload": point.payload})


def _with_short_numbers(points: Sequence[models.PointStruct]) -> list[models.PointStruct]:
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

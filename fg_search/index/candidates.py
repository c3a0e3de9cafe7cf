"""Candidates of a search: points with their scores, before their payloads are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fg_search.engine.ordered import id_order
from fg_search.engine.port import PointId

MORE = 16
"""Times as many candidates, if so many are not enough."""
MOST = 20_000
"""Candidates, among which the best are looked for."""

_LEAST = 64


@dataclass(frozen=True, slots=True)
class RankedPoint:
    """A point with its scores.

    Attributes:
        id: Engine's id.
        score: Similarity by features, or by base embeddings if these alone rank.
        ranking_score: What points are ordered by: the score, or the mean of similarity and cosine, times
            ``confidence^confidence_weight`` and ``familiarity^familiarity_weight``.
        payload: The part of its payload that was read.
    """

    id: PointId
    score: float
    ranking_score: float
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Candidates:
    """Points found for one query.

    Attributes:
        points: Points, best first by their scores without weights.
        is_all: Whether there are no more.
    """

    points: list[RankedPoint]
    is_all: bool


def place(point: RankedPoint) -> tuple[Any, ...]:
    """Sort key of points: best first, and equal scores in the order of their ids."""
    return -point.ranking_score, id_order(point.id)


def in_steps(wanted: int) -> int:
    """Number of candidates, which grows in few steps, so that the first pages are pages of one and the same list."""
    count = _LEAST
    while count < wanted:
        count *= MORE
    return count

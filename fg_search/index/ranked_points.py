"""Points ranked by both vectors, or by score and confidence: by what the engine found for each vector alone.

A server evaluates what is below a formula, and groups, in each shard by itself, where ranks are others, and it orders
equal scores at will, which decide ranks. Here the same points have the same scores in one shard, in many, and in a
folder. A formula also weighs a fixed number of candidates only, among which the best need not be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.index.following import check_model
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_plan import Ranking, plan
from fg_search.index.state import IndexState
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.layout.points import id_of, payload_of

_MORE = 10  # times as many candidates, if so many are not enough
_LEAST = 200  # candidates for each vector, where both rank
_MARGIN, _AHEAD = 6, 4  # points more than needed whose weights are read at first, and as many times the candidates
_MOST = 20_000  # candidates, among which a weight looks for the best
_RANK_OFFSET = 2  # of reciprocal-rank fusion: 1 / (2 + rank), ranks from 0, as in Qdrant


@dataclass(frozen=True, slots=True)
class RankedPoint:
    """A point with its scores.

    Attributes:
        id: Engine's id.
        score: Similarity, or fused rank score.
        weighted_score: ``score · confidence^confidence_weight``.
        payload: The part of its payload that was read.
    """

    id: PointId
    score: float
    weighted_score: float
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


async def best_points(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    options: SearchOptions,
    rank_by: RankBy,
    scope: models.Filter | None,
) -> list[list[RankedPoint]]:
    """Best points of several queries with their payloads, as many as the options want, those to skip included.

    Args:
        state: The index.
        vectors: Vectors of the queries.
        options: Options of the search. Their filter is ignored, as it is part of ``scope``.
        rank_by: Ranking other than ``"auto"``.
        scope: Filter for the points that the search considers.

    Raises:
        StrangersError: If points of another encoder are among them.
    """
    needed = options.offset + options.limit
    count = in_steps(needed) if rank_by == "both" else _AHEAD * (needed + _MARGIN)
    best: dict[int, list[RankedPoint]] = {}
    left = list(range(len(vectors)))
    while left:
        found = await candidates(state, [vectors[i] for i in left], rank_by, scope, count)
        weighed = await _weighed(state, found, options.confidence_weight, needed)
        best.update(zip(left, (points[:needed] for points, _ in weighed), strict=True))
        if rank_by == "both" or count >= _MOST:  # fused, the candidates are what is ranked
            break
        left = [i for i, (_, is_exact) in zip(left, weighed, strict=True) if not is_exact]
        count *= _MORE
    return [best[i] for i in range(len(vectors))]


async def candidates(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    rank_by: RankBy,
    scope: models.Filter | None,
    count: int,
    keys: Sequence[str] = (),
) -> list[Candidates]:
    """Points of several queries by their scores without weights.

    Args:
        state: The index.
        vectors: Vectors of the queries.
        rank_by: Ranking other than ``"auto"``.
        scope: Filter for the points that are considered.
        count: Number of points for each vector.
        keys: Keys of the payload to read.
    """
    rankings: Sequence[Ranking] = ("features", "base") if rank_by == "both" else (_single(rank_by),)
    wanted = [*keys] if keys else False
    requests = [plan(query, ranking, scope, count, with_payload=wanted) for query in vectors for ranking in rankings]
    responses = iter(await state.engine.query_batch_points(state.collection, requests))
    return [_by_score([next(responses).points for _ in rankings], count) for _ in vectors]


def in_steps(wanted: int) -> int:
    """Number of candidates, which grows in few steps, so that the first pages are pages of one and the same list."""
    count = _LEAST
    while count < wanted:
        count *= _MORE
    return count


def weighted(points: Sequence[RankedPoint], weight: float) -> list[RankedPoint]:
    """Points whose confidence was read, best first by their weighted scores."""
    found = [
        RankedPoint(
            point.id, point.score, point.score * point.payload[PAYLOAD_KEY]["confidence"] ** weight, point.payload
        )
        for point in points
    ]
    return sorted(found, key=_place)


def _single(rank_by: RankBy) -> Ranking:
    return "base" if rank_by == "base" else "features"


def _by_score(lists: Sequence[Sequence[models.ScoredPoint]], count: int) -> Candidates:
    is_all = all(len(points) < count for points in lists)
    if len(lists) == 1:
        alone = [RankedPoint(id_of(point), point.score, point.score, payload_of(point)) for point in lists[0]]
        return Candidates(alone, is_all)
    scores: dict[PointId, float] = {}
    for points in lists:
        for position, point in enumerate(points):
            scores[id_of(point)] = scores.get(id_of(point), 0.0) + 1 / (_RANK_OFFSET + position)
    payloads = {id_of(point): payload_of(point) for points in lists for point in points}
    found = [RankedPoint(point, score, score, payloads[point]) for point, score in scores.items()]
    return Candidates(sorted(found, key=_place), is_all)


async def _weighed(
    state: IndexState, found: Sequence[Candidates], weight: float, needed: int
) -> list[tuple[list[RankedPoint], bool]]:
    """Best points with their payloads, and whether no other point can be among the first ``needed``.

    Payloads are read from the top, until the scores of the others are too low: ``score · confidence^w`` is at most the
    score.
    """
    payloads: dict[PointId, Mapping[str, Any]] = {}
    results: dict[int, tuple[list[RankedPoint], bool]] = {}
    left = list(range(len(found)))
    read = needed + _MARGIN if weight else needed
    while left:
        await _read(state, payloads, [point.id for i in left for point in found[i].points[:read]])
        for i in left:
            points = found[i].points
            there = [
                RankedPoint(point.id, point.score, point.weighted_score, payloads[point.id])
                for point in points[:read]
                if point.id in payloads
            ]
            best = weighted(there, weight) if weight else there
            results[i] = best, not weight or _is_exact(best, found[i], read, needed)
        left = [i for i in left if not results[i][1] and read < len(found[i].points)]
        read *= 2
    return [results[i] for i in range(len(found))]


async def _read(state: IndexState, payloads: dict[PointId, Mapping[str, Any]], points: Sequence[PointId]) -> None:
    """Read payloads that were not read yet. A point that was deleted meanwhile has none."""
    for page in pages([point for point in dict.fromkeys(points) if point not in payloads]):
        records = await state.engine.retrieve(state.collection, page)
        check_model(state, records)
        payloads.update((id_of(record), payload_of(record)) for record in records)


def _is_exact(best: Sequence[RankedPoint], found: Candidates, read: int, needed: int) -> bool:
    """Whether no point but those that were read can be among the best."""
    if read >= len(found.points) and found.is_all:
        return True
    beyond = max(0.0, found.points[min(read, len(found.points) - 1)].score)
    return len(best) >= needed and best[needed - 1].weighted_score > beyond


def _place(point: RankedPoint) -> tuple[Any, ...]:
    return -point.weighted_score, isinstance(point.id, str), point.id

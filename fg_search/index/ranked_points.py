"""Points ranked by score and confidence: by what the engine found, and read from the top.

A server evaluates what is below a formula in each shard by itself, and a formula weighs a fixed number of candidates,
among which the best need not be. Here the same points have the same scores in one shard, in many, and in a folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.index.candidates import Candidates, RankedPoint, place
from fg_search.index.following import check_model
from fg_search.index.points_by_both import candidates_by_both
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_plan import Ranking, plan
from fg_search.index.state import IndexState
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.layout.points import id_of, payload_of

_MORE = 16  # times as many candidates, if so many are not enough
_LEAST = 64  # candidates, where both vectors rank
_MARGIN, _AHEAD = 6, 4  # points more than needed whose weights are read at first, and as many times the candidates
_MOST = 20_000  # candidates, among which a weight looks for the best


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
        if count >= _MOST:
            break
        left = [i for i, (_, is_exact) in zip(left, weighed, strict=True) if not is_exact]
        count = min(count * _MORE, _MOST)
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
    wanted = [*keys] if keys else False
    if rank_by == "both":
        return await candidates_by_both(state, vectors, scope, count, wanted)
    ranking: Ranking = "base" if rank_by == "base" else "features"
    requests = [plan(query, ranking, scope, count, with_payload=wanted) for query in vectors]
    responses = await state.engine.query_batch_points(state.collection, requests)
    return [
        Candidates([_ranked(point) for point in response.points], len(response.points) < count)
        for response in responses
    ]


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
            point.id,
            point.score,
            point.ranking_score * point.payload[PAYLOAD_KEY]["confidence"] ** weight,
            point.payload,
        )
        for point in points
    ]
    return sorted(found, key=place)


def _ranked(point: models.ScoredPoint) -> RankedPoint:
    return RankedPoint(id_of(point), point.score, point.score, payload_of(point))


async def _weighed(
    state: IndexState, found: Sequence[Candidates], weight: float, needed: int
) -> list[tuple[list[RankedPoint], bool]]:
    """Best points with their payloads, and whether no other point can be among the first ``needed``.

    Payloads are read from the top, until the scores of the others are too low: no score grows by being multiplied by
    ``confidence^w``.
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
                RankedPoint(point.id, point.score, point.ranking_score, payloads[point.id])
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
        records = await state.engine.retrieve(state.collection, page, tenant=state.chosen_tenant)
        check_model(state, records)
        payloads.update((id_of(record), payload_of(record)) for record in records)


def _is_exact(best: Sequence[RankedPoint], found: Candidates, read: int, needed: int) -> bool:
    """Whether no point but those that were read can be among the best."""
    if read >= len(found.points) and found.is_all:
        return True
    beyond = max(0.0, found.points[min(read, len(found.points) - 1)].ranking_score)
    return len(best) >= needed and best[needed - 1].ranking_score > beyond

"""Points ranked by score, confidence and familiarity: by what the engine found, and read from the top.

A server evaluates what is below a formula in each shard by itself, and a formula weighs a fixed number of candidates,
among which the best need not be. Here the same points have the same scores in one shard, in many, and in a folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.index.candidates import MORE, MOST, Candidates, RankedPoint, in_steps, place
from fg_search.index.familiarity import familiarity_of
from fg_search.index.following import check_model
from fg_search.index.points_by_both import candidates_by_both
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_plan import Ranking, plan
from fg_search.index.state import IndexState
from fg_search.layout.keys import CONFIDENCE_KEY, FAMILIARITY_KEY, PAYLOAD_KEY
from fg_search.layout.points import id_of, payload_of


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
    if rank_by == "both" and not options.is_weighted:
        return await _best_by_both(state, vectors, scope, needed)
    count = in_steps(needed)
    weights = {CONFIDENCE_KEY: options.confidence_weight, FAMILIARITY_KEY: options.familiarity_weight}
    keys = [key for key, weight in weights.items() if weight]
    best: dict[int, list[RankedPoint]] = {}
    left = list(range(len(vectors)))
    while left:
        found = dict(
            zip(left, await candidates(state, [vectors[i] for i in left], rank_by, scope, count, keys), strict=True)
        )
        best |= {i: weighted(state, one.points, options)[:needed] for i, one in found.items()}
        if not options.is_weighted or count >= MOST:
            break
        left = [i for i, one in found.items() if not _is_exact(best[i], one, needed)]
        count = min(count * MORE, MOST)
    payloads = await _read(state, [point.id for points in best.values() for point in points])
    return [_with_payloads(best[i], payloads) for i in range(len(vectors))]


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


async def _best_by_both(
    state: IndexState, vectors: Sequence[QueryVectors], scope: models.Filter | None, needed: int
) -> list[list[RankedPoint]]:
    """Best points by both vectors. Those found among more candidates come after those found among fewer.

    So the first points are the same, however many are needed, and pages neither repeat nor lose one.
    """
    best: list[dict[PointId, RankedPoint]] = [{} for _ in vectors]  # in the order in which they were found
    count = 0
    while count < needed:
        count = in_steps(count + 1)
        for places, found in zip(best, await candidates(state, vectors, "both", scope, count), strict=True):
            new = (point for point in found.points if point.id not in places)
            places.update((point.id, point) for point in islice(new, min(count, needed) - len(places)))
    payloads = await _read(state, [point for places in best for point in places])
    return [_with_payloads(list(places.values()), payloads) for places in best]


def weighted(state: IndexState, points: list[RankedPoint], options: SearchOptions) -> list[RankedPoint]:
    """Points whose confidence and familiarity were read where they count, best first by their weighted scores.

    Raises:
        NotScoredError: If a familiarity counts that a point lacks.
    """
    if not options.is_weighted:
        return points
    found = [
        RankedPoint(point.id, point.score, point.ranking_score * _weight(state, point.payload, options), point.payload)
        for point in points
    ]
    return sorted(found, key=place)


def _weight(state: IndexState, payload: Mapping[str, Any], options: SearchOptions) -> float:
    weight = 1.0
    if options.confidence_weight:
        weight *= payload[PAYLOAD_KEY]["confidence"] ** options.confidence_weight
    if options.familiarity_weight:
        weight *= familiarity_of(state, payload) ** options.familiarity_weight
    return weight


def _ranked(point: models.ScoredPoint) -> RankedPoint:
    return RankedPoint(id_of(point), point.score, point.score, payload_of(point))


async def _read(state: IndexState, points: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
    """Payloads of points. A point that was deleted meanwhile has none."""
    payloads: dict[PointId, Mapping[str, Any]] = {}
    for page in pages(list(dict.fromkeys(points))):
        records = await state.engine.retrieve(state.collection, page, tenant=state.chosen_tenant)
        check_model(state, records)
        payloads.update((id_of(record), payload_of(record)) for record in records)
    return payloads


def _with_payloads(points: Sequence[RankedPoint], payloads: Mapping[PointId, Mapping[str, Any]]) -> list[RankedPoint]:
    return [
        RankedPoint(point.id, point.score, point.ranking_score, payloads[point.id])
        for point in points
        if point.id in payloads
    ]


def _is_exact(best: Sequence[RankedPoint], found: Candidates, needed: int) -> bool:
    """Whether no point but the candidates can be among the best: no weight makes a score grow."""
    if found.is_all:
        return True
    beyond = max(0.0, found.points[-1].ranking_score)
    return len(best) >= needed and best[needed - 1].ranking_score > beyond

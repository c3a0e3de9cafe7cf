"""Points ranked by both vectors, or by score and confidence: by what the engine found for each vector alone.

Ranked by both vectors, a point has the mean of its feature-group similarity s and of the cosine of the base embeddings,
which counts half as much: ``(s + w · cos) / (1 + w)``. The similarity tells the right kind of items, of which all are
about equally similar, and the cosine the right one among them. Candidates are the nearest points by features, so many
that no other point can be in the first place: no cosine is above 1.

A server evaluates what is below a formula in each shard by itself. Here the same points have the same scores in one
shard, in many, and in a folder. A formula also weighs a fixed number of candidates, among which the best need not be.
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
from fg_search.layout.conditions import has_ids
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.layout.points import id_of, payload_of

BASE_WEIGHT = 0.5
"""Weight w of the cosine beside the similarity. With .5 to 1 the right item comes first, and its label as often."""

_DIGITS = 6  # of a cosine; those after them depend on where in memory a vector is, in qdrant-client's local mode
_MORE = 4  # times as many candidates, if so many are not enough
_LEAST = 200  # candidates, where both vectors rank
_MARGIN, _AHEAD = 6, 4  # points more than needed whose weights are read at first, and as many times the candidates
_MOST = 20_000  # candidates, among which a weight looks for the best


@dataclass(frozen=True, slots=True)
class RankedPoint:
    """A point with its scores.

    Attributes:
        id: Engine's id.
        score: Similarity by features, or by base embeddings if these alone rank.
        ranking_score: What points are ordered by: the score, or the mean of similarity and cosine, times
            ``confidence^confidence_weight``.
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
        points: Points, best first by their scores without the weight of the confidence.
        is_all: Whether there are no more.
        is_certain: Whether no other point can be in the first place.
    """

    points: list[RankedPoint]
    is_all: bool
    is_certain: bool = True


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
    ranking: Ranking = "base" if rank_by == "base" else "features"
    requests = [plan(query, ranking, scope, count, with_payload=wanted) for query in vectors]
    lists = [response.points for response in await state.engine.query_batch_points(state.collection, requests)]
    if rank_by != "both":
        return [Candidates([_ranked(point) for point in points], len(points) < count) for points in lists]
    nearest = await _with_cosines(state, vectors, scope, count, wanted, lists)
    return [_by_both(points, *found, count) for points, found in zip(lists, nearest, strict=True)]


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
    return sorted(found, key=_place)


def _ranked(point: models.ScoredPoint) -> RankedPoint:
    return RankedPoint(id_of(point), point.score, point.score, payload_of(point))


async def _with_cosines(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    scope: models.Filter | None,
    count: int,
    wanted: bool | Sequence[str],
    lists: Sequence[Sequence[models.ScoredPoint]],
) -> list[tuple[dict[PointId, float], Sequence[models.ScoredPoint]]]:
    """Cosines of the points that were found for each query by features.

    If these are all that have any feature in common with the query, the nearest points by base embeddings come with
    them.
    """
    exact = state.engine.is_embedded or state.engine.is_shared  # qdrant-client's local mode warns that it always is
    requests = []
    for query, points in zip(vectors, lists, strict=True):
        if points:
            found_ones = state.scope(has_ids([id_of(point) for point in points]))
            requests.append(plan(query, "base", found_ones, len(points), with_payload=False, exact=exact))
        if len(points) < count:
            requests.append(plan(query, "base", scope, count, with_payload=wanted))
    responses = iter(await state.engine.query_batch_points(state.collection, requests))
    found: list[tuple[dict[PointId, float], Sequence[models.ScoredPoint]]] = []
    for points in lists:
        among = next(responses).points if points else ()
        cosines = {id_of(point): round(point.score, _DIGITS) for point in among}
        found.append((cosines, next(responses).points if len(points) < count else ()))
    return found


def _by_both(
    points: Sequence[models.ScoredPoint],
    cosines: Mapping[PointId, float],
    by_base: Sequence[models.ScoredPoint],
    count: int,
) -> Candidates:
    found = [
        RankedPoint(id_of(point), point.score, _mean(point.score, cosines[id_of(point)]), payload_of(point))
        for point in points
        if id_of(point) in cosines  # the others were deleted in between
    ]
    found += [
        RankedPoint(id_of(point), 0.0, _mean(0.0, round(point.score, _DIGITS)), payload_of(point))
        for point in by_base
        if id_of(point) not in cosines
    ]
    found.sort(key=_place)
    if len(points) < count:  # all others have no feature in common, and smaller cosines
        return Candidates(found, len(by_base) < count)
    is_certain = bool(found) and _mean(points[-1].score, 1.0) <= found[0].ranking_score
    return Candidates(found, is_all=False, is_certain=is_certain)


def _mean(similarity: float, cosine: float) -> float:
    return (similarity + BASE_WEIGHT * cosine) / (1 + BASE_WEIGHT)


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
    return [(results[i][0], results[i][1] and found[i].is_certain) for i in range(len(found))]


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


def _place(point: RankedPoint) -> tuple[Any, ...]:
    return -point.ranking_score, isinstance(point.id, str), point.id

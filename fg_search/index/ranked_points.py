"""Points ranked by both vectors, or by score and confidence: by what the engine found for each vector alone.

Ranked by both vectors, a point has the mean of its feature-group similarity s and of the cosine of the base embeddings,
which counts half as much: ``(s + w · cos) / (1 + w)``. The similarity tells the right kind of items, of which all are
about equally similar, and the cosine the right one among them. Candidates are the nearest points by features, so many
that the last of them is of another kind, and of these the nearest by features and by base embeddings.

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
_MORE = 16  # times as many candidates, if so many are not enough
_LEAST = 64  # candidates, where both vectors rank
_ALIKE = 0.9  # share of the first similarity from which on another one is about the same
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
        return await _candidates_by_both(state, vectors, scope, count, wanted)
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
    return sorted(found, key=_place)


def _ranked(point: models.ScoredPoint) -> RankedPoint:
    return RankedPoint(id_of(point), point.score, point.score, payload_of(point))


async def _candidates_by_both(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    scope: models.Filter | None,
    count: int,
    wanted: bool | Sequence[str],
) -> list[Candidates]:
    """Points with similarity and cosine: the nearest by features, and of all that are as similar the nearest by base.

    If few points have any feature in common with a query, the nearest of all by base come with them.
    """
    engine, collection = state.engine, state.collection
    exact = engine.is_embedded or engine.is_shared  # qdrant-client's local mode warns that it always is
    requests = [plan(query, "features", scope, count, with_payload=wanted) for query in vectors]
    lists = [response.points for response in await engine.query_batch_points(collection, requests)]
    alike = await _alike(state, vectors, scope, count, lists)
    requests = []
    for i, (query, points) in enumerate(zip(vectors, lists, strict=True)):
        if points:
            known = state.scope(has_ids([id_of(point) for point in points]))
            requests.append(plan(query, "base", known, len(points), with_payload=False, exact=exact))
        if i in alike:
            requests.append(_nearest_among(query, scope, alike[i], count, wanted))
        elif len(points) < count:
            requests.append(plan(query, "base", scope, count, with_payload=wanted))
    responses = iter(await engine.query_batch_points(collection, requests) if requests else ())
    cosines: list[dict[PointId, float]] = []
    nearest: list[dict[PointId, models.ScoredPoint]] = []
    for i, points in enumerate(lists):
        cosines.append({id_of(point): point.score for point in next(responses).points} if points else {})
        others = next(responses).points if i in alike or len(points) < count else ()
        nearest.append({id_of(point): point for point in others if id_of(point) not in cosines[i]})
    similarities = await _similarities(state, vectors, nearest, alike)
    return [
        _by_both(points, cosines[i], nearest[i], similarities[i], len(points) < count and len(nearest[i]) < count)
        for i, points in enumerate(lists)
    ]


async def _alike(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    scope: models.Filter | None,
    count: int,
    lists: Sequence[Sequence[models.ScoredPoint]],
) -> dict[int, int]:
    """For each query that more than ``count`` points are about as similar to as the first: among how many they are."""

    def is_alike(i: int, last: models.ScoredPoint) -> bool:
        return last.score > _ALIKE * lists[i][0].score

    left = [i for i, points in enumerate(lists) if len(points) >= count and is_alike(i, points[-1])]
    among: dict[int, int] = {}
    while left and count < _MOST:
        count = min(count * _MORE, _MOST)
        among.update(dict.fromkeys(left, count))
        requests = [plan(vectors[i], "features", scope, 1, count - 1, with_payload=False) for i in left]
        responses = await state.engine.query_batch_points(state.collection, requests)
        last = [response.points for response in responses]
        left = [i for i, points in zip(left, last, strict=True) if points and is_alike(i, points[0])]
    return among


def _nearest_among(
    query: QueryVectors, scope: models.Filter | None, among: int, count: int, wanted: bool | Sequence[str]
) -> models.QueryRequest:
    """Request for the points nearest by base among the nearest by features."""
    first = plan(query, "features", scope, among, with_payload=False)
    prefetch = models.Prefetch.model_construct(query=first.query, using=first.using, filter=scope, limit=among)
    return plan(query, "base", scope, count, with_payload=wanted).model_copy(update={"prefetch": prefetch})


async def _similarities(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    nearest: Sequence[Mapping[PointId, models.ScoredPoint]],
    alike: Mapping[int, int],
) -> list[dict[PointId, float]]:
    """Similarities of points that were found by base; of the others that have no feature in common it is 0."""
    found: list[dict[PointId, float]] = [{} for _ in vectors]
    asked = [i for i in alike if nearest[i]]
    if asked:
        requests = [
            plan(vectors[i], "features", state.scope(has_ids([*nearest[i]])), len(nearest[i]), with_payload=False)
            for i in asked
        ]
        responses = await state.engine.query_batch_points(state.collection, requests)
        for i, response in zip(asked, responses, strict=True):
            found[i] = {id_of(point): point.score for point in response.points}
    return found


def _by_both(
    points: Sequence[models.ScoredPoint],
    cosines: Mapping[PointId, float],
    nearest: Mapping[PointId, models.ScoredPoint],
    similarities: Mapping[PointId, float],
    is_all: bool,
) -> Candidates:
    found = [
        RankedPoint(point_id, point.score, _mean(point.score, cosines[point_id]), payload_of(point))
        for point in points
        if (point_id := id_of(point)) in cosines  # the others were deleted in between
    ]
    for point_id, point in nearest.items():
        similarity = similarities.get(point_id, 0.0)
        found.append(RankedPoint(point_id, similarity, _mean(similarity, point.score), payload_of(point)))
    return Candidates(sorted(found, key=_place), is_all)


def _mean(similarity: float, cosine: float) -> float:
    return (similarity + BASE_WEIGHT * round(cosine, _DIGITS)) / (1 + BASE_WEIGHT)


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


def _place(point: RankedPoint) -> tuple[Any, ...]:
    return -point.ranking_score, isinstance(point.id, str), point.id

"""Points ranked by both vectors: by the mean of feature-group similarity and base cosine.

The mean is ``(s + w · cos) / (1 + w)``. The similarity s tells the right kind of items, of which all are about equally
similar, and the cosine the right one among them. Candidates are the nearest points by features and, where more than
these are about as similar as the first, the nearest by base among all that are. Every score is asked for by ids or over
one list, so that it does not depend on shards.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from qdrant_client import models

from fg_search.engine.port import PointId
from fg_search.index.candidates import MORE, MOST, Candidates, RankedPoint, place
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_plan import Ranking, plan
from fg_search.index.state import IndexState
from fg_search.layout.conditions import has_ids
from fg_search.layout.points import id_of, payload_of

BASE_WEIGHT = 0.5
"""Weight w of the cosine beside the similarity. With .5 to 1 the right item comes first, and its label as often."""

_DIGITS = 6  # of a cosine; those after them depend on where in memory a vector is, in qdrant-client's local mode

_ALIKE = 0.9  # share of the first similarity from which on another one is about the same


async def candidates_by_both(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    scope: models.Filter | None,
    count: int,
    wanted: bool | Sequence[str],
) -> list[Candidates]:
    """Points with similarity and cosine: the nearest by features, and of all that are as similar the nearest by base.

    If few points have any feature in common with a query, the nearest of all by base come with them.
    """
    requests = [plan(query, "features", scope, count, with_payload=wanted) for query in vectors]
    lists = [response.points for response in await state.engine.query_batch_points(state.collection, requests)]
    alike = await _alike(state, vectors, scope, count, lists)
    by_base: dict[int, models.QueryRequest] = {
        i: _nearest_among(vectors[i], scope, among, _ALIKE * lists[i][0].score, count, wanted)
        for i, among in alike.items()
    }
    few = [i for i, points in enumerate(lists) if len(points) < count]
    by_base |= {i: plan(vectors[i], "base", scope, count, with_payload=wanted) for i in few}
    nearest: dict[int, dict[PointId, models.ScoredPoint]] = {}
    if by_base:
        responses = await state.engine.query_batch_points(state.collection, list(by_base.values()))
        for i, response in zip(by_base, responses, strict=True):
            nearest[i] = {id_of(point): point for point in response.points}
    unknown = {i: _others(points, nearest.get(i, ())) for i, points in enumerate(lists)}
    cosines = await _scores(state, vectors, "base", unknown)
    known = {i: {id_of(point) for point in lists[i]} for i in alike}
    similarities = await _scores(state, vectors, "features", {i: _others(nearest[i].values(), known[i]) for i in alike})
    return [
        _by_both(
            points,
            cosines.get(i, {}) | {key: point.score for key, point in nearest.get(i, {}).items()},
            nearest.get(i, {}),
            similarities.get(i, {}),
            is_all=len(points) < count and len(nearest[i]) < count,
        )
        for i, points in enumerate(lists)
    ]


def _others(points: Iterable[models.ScoredPoint], known: Container[PointId]) -> list[PointId]:
    """Ids of points that are not among those that are known."""
    return [key for point in points if (key := id_of(point)) not in known]


async def _scores(
    state: IndexState, vectors: Sequence[QueryVectors], ranking: Ranking, asked: Mapping[int, Sequence[PointId]]
) -> dict[int, dict[PointId, float]]:
    """Scores of some points for each query. Those that have none, or were deleted in between, are left out.

    Args:
        state: The index.
        vectors: Vectors of the queries.
        ranking: Vector that gives the scores.
        asked: Ids of the points, by the query's place.
    """
    # qdrant-client's local mode warns that it always is exact
    exact = ranking == "base" and (state.engine.is_embedded or state.engine.is_shared)
    requests = {
        i: plan(vectors[i], ranking, state.scope(has_ids(ids)), len(ids), with_payload=False, exact=exact)
        for i, ids in asked.items()
        if ids
    }
    if not requests:
        return {}
    responses = await state.engine.query_batch_points(state.collection, list(requests.values()))
    return {
        i: {id_of(point): point.score for point in response.points}
        for i, response in zip(requests, responses, strict=True)
    }


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
    while left and count < MOST:
        count = min(count * MORE, MOST)
        among.update(dict.fromkeys(left, count))
        requests = [plan(vectors[i], "features", scope, 1, count - 1, with_payload=False) for i in left]
        responses = await state.engine.query_batch_points(state.collection, requests)
        last = [response.points for response in responses]
        left = [i for i, points in zip(left, last, strict=True) if points and is_alike(i, points[0])]
    return among


def _nearest_among(
    query: QueryVectors,
    scope: models.Filter | None,
    among: int,
    least: float,
    count: int,
    wanted: bool | Sequence[str],
) -> models.QueryRequest:
    """Request for the points nearest by base among the nearest by features.

    Each shard makes a prefetch by itself, so that all of them together have more candidates than one: ``least`` leaves
    out those that are not alike.
    """
    first = plan(query, "features", scope, among, with_payload=False)
    prefetch = models.Prefetch.model_construct(
        query=first.query, using=first.using, filter=scope, limit=among, score_threshold=least
    )
    return plan(query, "base", scope, count, with_payload=wanted).model_copy(update={"prefetch": prefetch})


def _by_both(
    points: Sequence[models.ScoredPoint],
    cosines: Mapping[PointId, float],
    nearest: Mapping[PointId, models.ScoredPoint],
    similarities: Mapping[PointId, float],
    *,
    is_all: bool,
) -> Candidates:
    found = {
        key: RankedPoint(key, point.score, _mean(point.score, cosines[key]), payload_of(point))
        for point in points
        if (key := id_of(point)) in cosines  # the others were deleted in between
    }
    for key, point in nearest.items():
        if key not in found:  # without a similarity, it has no feature in common with the query
            similarity = similarities.get(key, 0.0)
            found[key] = RankedPoint(key, similarity, _mean(similarity, point.score), payload_of(point))
    return Candidates(sorted(found.values(), key=place), is_all)


def _mean(similarity: float, cosine: float) -> float:
    return (similarity + BASE_WEIGHT * round(cosine, _DIGITS)) / (1 + BASE_WEIGHT)

"""Hits of equal scores in the order of their ids: in every call, and across pages.

A server orders equal scores as its segments and shards come. So one hit more than wanted is asked for, and more as long
as the last hit that is wanted and the last that came have one score.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from qdrant_client import models
from qdrant_client.http.models import QueryResponse

Query: TypeAlias = Callable[[Sequence[models.QueryRequest]], Awaitable[list[QueryResponse]]]

_MOST = 10_000  # hits asked for in order to complete a run of equal scores


async def in_order(query: Query, requests: Sequence[models.QueryRequest]) -> list[QueryResponse]:
    """Responses whose equal scores are ordered by id.

    Args:
        query: Asks the engine.
        requests: Requests. Those that do not rank by one vector are sent as they are.
    """
    wanted = [_end(request) + 1 if _ranks(request) else None for request in requests]
    responses: dict[int, QueryResponse] = {}
    left = list(range(len(requests)))
    while left:
        sent = [_widened(requests[i], wanted[i]) for i in left]
        responses.update(zip(left, await query(sent), strict=True))
        left = [i for i in left if _is_cut(requests[i], responses[i], wanted[i])]
        for i in left:
            wanted[i] = 4 * (wanted[i] or 1)
    return [responses[i] if wanted[i] is None else _page(request, responses[i]) for i, request in enumerate(requests)]


def _ranks(request: models.QueryRequest) -> bool:
    """Whether the hits of a request are ranked by their similarity to a vector or a point."""
    is_other = isinstance(request.query, (models.OrderByQuery, models.SampleQuery))
    return request.query is not None and not is_other and not request.prefetch


def _end(request: models.QueryRequest) -> int:
    return (request.offset or 0) + (request.limit or 0)


def _widened(request: models.QueryRequest, limit: int | None) -> models.QueryRequest:
    if limit is None:
        return request
    return request.model_copy(update={"limit": limit, "offset": None})


def _is_cut(request: models.QueryRequest, response: QueryResponse, limit: int | None) -> bool:
    """Whether a response ends within the run of equal scores that the last wanted hit is in."""
    points, end = response.points, _end(request)
    if limit is None or limit > _MOST or len(points) < limit:
        return False
    return end > 0 and points[end - 1].score == points[-1].score


def _page(request: models.QueryRequest, response: QueryResponse) -> QueryResponse:
    points = {point.id: point for point in response.points}.values()  # pages of a server may repeat one
    ordered = sorted(points, key=_place)
    return QueryResponse(points=ordered[request.offset or 0 : _end(request)])


def _place(point: models.ScoredPoint) -> tuple[Any, ...]:
    return -point.score, id_order(point.id)


def id_order(point: models.ExtendedPointId) -> tuple[bool, Any]:
    """Sort key of an engine's id: numbers come before UUIDs."""
    return isinstance(point, str), point

"""More hits than a collection returns at once: put together from several requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeAlias

from qdrant_client import models
from qdrant_client.http.models import QueryResponse

from fg_search.engine.port import PointId

Page: TypeAlias = tuple[list[models.Record], PointId | None]
Scroll: TypeAlias = Callable[
    [int, models.Filter | None, PointId | None, models.OrderBy | None], Awaitable[Page]
]  # limit, filter, offset, order


async def scroll_in_pages(
    scroll: Scroll,
    most: int,
    limit: int,
    scroll_filter: models.Filter | None,
    offset: PointId | None,
    order_by: models.OrderBy | None,
) -> Page:
    """Read a page of ``limit`` points in pages of at most ``most``."""
    records: list[models.Record] = []
    order, narrowed = order_by, scroll_filter
    while True:
        wanted = min(most, limit - len(records))
        page, offset = await scroll(wanted, narrowed, offset, order)
        records += page
        if len(records) >= limit or (offset is None if order is None else len(page) < wanted):
            return records, offset
        if order is not None:  # in an order there is no offset: go on at the last value, without what was read of it
            last = page[-1].order_value
            seen: list[Any] = [record.id for record in records if record.order_value == last]
            order = order.model_copy(update={"start_from": last})
            narrowed = models.Filter(
                must=None if scroll_filter is None else [scroll_filter], must_not=[models.HasIdCondition(has_id=seen)]
            )


async def count_values(
    scroll: Scroll, most: int, key: str, facet_filter: models.Filter | None
) -> list[models.FacetValueHit]:
    """Count the values of a payload key point by point, for more values than a facet may return."""
    counts: Counter[Any] = Counter()
    offset: PointId | None = None
    while True:
        page, offset = await scroll(most, facet_filter, offset, None)
        for record in page:
            counts.update(set(_values(record.payload, key.split("."))))
        if offset is None:
            return [models.FacetValueHit(value=value, count=count) for value, count in counts.most_common()]


def in_pages(request: models.QueryRequest, most: int) -> list[models.QueryRequest]:
    """Requests for the pages of the hits of one request, each of at most ``most`` hits.

    Candidates of a prefetch cannot be had in pages: there are ``most`` of them, too.
    """
    if isinstance(request.prefetch, models.Prefetch) and (request.prefetch.limit or 0) > most:
        fewer = request.prefetch.model_copy(update={"limit": most})
        request = request.model_copy(update={"prefetch": fewer})
    limit, offset = request.limit or most, request.offset or 0
    if limit <= most:
        return [request]
    if isinstance(request.query, models.SampleQuery):  # another page would be another sample
        return [request.model_copy(update={"limit": most})]
    starts = range(offset, offset + limit, most)
    return [
        request.model_copy(update={"limit": min(most, offset + limit - start), "offset": start or None})
        for start in starts
    ]


def together(responses: Sequence[QueryResponse]) -> QueryResponse:
    """Response of which the others are pages."""
    return QueryResponse(points=[point for response in responses for point in response.points])


def _values(part: Any, path: list[str]) -> Iterator[Any]:
    """Values at a path in a payload. A list has those of its members."""
    if isinstance(part, list):
        for one in part:
            yield from _values(one, path)
    elif not path:
        if part is not None and not isinstance(part, dict):
            yield part
    elif isinstance(part, dict) and path[0] in part:
        yield from _values(part[path[0]], path[1:])

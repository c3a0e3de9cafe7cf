"""Filters where strict mode allows few conditions: the user's count, and the index's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from qdrant_client import models

from fg_search.engine.answers import answer_of
from fg_search.engine.paging import scroll_pages
from fg_search.errors import ServerError
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_plan import least_conditions
from fg_search.index.set_aside import NOT_SET_ASIDE, SET_ASIDE
from fg_search.index.state import IndexState
from fg_search.layout.conditions import has_ids
from fg_search.layout.points import id_of

T = TypeVar("T")

_PAGE = 1000


async def in_scope(state: IndexState, options: SearchOptions, ask: Callable[[models.Filter | None], Awaitable[T]]) -> T:
    """Ask with the filter for the points that a search considers.

    Where that has too many conditions, items that are set aside are left out by their ids, which is one condition in
    place of three.

    Raises:
        ServerError: If there are too many still.
    """
    least = least_conditions(options)
    if state.metadata.set_aside is None:
        with told_of_conditions(state, options.query_filter):
            return await ask(state.scope(*least, options.query_filter))
    try:
        return await ask(state.scope(NOT_SET_ASIDE, *least, options.query_filter))
    except ServerError as error:
        if _too_many(error) is None:
            raise
    with told_of_conditions(state, options.query_filter):
        found = scroll_pages(
            state.engine, state.collection, page_size=_PAGE, scroll_filter=state.scope(SET_ASIDE), with_payload=False
        )
        ids = [id_of(record) async for page in found for record in page]
        left = models.Filter(must_not=[has_ids(ids)]) if ids else None
        return await ask(state.scope(left, *least, options.query_filter))


@contextmanager
def told_of_conditions(state: IndexState, query_filter: models.Filter | None) -> Iterator[None]:
    """Say how many conditions are the user's, and how many the index's own, if there are too many.

    Raises:
        ServerError: If there are.
    """
    try:
        yield
    except ServerError as error:
        numbers = _too_many(error)
        if numbers is None:
            raise
        (found, allowed), yours = numbers, _conditions(query_filter)
        raise ServerError(
            f"strict mode allows {allowed} conditions in a filter, and this one has {found}: {yours} of yours and "
            f"{found - yours} that the index adds, such as for a tenant or min_confidence; use fewer, or raise "
            f"filter_max_conditions of the collection {state.points!r}",
            status=error.status,
        ) from error


def _too_many(error: ServerError) -> tuple[int, int] | None:
    """Number of conditions, and how many strict mode allows, if these were too many."""
    answer = None if error.__cause__ is None else answer_of(error.__cause__)
    return None if answer is None else answer.conditions


def _conditions(part: Any) -> int:
    """Number of conditions as strict mode counts them."""
    if part is None:
        return 0
    if isinstance(part, list):
        return sum(map(_conditions, part))
    if isinstance(part, models.NestedCondition):
        return _conditions(part.nested.filter)
    if isinstance(part, models.Filter):
        least = None if part.min_should is None else part.min_should.conditions
        return sum(map(_conditions, (part.must, part.should, part.must_not, least)))
    return 1

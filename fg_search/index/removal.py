"""Removing items."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.ids import UserId
from fg_search.index.state import IndexState


async def delete(state: IndexState, ids: Sequence[UserId] | None, query_filter: models.Filter | None) -> int:
    """Remove items, by their ids (those that are not there are no error) or by a filter.

    Returns:
        How many were removed.

    Raises:
        ValueError: If neither or both are given.
    """
    if (ids is None) == (query_filter is None):
        raise ValueError("give either ids or query_filter")
    if isinstance(ids, (str, int)):
        raise TypeError(f"ids must be a list, got {ids!r}; wrap it: [{ids!r}]")
    if query_filter is not None:
        return await _delete(state, state.scope(query_filter) or query_filter)
    points = list(dict.fromkeys(state.point_id(one) for one in ids or ()))
    removed = 0
    for chunk in pages(points):
        mine: list[models.Condition] = [models.HasIdCondition(has_id=[*chunk])]
        removed += await _delete(state, models.Filter(must=mine))
    return removed


async def _delete(state: IndexState, condition: models.Filter) -> int:
    count = await state.engine.count(state.collection, condition)
    await state.engine.delete(state.collection, condition)
    return count

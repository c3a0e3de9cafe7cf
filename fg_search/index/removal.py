"""Removal of items."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.ids import UserId, plain_id
from fg_search.index.labels import log_hint
from fg_search.index.state import IndexState
from fg_search.validation import check_list


async def delete(state: IndexState, ids: Sequence[UserId] | None, query_filter: models.Filter | None) -> int:
    """Remove items by their ids or by a filter. Unknown ids are ignored.

    Returns:
        Number of items removed.

    Raises:
        ValueError: If neither or both are given.
    """
    if (ids is None) == (query_filter is None):
        raise ValueError("give either ids or query_filter")
    if query_filter is not None:
        return await _delete(state, state.scope(query_filter) or query_filter)
    check_list(ids, "ids")
    wanted = {plain_id(user_id): state.point_id(user_id) for user_id in ids or ()}
    removed = 0
    for chunk in pages(list(dict.fromkeys(wanted.values()))):
        removed += await _delete(state, models.Filter(must=[models.HasIdCondition(has_id=[*chunk])]))
    if wanted and not removed:
        await log_hint(state, list(wanted), wanted)
    return removed


async def _delete(state: IndexState, condition: models.Filter) -> int:
    count = await state.engine.count(state.collection, condition)
    await state.engine.delete(state.collection, condition)
    return count

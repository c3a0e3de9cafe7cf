"""Removal of items."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

from fg_search.engine.paging import pages, scroll_pages
from fg_search.engine.port import PointId
from fg_search.ids import UserId, plain_id
from fg_search.index.decision_log import log_decisions
from fg_search.index.few_conditions import told_of_conditions
from fg_search.index.following import on_current_collection
from fg_search.index.labels import log_hint
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.conditions import equals, has_ids
from fg_search.layout.keys import HISTORY_WAITING_KEY, ITEM_HISTORY_KEY
from fg_search.layout.points import history_of, id_of
from fg_search.validation import check_list

_ITEMS_PER_REQUEST = 1000
_WITHOUT_UNLOGGED = models.Filter(must_not=[equals(HISTORY_WAITING_KEY, True)])


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
        with told_of_conditions(state, query_filter):
            return await _delete(state, state.scope(query_filter) or query_filter)
    check_list(ids, "ids")
    wanted = {plain_id(user_id): state.point_id(user_id) for user_id in ids or ()}
    removed = 0
    for chunk in pages(list(dict.fromkeys(wanted.values()))):
        removed += await _delete(state, models.Filter(must=[has_ids(chunk)]))
    if wanted and not removed:
        await log_hint(state, list(wanted), wanted)
    return removed


async def _delete(state: IndexState, condition: models.Filter) -> int:
    """Remove the items that match, each only once the decisions about it are in the log."""
    removed: set[PointId] = set()

    async def write(state: IndexState) -> None:
        found = scroll_pages(
            state.engine,
            state.points,
            page_size=_ITEMS_PER_REQUEST,
            scroll_filter=condition,
            with_payload=[ITEM_HISTORY_KEY],
        )
        matching = [record async for page in found for record in page]
        for page in pages(matching, _ITEMS_PER_REQUEST):
            points = [id_of(record) for record in page]
            removed.update(points)
            left = models.Filter(must=[has_ids(points), condition])
            if any(history_of(record).unlogged for record in page):
                await log_decisions(state)
            while True:
                await state.engine.delete(
                    state.points, models.Filter(must=[has_ids(points), condition, _WITHOUT_UNLOGGED])
                )
                if not await state.engine.count(state.points, left):
                    break
                await log_decisions(state)  # somebody has decided about one of them in this very moment
            await acknowledge(state, points)
        if not matching:
            await acknowledge(state, [])

    await on_current_collection(state, write)
    return len(removed)

"""Log of decisions: a collection beside the index. The id of an entry's point is the number of the entry."""

from __future__ import annotations

import time
from typing import Literal, TypeAlias

from qdrant_client import models

from fg_search.engine.paging import scroll_pages
from fg_search.ids import UserId
from fg_search.index.collections import find_collection
from fg_search.index.logs import make_log
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals
from fg_search.layout.logs import DECISION_LOG_INDEXES, ITEM, NUMBER, STAGE, TENANT, decision_log
from fg_search.layout.points import payload_of
from fg_search.review.decisions import ReviewDecision

Stage: TypeAlias = Literal["waiting", "standing", "over"]
"""Stage of an entry: to be carried out; a decision that stands; an undo, or a decision that was undone or failed."""

_PAGE = 1000
_POINT, _FAILED = "point", "failed"
_WITHOUT_POINT = models.PayloadSelectorExclude(exclude=[_POINT])  # a deleted item is most of its entry


async def append_entry(state: IndexState, entry: ReviewDecision) -> None:
    """Log an entry that is to be carried out. The log is made if it is missing."""
    name = decision_log(state.collection)
    await make_log(state.engine, name, DECISION_LOG_INDEXES)
    payload = {**entry.to_payload(), STAGE: "waiting", ITEM: str(state.point_id(entry.id))}
    await state.engine.upsert(name, points=[models.PointStruct(id=entry.number, vector={}, payload=payload)])


async def set_stage(state: IndexState, number: int, stage: Stage, failed: str | None = None) -> None:
    """Note the stage of an entry, and why it failed if it did."""
    noted = {STAGE: stage, **({} if failed is None else {_FAILED: failed})}
    await state.engine.set_payload(decision_log(state.collection), noted, points=[number])


def entries_that(
    state: IndexState,
    *,
    stage: Stage | None = None,
    item: UserId | None = None,
    since: int | None = None,
    before: int | None = None,
) -> models.Filter:
    """Filter for entries of the tenant.

    Args:
        state: The index.
        stage: Stage of the entries.
        item: User's id of the item they are about.
        since: Least number.
        before: Number that theirs are less than.
    """
    point = None if item is None else str(state.point_id(item))
    values = ((TENANT, state.tenant), (STAGE, stage), (ITEM, point))
    must: list[models.Condition] = [equals(key, value) for key, value in values if value is not None]
    if since is not None or before is not None:
        must.append(models.FieldCondition(key=NUMBER, range=models.Range(gte=since, lt=before)))
    return models.Filter(must=must)


async def read_entries(state: IndexState, condition: models.Filter, *, with_point: bool = True) -> list[ReviewDecision]:
    """Entries that match, the oldest first.

    Args:
        state: The index.
        condition: Filter made by :func:`entries_that`.
        with_point: Read the points of deleted items, too.
    """
    name = decision_log(state.collection)
    if (await find_collection(state.engine, name)) is None:
        return []
    wanted = True if with_point else _WITHOUT_POINT
    found = scroll_pages(state.engine, name, page_size=_PAGE, scroll_filter=condition, with_payload=wanted)
    return [_entry_of(record)[0] async for page in found for record in page]


async def latest_entries(state: IndexState, condition: models.Filter, limit: int) -> list[ReviewDecision]:
    """Entries that match, the latest first, without the points of deleted items."""
    name = decision_log(state.collection)
    if (await find_collection(state.engine, name)) is None:
        return []
    records, _ = await state.engine.scroll(
        name,
        scroll_filter=condition,
        limit=limit,
        order_by=models.OrderBy(key=NUMBER, direction=models.Direction.DESC),
        with_payload=_WITHOUT_POINT,
    )
    return [_entry_of(record)[0] for record in records]


async def latest_entry(state: IndexState, condition: models.Filter) -> ReviewDecision | None:
    """Latest entry that matches, without the point of a deleted item. ``None`` if there is none."""
    return next(iter(await latest_entries(state, condition, 1)), None)


async def read_entry(state: IndexState, number: int) -> tuple[ReviewDecision, Stage] | None:
    """Whole entry of this number and its stage. ``None`` if there is none."""
    name = decision_log(state.collection)
    if (await find_collection(state.engine, name)) is None:
        return None
    records = await state.engine.retrieve(name, ids=[number], with_payload=True)
    return _entry_of(records[0]) if records else None


async def next_number(state: IndexState) -> int:
    """Number of the next entry: microseconds since 1970, which JavaScript reads exactly.

    It is greater than those of all tenants' entries, as clocks stand still and are set back.
    """
    latest = await latest_entry(state, models.Filter(must=[]))
    clock = time.time_ns() // 1000
    return clock if latest is None else max(clock, latest.number + 1)


def _entry_of(record: models.Record) -> tuple[ReviewDecision, Stage]:
    payload = dict(payload_of(record))
    stage = payload.pop(STAGE)
    del payload[ITEM]
    return ReviewDecision.of_payload(payload), stage

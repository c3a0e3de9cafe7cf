"""Log of decisions: a collection beside the index, to which entries are only added.

An entry begins its life in the item that it is about, written in one step with what it changes, so that labels and log
cannot disagree. :func:`log_decisions` moves such entries into the log. It is called before anything reads the log, and
before an item goes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from qdrant_client import models

from fg_search.engine.consistency import Copies
from fg_search.engine.paging import pages, scroll_pages
from fg_search.ids import UserId
from fg_search.index.logs import in_log, to_log
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.conditions import equals, has_ids
from fg_search.layout.keys import (
    HISTORY_NUMBER_KEY,
    HISTORY_WAITING_KEY,
    PAYLOAD_KEY,
)
from fg_search.layout.logs import DECISION_LOG_INDEXES, ITEM, KEY, NUMBER, STAGE, TENANT, TIME, UNDOES, decision_log
from fg_search.layout.points import history_of, id_of, payload_of

Stage: TypeAlias = Literal["waiting", "standing", "over"]
"""Stage of an entry: to be carried out; a decision that stands; an undo, or a decision that was undone or failed."""

LoggedEntry: TypeAlias = tuple[dict[str, Any], Stage]
"""JSON values of an entry, and its stage."""

_PAGE = 1000
_POINT, _FAILED = "point", "failed"
_WITHOUT_POINT = models.PayloadSelectorExclude(exclude=[_POINT])  # a deleted item is most of its entry
_NEWEST = models.OrderBy(key=NUMBER, direction=models.Direction.DESC)
_STRIDE = 65_536  # numbers between two entries at most, in which two writers hardly ever meet

WAITING = models.Filter(must=[equals(HISTORY_WAITING_KEY, True)])
"""Items with entries that are not in the log yet."""


async def log_decisions(state: IndexState, *, copies: Copies = "most") -> None:
    """Move the entries that items carry into the log. Done twice, or by two at once, it is done once.

    Args:
        state: The index.
        copies: Copies of a shard that are asked, as in :func:`log_unlogged`.

    Raises:
        IndexMovedError: If the index has moved.
    """
    records, _ = await log_unlogged(state, copies=copies)
    if records:
        await state.engine.batch_update_points(state.points, clearing(records), copies=copies)


async def log_unlogged(state: IndexState, *, copies: Copies = "most") -> tuple[list[models.ScoredPoint], int]:
    """Log the entries that items carry, and leave it to the caller to take them from the items.

    An entry is logged only once it is certain that its item is not left behind as it is: whoever decided elsewhere may
    not be acknowledged yet, and be refused where the index has moved to.

    Args:
        state: The index.
        copies: Copies of a shard that are asked. What is decided next depends on most of all; to look at the log,
            those that are there will do.

    Returns:
        The items, and the greatest number of a decision that any item has.

    Raises:
        IndexMovedError: If the index has moved.
    """
    while True:
        carrying = models.QueryRequest(filter=WAITING, limit=_PAGE, with_payload=True, with_vector=False)
        found, newest = await state.engine.query_batch_points(state.points, [carrying, newest_number()], copies=copies)
        histories = {id_of(record): history_of(record) for record in found.points}
        entries = [(str(point), entry) for point, history in histories.items() for entry in history.unlogged]
        if entries:
            keys = {entry[KEY] for _, entry in entries}
            if not keys <= state.handle.acknowledged:
                await acknowledge(state, list(histories))
            await _append(state, sorted(entries, key=lambda entry: entry[1][NUMBER]), copies)
            state.handle.acknowledged -= keys
        if len(found.points) < _PAGE:
            return found.points, max((history_of(record).number for record in newest.points), default=0)
        await state.engine.batch_update_points(state.points, clearing(found.points), copies=copies)


def clearing(records: Sequence[models.Record | models.ScoredPoint]) -> list[models.UpdateOperation]:
    """Writes that take logged entries from items, unless somebody has added others meanwhile."""
    operations: list[models.UpdateOperation] = []
    for record in records:
        history = history_of(record)
        seen = models.Filter(must=[has_ids([id_of(record)]), history.unchanged])
        setting = models.SetPayload(payload=history.logged().to_payload(), key=PAYLOAD_KEY, filter=seen)
        operations.append(models.SetPayloadOperation(set_payload=setting))
    return operations


async def append_waiting(state: IndexState, point: int | str, entry: Mapping[str, Any]) -> None:
    """Log an entry that is to be carried out. The log is made if it is missing."""
    await _write(state, [_insertion(_point_of(str(point), entry, "waiting"))])


async def set_stage(state: IndexState, number: int, stage: Stage, failed: str | None = None) -> None:
    """Note the stage of an entry, and why it failed if it did."""
    await _write(state, [_staging(number, stage, failed)])


async def is_logged(state: IndexState, key: str) -> bool:
    """Whether the entry of this key is in the log."""
    name = decision_log(state.collection)

    async def read() -> bool:
        return bool(await state.engine.retrieve(name, [key], with_payload=False, copies="most"))

    return await in_log(state, name, DECISION_LOG_INDEXES, read, False)


def entries_that(
    state: IndexState,
    *,
    stage: Stage | None = None,
    item: UserId | None = None,
    number: int | None = None,
    before: int | None = None,
    since: datetime | None = None,
) -> models.Filter:
    """Filter for entries of the tenant.

    Args:
        state: The index.
        stage: Stage of the entries.
        item: User's id of the item they are about.
        number: Their number.
        before: Number that theirs are less than.
        since: Earliest time.
    """
    point = None if item is None else str(state.point_id(item))
    values = ((TENANT, state.tenant), (STAGE, stage), (ITEM, point), (NUMBER, number))
    must: list[models.Condition] = [equals(key, value) for key, value in values if value is not None]
    if before is not None:
        must.append(models.FieldCondition(key=NUMBER, range=models.Range(lt=before)))
    if since is not None:
        must.append(models.FieldCondition(key=TIME, range=models.DatetimeRange(gte=since)))
    return models.Filter(must=must)


def waiting_entries(state: IndexState) -> models.Filter:
    """Filter for entries that are to be carried out, those of all tenants if none was chosen."""
    must: list[models.Condition] = [equals(STAGE, "waiting")]
    return models.Filter(must=must if state.chosen_tenant is None else [*must, equals(TENANT, state.chosen_tenant)])


async def read_entries(state: IndexState, condition: models.Filter, *, with_point: bool = True) -> list[LoggedEntry]:
    """Entries that match with their stages, the oldest first.

    Args:
        state: The index.
        condition: Filter made by :func:`entries_that`.
        with_point: Read the points of deleted items, too.
    """
    name = decision_log(state.collection)
    wanted = True if with_point else _WITHOUT_POINT

    async def read() -> list[LoggedEntry]:
        found = scroll_pages(state.engine, name, page_size=_PAGE, scroll_filter=condition, with_payload=wanted)
        entries = [_entry_of(record) async for page in found for record in page]
        return sorted(entries, key=lambda entry: entry[0][NUMBER])

    return await in_log(state, name, DECISION_LOG_INDEXES, read, [])


async def latest_entries(state: IndexState, condition: models.Filter, limit: int) -> list[LoggedEntry]:
    """Entries that match with their stages, the latest first, without the points of deleted items."""
    name = decision_log(state.collection)

    async def read() -> list[LoggedEntry]:
        records, _ = await state.engine.scroll(
            name, scroll_filter=condition, limit=limit, order_by=_NEWEST, with_payload=_WITHOUT_POINT
        )
        return [_entry_of(record) for record in records]

    return await in_log(state, name, DECISION_LOG_INDEXES, read, [])


async def latest_standing(state: IndexState) -> tuple[LoggedEntry | None, bool]:
    """Latest decision of the tenant that stands, and whether entries of the tenant are waiting to be carried out."""
    name = decision_log(state.collection)
    requests = [
        models.QueryRequest(filter=entries_that(state, stage="waiting"), limit=1, with_payload=False),
        models.QueryRequest(
            query=models.OrderByQuery(order_by=_NEWEST),
            filter=entries_that(state, stage="standing"),
            limit=1,
            with_payload=_WITHOUT_POINT,
        ),
    ]

    async def read() -> tuple[LoggedEntry | None, bool]:
        waiting, standing = await state.engine.query_batch_points(name, requests, copies="most")
        return (_entry_of(standing.points[0]) if standing.points else None), bool(waiting.points)

    return await in_log(state, name, DECISION_LOG_INDEXES, read, (None, False))


async def read_entry(state: IndexState, number: int, *, with_point: bool = False) -> LoggedEntry | None:
    """Entry of this number and its stage. ``None`` if the tenant has none."""
    condition = entries_that(state, number=number)
    return next(iter(await read_entries(state, condition, with_point=with_point)), None)


def newest_number() -> models.QueryRequest:
    """Request for the item that was decided about last."""
    order = models.OrderBy(key=HISTORY_NUMBER_KEY, direction=models.Direction.DESC)
    return models.QueryRequest(
        query=models.OrderByQuery(order_by=order), limit=1, with_payload=[HISTORY_NUMBER_KEY], with_vector=False
    )


def next_number(state: IndexState, known: int) -> int:
    """Number of the next entry: microseconds since 1970, which JavaScript reads exactly.

    It is greater than all that is known, whatever the clock says: clocks stand still, are set back, and differ.

    Args:
        state: The index. Its handles remember the number.
        known: Greatest number that was read.
    """
    known = max(known, state.handle.last_number)
    number = max(time.time_ns() // 1000, known + 1 + secrets.randbelow(_STRIDE))
    state.handle.last_number = number
    return number


async def append_records(state: IndexState, records: Sequence[models.Record]) -> None:
    """Add entries of another copy's log, as they stand there, unless they are here. An undo ends what it undoes."""
    by_number = sorted(records, key=lambda record: int(payload_of(record)[NUMBER]))
    await _append_points(
        state, [models.PointStruct(id=id_of(one), vector={}, payload=payload_of(one)) for one in by_number], "most"
    )


async def _append(state: IndexState, entries: Sequence[tuple[str, Mapping[str, Any]]], copies: Copies) -> None:
    """Add entries to the log, in order, unless they are there. An undo ends the stage of what it undoes."""
    points = [_point_of(item, entry, "standing" if entry.get(UNDOES) is None else "over") for item, entry in entries]
    await _append_points(state, points, copies)


async def _append_points(state: IndexState, points: Sequence[models.PointStruct], copies: Copies) -> None:
    for page in pages(points, _PAGE):
        operations: list[models.UpdateOperation] = []
        for point in page:
            operations.append(_insertion(point))
            undoes = (point.payload or {}).get(UNDOES)
            if undoes is not None:
                operations.append(_staging(undoes, "over"))
        await _write(state, operations, copies)


async def _write(state: IndexState, operations: Sequence[models.UpdateOperation], copies: Copies = "most") -> None:
    name = decision_log(state.collection)

    async def write() -> None:
        await state.engine.batch_update_points(name, operations, copies=copies)

    await to_log(state, name, DECISION_LOG_INDEXES, write)


def _point_of(item: str, entry: Mapping[str, Any], stage: Stage) -> models.PointStruct:
    values = dict(entry)
    return models.PointStruct(id=values.pop(KEY), vector={}, payload={**values, STAGE: stage, ITEM: item})


def _insertion(point: models.PointStruct) -> models.UpdateOperation:
    return models.UpsertOperation(upsert=models.PointsList(points=[point], update_mode=models.UpdateMode.INSERT_ONLY))


def _staging(number: int, stage: Stage, failed: str | None = None) -> models.UpdateOperation:
    noted = {STAGE: stage, _FAILED: failed}  # which may be wrong, if somebody else was about to carry it out
    numbered = models.Filter(must=[equals(NUMBER, number)])
    return models.SetPayloadOperation(set_payload=models.SetPayload(payload=noted, filter=numbered))


def _entry_of(record: models.Record | models.ScoredPoint) -> LoggedEntry:
    payload = dict(payload_of(record))
    stage = payload.pop(STAGE)
    del payload[ITEM]
    return payload, stage

"""The log of decisions: a collection beside the index, with an entry a point, whose id is the entry's number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from qdrant_client import models

from fg_search.engine.paging import pages, scroll_pages
from fg_search.engine.port import Engine
from fg_search.ids import UserId, point_id
from fg_search.index.collections import find_collection
from fg_search.index.logs import make_log
from fg_search.layout.logs import DECISION_LOG_INDEXES, ITEM, NUMBER, STAGE, TENANT, decision_log
from fg_search.review.decisions import Decision

Stage: TypeAlias = Literal["waiting", "standing", "over"]
"""Of an entry: still to be carried out; a decision that stands; an undo, or a decision taken back or not possible."""

_PAGE = 1000
_POINT, _FAILED = "point", "failed"
_WITHOUT_POINT = models.PayloadSelectorExclude(exclude=[_POINT])  # of a deleted item it is the most of its entry


async def append_entries(engine: Engine, collection: str, entries: Sequence[tuple[Decision, Stage]]) -> None:
    """Write entries, each with how far it got; the log is made if it is missing."""
    if not entries:
        return
    name = decision_log(collection)
    await make_log(engine, name, DECISION_LOG_INDEXES)
    for page in pages(entries, _PAGE):
        points = [
            models.PointStruct(
                id=entry.number, vector={}, payload={**entry.to_payload(), STAGE: stage, ITEM: _item_of(entry)}
            )
            for entry, stage in page
        ]
        await engine.upsert(name, points=points)


async def set_stage(engine: Engine, collection: str, number: int, stage: Stage, failed: str | None = None) -> None:
    """Note how far an entry got, and why it got no further."""
    noted = {STAGE: stage, **({} if failed is None else {_FAILED: failed})}
    await engine.set_payload(decision_log(collection), noted, points=[number])


def entries_that(
    *,
    tenant: str | None = None,
    stage: Stage | None = None,
    item: UserId | None = None,
    since: int | None = None,
    before: int | None = None,
) -> models.Filter:
    """A filter for entries of a tenant, so far, about one item, with numbers from one on, or below another one."""
    must: list[models.Condition] = []
    owned = None if item is None else str(point_id(item, tenant=tenant))
    for key, value in ((TENANT, tenant), (STAGE, stage), (ITEM, owned)):
        if value is not None:
            must.append(models.FieldCondition(key=key, match=models.MatchValue(value=value)))
    if since is not None or before is not None:
        must.append(models.FieldCondition(key=NUMBER, range=models.Range(gte=since, lt=before)))
    return models.Filter(must=must)


async def read_entries(
    engine: Engine, collection: str, condition: models.Filter | None = None, *, with_point: bool = True
) -> list[tuple[Decision, Stage]]:
    """Entries, each with how far it got, the oldest first; with what brings deleted items back, or without."""
    name = decision_log(collection)
    if (await find_collection(engine, name)) is None:
        return []
    wanted = True if with_point else _WITHOUT_POINT
    found = scroll_pages(engine, name, page_size=_PAGE, scroll_filter=condition, with_payload=wanted)
    return [_entry_of(record) async for page in found for record in page]


async def latest_entries(engine: Engine, collection: str, condition: models.Filter, limit: int) -> list[Decision]:
    """The latest entries, the latest first, without what brings deleted items back."""
    name = decision_log(collection)
    if (await find_collection(engine, name)) is None:
        return []
    records, _ = await engine.scroll(
        name,
        scroll_filter=condition,
        limit=limit,
        order_by=models.OrderBy(key=NUMBER, direction=models.Direction.DESC),
        with_payload=_WITHOUT_POINT,
    )
    return [_entry_of(record)[0] for record in records]


async def read_entry(engine: Engine, collection: str, number: int) -> tuple[Decision, Stage] | None:
    """An entry, whole, and how far it got; ``None`` if there is none of this number."""
    name = decision_log(collection)
    if (await find_collection(engine, name)) is None:
        return None
    records = await engine.retrieve(name, ids=[number], with_payload=True)
    return _entry_of(records[0]) if records else None


def _entry_of(record: Any) -> tuple[Decision, Stage]:
    payload = dict(record.payload)
    stage = payload.pop(STAGE)
    del payload[ITEM]
    return Decision.of_payload(payload), stage


def _item_of(entry: Decision) -> str:
    return str(point_id(entry.id, tenant=entry.tenant))

"""What people decide about items: first written to a log in the engine, then done, and taken back if they want.

The log is a collection beside the index. An entry says whether it was carried out, so that after a crash between the
two steps the next one to look at the log carries it out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qdrant_client import models

from fg_search.errors import ItemNotFoundError, NothingToUndoError
from fg_search.ids import UserId
from fg_search.index.adding import add
from fg_search.index.changing import relabel
from fg_search.index.decision_log import append_entries, mark_done, read_entries
from fg_search.index.state import IndexState
from fg_search.review.decisions import Decision, check_action, last_to_undo, now
from fg_search.storage.keys import PAYLOAD_KEY, REVIEW_KEY, REVIEWED_KEY
from fg_search.storage.operations import Operation, call
from fg_search.storage.points import Item


def decide(state: IndexState, user_id: UserId, action: str, label: str | None, reviewer: str) -> Operation[Decision]:
    """Log a decision and carry it out.

    Raises:
        ItemNotFoundError: If there is no such item.
        ValueError: If there is no such action, or its label is missing.
    """
    yield from finish(state)
    point = state.point_id(user_id)
    records = yield call("retrieve", state.collection, ids=[point], with_payload=True, with_vectors=action == "delete")
    if not records:
        raise ItemNotFoundError(f"{state.name} has no item {user_id!r}")
    (record,) = records
    features = record.payload[PAYLOAD_KEY]
    before = features.get("label")  # the engine removes a key that is set to null
    chosen = check_action(action, label, (features.get(REVIEW_KEY) or {}).get("suggested"))
    entry = Decision(
        number=_number(),
        id=user_id,
        action=action,  # type: ignore[arg-type]  # checked
        before=before,
        after=before if chosen is None else chosen,
        reviewer=reviewer,
        time=now(),
        point=_as_json(record) if action == "delete" else None,
        tenant=state.tenant,
    )
    yield from append_entries(state.collection, [(entry, False)])
    yield from _carry_out(state, entry)
    return entry


def undo(state: IndexState, reviewer: str) -> Operation[Decision]:
    """Take back the latest decision that stands.

    Raises:
        NothingToUndoError: If there is none.
    """
    entries = yield from decisions(state)
    last = last_to_undo(entries)
    if last is None:
        raise NothingToUndoError(f"no decision about an item of {state.name} stands")
    entry = replace(
        last,
        number=_number(),
        action="undo",
        before=last.after,
        after=last.before,
        reviewer=reviewer,
        time=now(),
        undoes=last.number,
    )
    yield from append_entries(state.collection, [(entry, False)])
    yield from _carry_out(state, entry)
    return entry


def decisions(state: IndexState) -> Operation[list[Decision]]:
    """All entries of the log, the oldest first; of one tenant, where the index has some."""
    yield from finish(state)
    entries = yield from read_entries(state.collection)
    return [entry for entry, _ in entries if entry.tenant == state.tenant]


def finish(state: IndexState) -> Operation[None]:
    """Carry out what was logged and then interrupted."""
    entries = yield from read_entries(state.collection)
    for entry, done in entries:
        if not done and entry.tenant == state.tenant:
            yield from _carry_out(state, entry)


def _carry_out(state: IndexState, entry: Decision) -> Operation[None]:
    """Do what an entry says; doing it twice is doing it once."""
    point = state.point_id(entry.id)
    if entry.action == "undo":
        yield from _take_back(state, entry)
    elif entry.action == "delete":
        yield call("delete", state.collection, points_selector=models.PointIdsList(points=[point]), wait=True)
    else:
        yield from _set_label(state, entry)
        yield from _mark(state, point, entry)
    yield from mark_done(state.collection, entry)


def _take_back(state: IndexState, entry: Decision) -> Operation[None]:
    point = state.point_id(entry.id)
    if entry.point is not None:
        yield from _bring_back(state, entry.point)
        return
    yield from _set_label(state, entry)
    entries = yield from read_entries(state.collection)
    earlier = [one for one, _ in entries if one.id == entry.id and one.number < entry.number]
    standing = last_to_undo([*earlier, entry])
    if standing is None:
        yield call("delete_payload", state.collection, [f"{PAYLOAD_KEY}.{REVIEWED_KEY}"], points=[point], wait=True)
    else:
        yield from _mark(state, point, standing)


def _bring_back(state: IndexState, point: Mapping[str, Any]) -> Operation[None]:
    """Restore a deleted item as it was; with vectors of the encoder that the index has by now."""
    payload = point["payload"]
    if payload[PAYLOAD_KEY]["model"] == state.metadata.fingerprint:
        restored = models.PointStruct(id=point["id"], vector=_vectors(point["vectors"]), payload=payload)
        yield call("upsert", state.collection, points=[restored], wait=True)
    else:
        item = Item.of_record(models.Record(id=point["id"], payload=payload))
        yield from add(state, [item], None, batch_size=1, progress=lambda _: None, copied=True)


def _set_label(state: IndexState, entry: Decision) -> Operation[None]:
    if entry.before != entry.after:
        yield from relabel(state, {entry.id: entry.after}, keep_judgement=True)  # undo brings the item back


def _mark(state: IndexState, point: int | str, entry: Decision) -> Operation[None]:
    """Let the point say that it was decided about, which takes it out of the queue."""
    mark = {REVIEWED_KEY: {"action": entry.action, "reviewer": entry.reviewer, "time": entry.time}}
    yield call("set_payload", state.collection, mark, points=[point], key=PAYLOAD_KEY, wait=True)


def _number() -> int:
    """Microseconds since 1970: in the order of time, of one's own, and exact in JavaScript."""
    return time.time_ns() // 1000


def _as_json(record: Any) -> dict[str, Any]:
    vectors = {
        name: vector.model_dump() if isinstance(vector, models.SparseVector) else list(vector)
        for name, vector in record.vector.items()
    }
    return {"id": record.id, "vectors": vectors, "payload": record.payload}


def _vectors(vectors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: models.SparseVector(**vector) if isinstance(vector, dict) else vector for name, vector in vectors.items()
    }

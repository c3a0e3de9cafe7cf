"""What people decide about items: first written to a log in the engine, then done, and taken back if they want.

The log is a collection beside the index. An entry says whether it was carried out, so that after a crash between the
two steps the next one to look at the log carries it out. What is wrong is found before it is logged; an entry that
cannot be carried out all the same, since somebody else changed the item in between, is marked as failed, once and for
all. One handle of an index does these operations one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from qdrant_client import models

from fg_search.engine.retries import is_transient
from fg_search.errors import (
    DecisionConflictError,
    EncoderNotFoundError,
    ItemNotFoundError,
    ModelMismatchError,
    NothingToUndoError,
    StorageError,
)
from fg_search.ids import UserId
from fg_search.index.ingestion import add
from fg_search.index.labels import relabel
from fg_search.index.state import IndexState
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, PAYLOAD_KEY, REVIEW_KEY, REVIEWED_KEY
from fg_search.layout.points import Item, payload_of
from fg_search.review.decision_log import (
    append_entries,
    entries_that,
    latest_entries,
    read_entries,
    read_entry,
    set_stage,
)
from fg_search.review.decisions import Decision, check_action, check_reviewer, now
from fg_search.validation import check_count

_MICROSECONDS = 1_000_000
_NO_NUMBER = 2**63  # beyond what the engine keeps


async def decide(
    state: IndexState,
    user_id: UserId,
    action: str,
    label: str | None,
    reviewer: str,
    *,
    suggested: str | None = None,
    latest: int | None = None,
) -> Decision:
    """Log a decision and carry it out.

    Args:
        state: The index.
        user_id: Of the item.
        action: What was decided.
        label: That came with it.
        reviewer: Who decided.
        suggested: The suggestion that is accepted, if they say what they saw.
        latest: Number of the latest entry about the item that they knew of, 0 for none, if they say so.

    Raises:
        DecisionConflictError: If they saw something else than what is there now.
        ItemNotFoundError: If there is no such item.
        ValueError, TypeError: If there is no such action, or its label or the reviewer's name is missing or none.
    """
    check_reviewer(reviewer)
    point = state.point_id(user_id)
    await finish(state)
    if latest is not None:
        await _check_nothing_newer(state, user_id, latest)
    records = await state.engine.retrieve(state.collection, [point], with_vectors=action == "delete")
    if not records:
        raise ItemNotFoundError(f"{state.name} has no item {user_id!r}")
    (record,) = records
    features = payload_of(record)[PAYLOAD_KEY]
    before = features.get("label")  # the engine removes a key that is set to null
    chosen = check_action(action, label, (features.get(REVIEW_KEY) or {}).get("suggested"), suggested)
    entry = Decision(
        number=await _next_number(state),
        id=user_id,
        action=action,  # type: ignore[arg-type]  # checked
        before=before,
        after=before if chosen is None else chosen,
        reviewer=reviewer,
        time=now(),
        point=_as_json(record) if action == "delete" else None,
        tenant=state.tenant,
    )
    return await _log_and_do(state, entry)


async def undo(state: IndexState, number: int | None, reviewer: str) -> Decision:
    """Take back the latest decision that stands, or a certain one.

    Raises:
        NothingToUndoError: If there is none.
        DecisionConflictError: If it does not stand any more, or there is a later one about its item, or the item is
            not as the decision left it.
    """
    check_reviewer(reviewer)
    await finish(state)
    last = await _to_undo(state, number)
    if last.action == "delete":
        await _check_can_come_back(state, last)
    else:
        await _check_is_as_left(state, last)
    entry = replace(
        last,
        number=await _next_number(state),
        action="undo",
        before=last.after,
        after=last.before,
        reviewer=reviewer,
        time=now(),
        undoes=last.number,
    )
    return await _log_and_do(state, entry)


async def decisions(
    state: IndexState,
    *,
    limit: int | None = None,
    item_id: UserId | None = None,
    standing: bool = False,
    since: datetime | None = None,
) -> list[Decision]:
    """Entries of the log, the oldest first; of one tenant, where the index has some.

    Raises:
        ValueError: If the limit is less than one.
    """
    if limit is not None:
        check_count(limit, name="limit")
    condition = entries_that(
        tenant=state.tenant,
        stage="standing" if standing else None,
        item=item_id,
        since=None if since is None else int(since.timestamp() * _MICROSECONDS),
    )
    await finish(state)
    if limit is not None:
        return (await latest_entries(state.engine, state.collection, condition, limit))[::-1]
    return [entry for entry, _ in (await read_entries(state.engine, state.collection, condition, with_point=False))]


async def finish(state: IndexState) -> None:
    """Carry out what was logged and then interrupted, or note that it is not possible any more."""
    waiting = await read_entries(state.engine, state.collection, entries_that(tenant=state.tenant, stage="waiting"))
    for entry, _ in waiting:
        try:
            await _check_still_fits(state, entry)
            await _carry_out(state, entry)
        except Exception as error:
            if _may_go_away(error):
                raise
            await set_stage(state.engine, state.collection, entry.number, "over", failed=str(error))


async def _log_and_do(state: IndexState, entry: Decision) -> Decision:
    await append_entries(state.engine, state.collection, [(entry, "waiting")])
    try:
        await _carry_out(state, entry)
    except Exception as error:
        if not _may_go_away(error):
            await set_stage(state.engine, state.collection, entry.number, "over", failed=str(error))
        raise
    return entry


def _may_go_away(error: Exception) -> bool:
    """Whether the same may succeed later, or through another handle."""
    if isinstance(error, EncoderNotFoundError):  # a FileNotFoundError, but one that stays
        return False
    return is_transient(error) or isinstance(error, (StorageError, ModelMismatchError, OSError, MemoryError))


# what an item has to be like


async def _check_nothing_newer(state: IndexState, user_id: UserId, latest: int) -> None:
    found = await latest_entries(state.engine, state.collection, entries_that(tenant=state.tenant, item=user_id), 1)
    if found and found[0].number != latest:
        newest = found[0]
        if newest.action == "undo":
            raise DecisionConflictError(f"{newest.reviewer} took back a decision about {user_id!r} meanwhile")
        raise DecisionConflictError(f"{newest.reviewer} decided about {user_id!r} meanwhile: {newest.action}")


async def _to_undo(state: IndexState, number: int | None) -> Decision:
    if number is None:
        found = await latest_entries(
            state.engine, state.collection, entries_that(tenant=state.tenant, stage="standing"), 1
        )
        if not found:
            raise NothingToUndoError(f"no decision about an item of {state.name} stands")
        return found[0]
    check_count(number, name="number", least=0)
    read = (await read_entry(state.engine, state.collection, number)) if number < _NO_NUMBER else None
    entry, stage = read if read is not None else (None, None)
    if entry is None or entry.action == "undo" or entry.tenant != state.tenant:
        raise NothingToUndoError(f"{state.name} has no decision {number}")
    if stage != "standing":
        raise DecisionConflictError(f"the decision about {entry.id!r} was taken back already")
    of_item = entries_that(tenant=state.tenant, stage="standing", item=entry.id)
    (latest,) = await latest_entries(state.engine, state.collection, of_item, 1)
    if latest.number != number:
        raise DecisionConflictError(
            f"there is a later decision about {entry.id!r} ({latest.action} by {latest.reviewer}); take that back first"
        )
    return latest


async def _check_is_as_left(state: IndexState, decision: Decision) -> None:
    """Make sure that an item is what a decision made of it, so that undoing takes back nothing else."""
    features = await _features(state, decision)
    if features is None:
        raise _conflict(decision, "the item is gone")
    if features.get("label") != decision.after:
        raise _conflict(decision, f"the item has the label {features.get('label')!r} by now, not {decision.after!r}")
    if features.get(REVIEWED_KEY) != _mark_of(decision):
        raise _conflict(decision, "the item was replaced since")


async def _check_can_come_back(state: IndexState, decision: Decision) -> None:
    if (await _features(state, decision)) is not None:
        raise _conflict(decision, "there is an item with this id again")
    point = await _deleted_point(state, decision.number)
    if _restored(state, point) is None:
        await state.engine.work(lambda: state.encoder)  # it will be needed: better no entry than one that fails


async def _check_still_fits(state: IndexState, entry: Decision) -> None:
    """Make sure that an interrupted entry is about the item as it is now; some of it may have been done."""
    features = await _features(state, entry)
    if entry.action == "delete":
        deleted = (entry.point or {})["payload"][PAYLOAD_KEY]
        if features is not None and features["hash"] != deleted["hash"]:
            raise _conflict(entry, "the item was replaced before it could be deleted")
    elif await _is_of_deletion(state, entry):
        return  # see _bring_back
    elif features is None:
        raise _conflict(entry, "the item is gone")
    elif features.get("label") not in (entry.before, entry.after):
        raise _conflict(entry, f"the item has the label {features.get('label')!r} by now")


def _conflict(entry: Decision, why: str) -> DecisionConflictError:
    return DecisionConflictError(
        f"the decision {entry.number} ({entry.action}) about {entry.id!r} is out of date: {why}"
    )


async def _features(state: IndexState, entry: Decision) -> Mapping[str, Any] | None:
    """Our part of the item's payload; ``None`` if it is not there."""
    ids = [state.point_id(entry.id)]
    records = await state.engine.retrieve(state.collection, ids, with_payload=[PAYLOAD_KEY])
    return payload_of(records[0])[PAYLOAD_KEY] if records else None


# doing it


async def _carry_out(state: IndexState, entry: Decision) -> None:
    """Do what an entry says; doing it twice is doing it once."""
    point = state.point_id(entry.id)
    if entry.action == "undo":
        await _take_back(state, entry)
        await set_stage(state.engine, state.collection, entry.number, "over")
        return
    if entry.action == "delete":
        await state.engine.delete(state.collection, [point])
    else:
        await _set_label(state, entry)
        await _mark(state, point, entry)
    await set_stage(state.engine, state.collection, entry.number, "standing")


async def _take_back(state: IndexState, entry: Decision) -> None:
    point, undone = state.point_id(entry.id), _undone(entry)
    if await _is_of_deletion(state, entry):
        await _bring_back(state, entry, await _deleted_point(state, undone))
    else:
        await _set_label(state, entry)
        earlier = entries_that(tenant=entry.tenant, stage="standing", item=entry.id, before=undone)
        found = await latest_entries(state.engine, state.collection, earlier, 1)
        if found:
            await _mark(state, point, found[0])
        else:
            await state.engine.delete_payload(state.collection, [f"{PAYLOAD_KEY}.{REVIEWED_KEY}"], points=[point])
    await set_stage(state.engine, state.collection, undone, "over")


async def _bring_back(state: IndexState, entry: Decision, point: Mapping[str, Any]) -> None:
    """Restore a deleted item as it was; with vectors of the encoder that the index has by now."""
    features = await _features(state, entry)
    if features is not None:
        if features["hash"] != point["payload"][PAYLOAD_KEY]["hash"]:
            raise _conflict(entry, "there is an item with this id again")
        return  # it is back already
    restored = _restored(state, point)
    if restored is not None:
        await state.engine.upsert(state.collection, [restored])
    else:
        item = Item.of_record(models.Record(id=point["id"], payload=point["payload"]))
        await add(state, [item], None, batch_size=1, progress=lambda _: None, copied=True)


def _restored(state: IndexState, point: Mapping[str, Any]) -> models.PointStruct | None:
    """A deleted item with the vectors that it had; ``None`` if the index wants others by now."""
    wanted = {FEATURES_VECTOR, *([BASE_VECTOR] if state.metadata.has_base else [])}
    if point["payload"][PAYLOAD_KEY]["model"] != state.metadata.fingerprint or not wanted <= point["vectors"].keys():
        return None
    vectors = {name: _vector(vector) for name, vector in point["vectors"].items() if name in wanted}
    return models.PointStruct(id=point["id"], vector=vectors, payload=point["payload"])


async def _is_of_deletion(state: IndexState, entry: Decision) -> bool:
    """Whether an entry takes back that an item was deleted."""
    if entry.action != "undo":
        return False
    undone = await read_entry(state.engine, state.collection, _undone(entry))
    return undone is not None and undone[0].action == "delete"


async def _deleted_point(state: IndexState, number: int) -> Mapping[str, Any]:
    read = await read_entry(state.engine, state.collection, number)
    assert read is not None  # noqa: S101  nothing is removed from the log
    assert read[0].point is not None  # noqa: S101  a deletion has it
    return read[0].point


def _undone(entry: Decision) -> int:
    assert entry.undoes is not None  # noqa: S101  every undo has it
    return entry.undoes


async def _set_label(state: IndexState, entry: Decision) -> None:
    if entry.before != entry.after:
        await relabel(state, {entry.id: entry.after}, keep_judgement=True)  # undo brings the item back


async def _mark(state: IndexState, point: int | str, entry: Decision) -> None:
    """Let the point say that it was decided about, which takes it out of the queue."""
    mark = {REVIEWED_KEY: _mark_of(entry)}
    await state.engine.set_payload(state.collection, mark, points=[point], key=PAYLOAD_KEY)


def _mark_of(entry: Decision) -> dict[str, str]:
    return {"action": entry.action, "reviewer": entry.reviewer, "time": entry.time}


async def _next_number(state: IndexState) -> int:
    """Microseconds since 1970, exact in JavaScript, but later than all entries: clocks stand still and are set back."""
    found = await latest_entries(state.engine, state.collection, entries_that(), 1)
    clock = time.time_ns() // 1000
    return max(clock, found[0].number + 1) if found else clock


def _as_json(record: Any) -> dict[str, Any]:
    vectors = {
        name: vector.model_dump() if isinstance(vector, models.SparseVector) else list(vector)
        for name, vector in record.vector.items()
    }
    return {"id": record.id, "vectors": vectors, "payload": record.payload}


def _vector(vector: Any) -> Any:
    return models.SparseVector(**vector) if isinstance(vector, dict) else vector

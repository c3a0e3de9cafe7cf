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

from fg_search.engine.operations import Operation, Work, call, is_transient
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
from fg_search.layout.points import Item
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


def decide(
    state: IndexState,
    user_id: UserId,
    action: str,
    label: str | None,
    reviewer: str,
    *,
    suggested: str | None = None,
    latest: int | None = None,
) -> Operation[Decision]:
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
    yield from finish(state)
    if latest is not None:
        yield from _check_nothing_newer(state, user_id, latest)
    records = yield call("retrieve", state.collection, ids=[point], with_payload=True, with_vectors=action == "delete")
    if not records:
        raise ItemNotFoundError(f"{state.name} has no item {user_id!r}")
    (record,) = records
    features = record.payload[PAYLOAD_KEY]
    before = features.get("label")  # the engine removes a key that is set to null
    chosen = check_action(action, label, (features.get(REVIEW_KEY) or {}).get("suggested"), suggested)
    entry = Decision(
        number=(yield from _next_number(state)),
        id=user_id,
        action=action,  # type: ignore[arg-type]  # checked
        before=before,
        after=before if chosen is None else chosen,
        reviewer=reviewer,
        time=now(),
        point=_as_json(record) if action == "delete" else None,
        tenant=state.tenant,
    )
    return (yield from _log_and_do(state, entry))


def undo(state: IndexState, number: int | None, reviewer: str) -> Operation[Decision]:
    """Take back the latest decision that stands, or a certain one.

    Raises:
        NothingToUndoError: If there is none.
        DecisionConflictError: If it does not stand any more, or there is a later one about its item, or the item is
            not as the decision left it.
    """
    check_reviewer(reviewer)
    yield from finish(state)
    last = yield from _to_undo(state, number)
    if last.action == "delete":
        yield from _check_can_come_back(state, last)
    else:
        yield from _check_is_as_left(state, last)
    entry = replace(
        last,
        number=(yield from _next_number(state)),
        action="undo",
        before=last.after,
        after=last.before,
        reviewer=reviewer,
        time=now(),
        undoes=last.number,
    )
    return (yield from _log_and_do(state, entry))


def decisions(
    state: IndexState,
    *,
    limit: int | None = None,
    item_id: UserId | None = None,
    standing: bool = False,
    since: datetime | None = None,
) -> Operation[list[Decision]]:
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
    yield from finish(state)
    if limit is not None:
        return (yield from latest_entries(state.collection, condition, limit))[::-1]
    return [entry for entry, _ in (yield from read_entries(state.collection, condition, with_point=False))]


def finish(state: IndexState) -> Operation[None]:
    """Carry out what was logged and then interrupted, or note that it is not possible any more."""
    waiting = yield from read_entries(state.collection, entries_that(tenant=state.tenant, stage="waiting"))
    for entry, _ in waiting:
        try:
            yield from _check_still_fits(state, entry)
            yield from _carry_out(state, entry)
        except Exception as error:
            if _may_go_away(error):
                raise
            yield from set_stage(state.collection, entry.number, "over", failed=str(error))


def _log_and_do(state: IndexState, entry: Decision) -> Operation[Decision]:
    yield from append_entries(state.collection, [(entry, "waiting")])
    try:
        yield from _carry_out(state, entry)
    except Exception as error:
        if not _may_go_away(error):
            yield from set_stage(state.collection, entry.number, "over", failed=str(error))
        raise
    return entry


def _may_go_away(error: Exception) -> bool:
    """Whether the same may succeed later, or through another handle."""
    if isinstance(error, EncoderNotFoundError):  # a FileNotFoundError, but one that stays
        return False
    return is_transient(error) or isinstance(error, (StorageError, ModelMismatchError, OSError, MemoryError))


# what an item has to be like


def _check_nothing_newer(state: IndexState, user_id: UserId, latest: int) -> Operation[None]:
    found = yield from latest_entries(state.collection, entries_that(tenant=state.tenant, item=user_id), 1)
    if found and found[0].number != latest:
        newest = found[0]
        if newest.action == "undo":
            raise DecisionConflictError(f"{newest.reviewer} took back a decision about {user_id!r} meanwhile")
        raise DecisionConflictError(f"{newest.reviewer} decided about {user_id!r} meanwhile: {newest.action}")


def _to_undo(state: IndexState, number: int | None) -> Operation[Decision]:
    if number is None:
        found = yield from latest_entries(state.collection, entries_that(tenant=state.tenant, stage="standing"), 1)
        if not found:
            raise NothingToUndoError(f"no decision about an item of {state.name} stands")
        return found[0]
    check_count(number, name="number", least=0)
    read = (yield from read_entry(state.collection, number)) if number < _NO_NUMBER else None
    entry, stage = read if read is not None else (None, None)
    if entry is None or entry.action == "undo" or entry.tenant != state.tenant:
        raise NothingToUndoError(f"{state.name} has no decision {number}")
    if stage != "standing":
        raise DecisionConflictError(f"the decision about {entry.id!r} was taken back already")
    of_item = entries_that(tenant=state.tenant, stage="standing", item=entry.id)
    (latest,) = yield from latest_entries(state.collection, of_item, 1)
    if latest.number != number:
        raise DecisionConflictError(
            f"there is a later decision about {entry.id!r} ({latest.action} by {latest.reviewer}); take that back first"
        )
    return latest


def _check_is_as_left(state: IndexState, decision: Decision) -> Operation[None]:
    """Make sure that an item is what a decision made of it, so that undoing takes back nothing else."""
    features = yield from _features(state, decision)
    if features is None:
        raise _conflict(decision, "the item is gone")
    if features.get("label") != decision.after:
        raise _conflict(decision, f"the item has the label {features.get('label')!r} by now, not {decision.after!r}")
    if features.get(REVIEWED_KEY) != _mark_of(decision):
        raise _conflict(decision, "the item was replaced since")


def _check_can_come_back(state: IndexState, decision: Decision) -> Operation[None]:
    if (yield from _features(state, decision)) is not None:
        raise _conflict(decision, "there is an item with this id again")
    point = yield from _deleted_point(state, decision.number)
    if _restored(state, point) is None:
        yield Work(lambda: state.encoder)  # it will be needed: better no entry than one that fails


def _check_still_fits(state: IndexState, entry: Decision) -> Operation[None]:
    """Make sure that an interrupted entry is about the item as it is now; some of it may have been done."""
    features = yield from _features(state, entry)
    if entry.action == "delete":
        deleted = (entry.point or {})["payload"][PAYLOAD_KEY]
        if features is not None and features["hash"] != deleted["hash"]:
            raise _conflict(entry, "the item was replaced before it could be deleted")
    elif (yield from _is_of_deletion(state, entry)):
        return  # see _bring_back
    elif features is None:
        raise _conflict(entry, "the item is gone")
    elif features.get("label") not in (entry.before, entry.after):
        raise _conflict(entry, f"the item has the label {features.get('label')!r} by now")


def _conflict(entry: Decision, why: str) -> DecisionConflictError:
    return DecisionConflictError(
        f"the decision {entry.number} ({entry.action}) about {entry.id!r} is out of date: {why}"
    )


def _features(state: IndexState, entry: Decision) -> Operation[Mapping[str, Any] | None]:
    """Our part of the item's payload; ``None`` if it is not there."""
    ids = [state.point_id(entry.id)]
    records = yield call("retrieve", state.collection, ids=ids, with_payload=[PAYLOAD_KEY])
    return records[0].payload[PAYLOAD_KEY] if records else None


# doing it


def _carry_out(state: IndexState, entry: Decision) -> Operation[None]:
    """Do what an entry says; doing it twice is doing it once."""
    point = state.point_id(entry.id)
    if entry.action == "undo":
        yield from _take_back(state, entry)
        yield from set_stage(state.collection, entry.number, "over")
        return
    if entry.action == "delete":
        yield call("delete", state.collection, points_selector=models.PointIdsList(points=[point]), wait=True)
    else:
        yield from _set_label(state, entry)
        yield from _mark(state, point, entry)
    yield from set_stage(state.collection, entry.number, "standing")


def _take_back(state: IndexState, entry: Decision) -> Operation[None]:
    point, undone = state.point_id(entry.id), _undone(entry)
    if (yield from _is_of_deletion(state, entry)):
        yield from _bring_back(state, entry, (yield from _deleted_point(state, undone)))
    else:
        yield from _set_label(state, entry)
        earlier = entries_that(tenant=entry.tenant, stage="standing", item=entry.id, before=undone)
        found = yield from latest_entries(state.collection, earlier, 1)
        if found:
            yield from _mark(state, point, found[0])
        else:
            yield call("delete_payload", state.collection, [f"{PAYLOAD_KEY}.{REVIEWED_KEY}"], points=[point], wait=True)
    yield from set_stage(state.collection, undone, "over")


def _bring_back(state: IndexState, entry: Decision, point: Mapping[str, Any]) -> Operation[None]:
    """Restore a deleted item as it was; with vectors of the encoder that the index has by now."""
    features = yield from _features(state, entry)
    if features is not None:
        if features["hash"] != point["payload"][PAYLOAD_KEY]["hash"]:
            raise _conflict(entry, "there is an item with this id again")
        return  # it is back already
    restored = _restored(state, point)
    if restored is not None:
        yield call("upsert", state.collection, points=[restored], wait=True)
    else:
        item = Item.of_record(models.Record(id=point["id"], payload=point["payload"]))
        yield from add(state, [item], None, batch_size=1, progress=lambda _: None, copied=True)


def _restored(state: IndexState, point: Mapping[str, Any]) -> models.PointStruct | None:
    """A deleted item with the vectors that it had; ``None`` if the index wants others by now."""
    wanted = {FEATURES_VECTOR, *([BASE_VECTOR] if state.metadata.has_base else [])}
    if point["payload"][PAYLOAD_KEY]["model"] != state.metadata.fingerprint or not wanted <= point["vectors"].keys():
        return None
    vectors = {name: _vector(vector) for name, vector in point["vectors"].items() if name in wanted}
    return models.PointStruct(id=point["id"], vector=vectors, payload=point["payload"])


def _is_of_deletion(state: IndexState, entry: Decision) -> Operation[bool]:
    """Whether an entry takes back that an item was deleted."""
    if entry.action != "undo":
        return False
    undone = yield from read_entry(state.collection, _undone(entry))
    return undone is not None and undone[0].action == "delete"


def _deleted_point(state: IndexState, number: int) -> Operation[Mapping[str, Any]]:
    read = yield from read_entry(state.collection, number)
    assert read is not None  # noqa: S101  nothing is removed from the log
    assert read[0].point is not None  # noqa: S101  a deletion has it
    return read[0].point


def _undone(entry: Decision) -> int:
    assert entry.undoes is not None  # noqa: S101  every undo has it
    return entry.undoes


def _set_label(state: IndexState, entry: Decision) -> Operation[None]:
    if entry.before != entry.after:
        yield from relabel(state, {entry.id: entry.after}, keep_judgement=True)  # undo brings the item back


def _mark(state: IndexState, point: int | str, entry: Decision) -> Operation[None]:
    """Let the point say that it was decided about, which takes it out of the queue."""
    mark = {REVIEWED_KEY: _mark_of(entry)}
    yield call("set_payload", state.collection, mark, points=[point], key=PAYLOAD_KEY, wait=True)


def _mark_of(entry: Decision) -> dict[str, str]:
    return {"action": entry.action, "reviewer": entry.reviewer, "time": entry.time}


def _next_number(state: IndexState) -> Operation[int]:
    """Microseconds since 1970, exact in JavaScript, but later than all entries: clocks stand still and are set back."""
    found = yield from latest_entries(state.collection, entries_that(), 1)
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

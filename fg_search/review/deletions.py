"""Deleted items, which the log of decisions keeps whole, so that undo can bring them back.

A deleted item cannot carry the entry about its deletion. So the item is marked first, unless somebody has changed it
meanwhile; then the entry is logged, as waiting; then the marked item is removed, and the entry stands. Whoever finds a
waiting entry goes on from there. An item without the mark is another one, which was added since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
from qdrant_client import models

from fg_search.errors import DecisionConflictError
from fg_search.index.decision_log import (
    append_waiting,
    log_decisions,
    read_entries,
    read_entry,
    set_stage,
    waiting_entries,
)
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.conditions import equals, has_ids
from fg_search.layout.history import History
from fg_search.layout.items import Item
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, HISTORY_VERSION_KEY, ITEM_HISTORY_KEY, PAYLOAD_KEY
from fg_search.layout.points import history_of, to_points, vectors_of, with_review_state
from fg_search.layout.source import is_being_filled
from fg_search.review.decisions import ReviewDecision
from fg_search.review.item_changes import SeenItem, check_changed, mark_item, read_item

_MARK = "mark"  # within the point of an entry: token and version of the marked item, and the collection it was in


async def log_deletion(state: IndexState, seen: SeenItem, entry: ReviewDecision, key: str) -> ReviewDecision:
    """Mark an item as about to be deleted, and log that, with what brings the item back.

    Args:
        state: The index.
        seen: The item as it was read.
        entry: The decision.
        key: Key of the entry, from which the mark follows: an item that was marked before an interruption, here or in
            another copy of the index, is known again.

    Raises:
        DecisionConflictError: If somebody else changes the item in the same moment.
    """
    if seen.history.unlogged:
        await log_decisions(state)
    token = key.replace("-", "")[:12]
    marked = _as_marked(seen.history.logged(), token)
    if marked != seen.history.logged():
        await mark_item(state, seen, marked)
    mark = {"token": token, "version": marked.version, "collection": state.points}
    entry = replace(entry, point={**_as_json(seen.record), _MARK: mark})
    await append_waiting(state, seen.point, entry.to_unlogged(key))
    return entry


async def delete_item(state: IndexState, entry: ReviewDecision) -> None:
    """Carry out a logged deletion.

    Raises:
        DecisionConflictError: If somebody else changes the item in the same moment.
    """
    if not await _carry_out(state, entry):
        raise DecisionConflictError(f"somebody changed {entry.id!r} in this very moment; look at it again")


async def finish_deletions(state: IndexState) -> None:
    """Carry out deletions that were logged and then interrupted, or note why they cannot be.

    Those of all tenants if none was chosen.
    """
    for payload, _ in await read_entries(state, waiting_entries(state)):
        entry = ReviewDecision.of_payload(payload)
        if entry.action == "delete":
            await _carry_out(state, entry)
        else:  # never carried out by a release before 0.2, which was interrupted
            await set_stage(state, entry.number, "over", failed="it was interrupted")


async def bring_back(state: IndexState, decision: ReviewDecision, entry: ReviewDecision, token: str, key: str) -> None:
    """Undo a deletion. An item whose vectors are another encoder's is encoded anew.

    Args:
        state: The index.
        decision: Decision to delete the item, which stands.
        entry: Entry for the log that undoes it.
        token: Token of the write.
        key: Key of the entry.

    Raises:
        DecisionConflictError: If there is an item with this id again, or the log was emptied.
        EncoderNotFoundError: If it must be encoded anew and the encoder is gone.
    """
    read = await read_entry(state, decision.number, with_point=True)
    if read is None:
        raise decision.out_of_date("the index was restored since, and its log with it")
    assert read[0]["point"] is not None  # noqa: S101  every deletion has it
    point: Mapping[str, Any] = read[0]["point"]
    there, _ = await read_item(state, point["id"])
    if there is not None:
        raise decision.out_of_date("there is an item with this id again")
    item = Item.of_record(models.Record(id=point["id"], payload=point["payload"]))
    history = history_of_deleted(read[0]).decided(token, entry.number, entry.to_unlogged(key))
    restored = await _restored(state, replace(item, history=history), point)
    await state.engine.upsert(state.points, [restored], insert_only=True)
    try:
        await check_changed(state, SeenItem(models.Record(id=restored.id, payload=restored.payload)), history)
    except DecisionConflictError as error:
        raise decision.out_of_date("there is an item with this id again") from error
    await acknowledge(state, [item.point_id])


def history_of_deleted(entry: Mapping[str, Any]) -> History:
    """History of a deleted item, with tokens of its mark and its removal.

    An item that is brought back goes on from it: whoever still waits for the removal sees that it took place.

    Args:
        entry: JSON values of the entry of a deletion, with the point.
    """
    point: Mapping[str, Any] = entry["point"]
    history = history_of(models.Record(id=point["id"], payload=point["payload"])).logged()
    mark = point.get(_MARK)
    if mark is None:  # by a release before 0.2
        return history
    return _as_marked(history, mark["token"]).changed(_removal(mark["token"]))


async def _carry_out(state: IndexState, entry: ReviewDecision) -> bool:
    """Remove the marked item of an entry, and note the stage. Return whether it is removed.

    An item without the mark, where the index has moved to since, may be that of a snapshot: it stays.
    """
    point: Mapping[str, Any] = entry.point or {}
    mark = point.get(_MARK)
    if mark is None:  # interrupted in a release before 0.2
        await set_stage(state, entry.number, "over", failed="it was interrupted")
        return False
    is_marked = await _is_marked(state, point["id"], mark)
    if is_marked:
        as_marked: list[models.Condition] = [has_ids([point["id"]]), equals(HISTORY_VERSION_KEY, mark["version"])]
        await state.engine.delete(state.points, models.Filter(must=as_marked))
        if await _is_marked(state, point["id"], mark):
            await set_stage(state, entry.number, "over", failed="somebody changed the item before it could be deleted")
            return False
    elif is_marked is False and state.points != mark["collection"]:
        await acknowledge(state, [point["id"]])
        await set_stage(state, entry.number, "over", failed="the index was moved before the item could be deleted")
        return False
    await acknowledge(state, [point["id"]])
    await set_stage(state, entry.number, "standing")
    return True


async def _is_marked(state: IndexState, point: int | str, mark: Mapping[str, Any]) -> bool | None:
    """Whether the item is the one that was marked, changed since or not. ``None`` if it is gone."""
    records = await state.engine.retrieve(state.points, [point], with_payload=[ITEM_HISTORY_KEY], copies="most")
    if not records:
        return None
    writers = history_of(records[0]).writers
    return mark["token"] in writers and _removal(mark["token"]) not in writers


def _as_marked(history: History, token: str) -> History:
    return history if history.writers[-1:] == (token,) else history.changed(token)


def _removal(mark: str) -> str:
    return f"{mark}-"


async def _restored(state: IndexState, item: Item, point: Mapping[str, Any]) -> models.PointStruct:
    """Deleted point with its vectors, or with new ones if the index now needs others.

    Those of an adopted collection are its owner's, and come back all; only the features may be new.
    """
    wanted = {FEATURES_VECTOR, *([BASE_VECTOR] if state.metadata.has_base else [])}
    is_of_encoder = point["payload"][PAYLOAD_KEY]["model"] == state.metadata.fingerprint
    kept = {name: _vector(vector) for name, vector in point["vectors"].items() if not is_being_filled(name)}
    if is_of_encoder and wanted <= point["vectors"].keys():
        vectors = {name: vector for name, vector in kept.items() if state.metadata.source or name in wanted}
        stored = models.PointStruct(id=point["id"], vector=vectors, payload=point["payload"])
        return with_review_state(stored, item)
    if state.metadata.source is not None:
        base = np.array([kept[BASE_VECTOR]], dtype=np.float32)
        (computed,) = to_points([item], await state.engine.work(lambda: state.encoder.features(base)), state.metadata)
        return computed.model_copy(update={"vector": {**kept, **cast("dict[str, Any]", computed.vector)}})
    embeddings = await state.engine.work(partial(state.encode, [item.text], 1, "document"))
    (encoded,) = to_points([item], embeddings, state.metadata)
    return encoded


def _as_json(record: models.Record | models.ScoredPoint) -> dict[str, Any]:
    """JSON values of a point that is to be deleted."""
    vectors = {
        name: vector.model_dump() if isinstance(vector, models.SparseVector) else list(vector)
        for name, vector in vectors_of(record).items()
    }
    return {"id": record.id, "vectors": vectors, "payload": record.payload}


def _vector(vector: Any) -> Any:
    return models.SparseVector(**vector) if isinstance(vector, dict) else vector

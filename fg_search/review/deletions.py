"""Deleted items, which the log of decisions keeps whole, so that undo can bring them back.

A deleted item cannot carry the entry about its deletion. So that entry is logged first, as waiting; then the item is
removed, unless somebody has changed it meanwhile; then the entry stands. Whoever finds a waiting entry goes on from
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from qdrant_client import models

from fg_search.errors import DecisionConflictError
from fg_search.index.decision_log import (
    append_waiting,
    entries_that,
    log_decisions,
    read_entries,
    read_entry,
    set_stage,
)
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.conditions import equals, has_ids
from fg_search.layout.history import History
from fg_search.layout.items import Item
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, HISTORY_WAITING_KEY, PAYLOAD_KEY
from fg_search.layout.points import to_points, vectors_of, with_review_state
from fg_search.review.decisions import ReviewDecision
from fg_search.review.item_changes import SeenItem, check_changed, read_item


async def log_deletion(state: IndexState, seen: SeenItem, entry: ReviewDecision) -> ReviewDecision:
    """Log a decision to delete an item, with what brings the item back."""
    if seen.history.unlogged:
        await log_decisions(state)
    entry = replace(entry, point=_as_json(seen.record))
    await append_waiting(state, seen.point, entry.to_unlogged(str(uuid4())))
    return entry


async def delete_item(state: IndexState, entry: ReviewDecision) -> None:
    """Carry out a logged deletion.

    Raises:
        DecisionConflictError: If somebody else changes the item in the same moment.
    """
    if not await _carry_out(state, entry):
        raise DecisionConflictError(f"somebody changed {entry.id!r} in this very moment; look at it again")


async def finish_deletions(state: IndexState) -> None:
    """Carry out deletions that were logged and then interrupted, or note why they cannot be."""
    for payload, _ in await read_entries(state, entries_that(state, stage="waiting")):
        entry = ReviewDecision.of_payload(payload)
        if entry.action == "delete":
            await _carry_out(state, entry)
        else:  # never carried out by a release before 0.2, which was interrupted
            await set_stage(state, entry.number, "over", failed="it was interrupted")


async def bring_back(state: IndexState, decision: ReviewDecision, entry: ReviewDecision, token: str) -> None:
    """Undo a deletion. An item whose vectors are another encoder's is encoded anew.

    Args:
        state: The index.
        decision: Decision to delete the item, which stands.
        entry: Entry for the log that undoes it.
        token: Token of the write.

    Raises:
        DecisionConflictError: If there is an item with this id again.
        EncoderNotFoundError: If it must be encoded anew and the encoder is gone.
    """
    read = await read_entry(state, decision.number, with_point=True)
    assert read is not None  # noqa: S101  nothing is removed from the log
    assert read[0]["point"] is not None  # noqa: S101  every deletion has it
    point: Mapping[str, Any] = read[0]["point"]
    there, _ = await read_item(state, point["id"])
    if there is not None:
        raise decision.out_of_date("there is an item with this id again")
    item = Item.of_record(models.Record(id=point["id"], payload=point["payload"]))
    history = item.history.logged().decided(token, entry.number, entry.to_unlogged(str(uuid4())))
    restored = await _restored(state, replace(item, history=history), point)
    await state.engine.upsert(state.points, [restored], insert_only=True)
    try:
        await check_changed(state, SeenItem(models.Record(id=restored.id, payload=restored.payload)), history)
    except DecisionConflictError as error:
        raise decision.out_of_date("there is an item with this id again") from error
    await acknowledge(state, [item.point_id])


async def _carry_out(state: IndexState, entry: ReviewDecision) -> bool:
    """Remove the item of an entry unless it was changed, and note the stage. Return whether it is removed."""
    point = entry.point or {}
    history = History.of_features(point["payload"][PAYLOAD_KEY])
    as_seen: list[models.Condition] = [has_ids([point["id"]]), history.unchanged]
    carries_entries = equals(HISTORY_WAITING_KEY, True)
    await state.engine.delete(state.points, models.Filter(must=as_seen, must_not=[carries_entries]))
    if await state.engine.retrieve(state.points, [point["id"]], with_payload=False, copies="most"):
        await set_stage(state, entry.number, "over", failed="somebody changed the item before it could be deleted")
        return False
    await acknowledge(state, [point["id"]])
    await set_stage(state, entry.number, "standing")
    return True


async def _restored(state: IndexState, item: Item, point: Mapping[str, Any]) -> models.PointStruct:
    """Deleted point with its vectors, or with new ones if the index now needs others."""
    wanted = {FEATURES_VECTOR, *([BASE_VECTOR] if state.metadata.has_base else [])}
    is_of_encoder = point["payload"][PAYLOAD_KEY]["model"] == state.metadata.fingerprint
    if is_of_encoder and wanted <= point["vectors"].keys():
        vectors = {name: _vector(vector) for name, vector in point["vectors"].items() if name in wanted}
        stored = models.PointStruct(id=point["id"], vector=vectors, payload=point["payload"])
        return with_review_state(stored, item)
    embeddings = await state.engine.work(partial(state.encode, [item.text], 1))
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

"""Deleted items, which the log of decisions keeps whole, so that undo can bring them back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from fg_search.index.ingestion import add
from fg_search.index.state import IndexState
from fg_search.layout.items import Item
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, PAYLOAD_KEY
from fg_search.layout.points import features_of, vectors_of
from fg_search.review.decision_log import read_entry
from fg_search.review.decisions import ReviewDecision


def point_as_json(record: models.Record) -> dict[str, Any]:
    """JSON values of a point that is to be deleted."""
    vectors = {
        name: vector.model_dump() if isinstance(vector, models.SparseVector) else list(vector)
        for name, vector in vectors_of(record).items()
    }
    return {"id": record.id, "vectors": vectors, "payload": record.payload}


async def undoes_deletion(state: IndexState, entry: ReviewDecision) -> bool:
    """Whether an entry undoes a deletion."""
    if entry.action != "undo":
        return False
    undone = await read_entry(state, undone_number(entry))
    return undone is not None and undone[0].action == "delete"


def undone_number(entry: ReviewDecision) -> int:
    """Number of the entry that an undo takes back."""
    assert entry.undoes is not None  # noqa: S101  every undo has it
    return entry.undoes


async def deleted_point(state: IndexState, number: int) -> Mapping[str, Any]:
    """JSON values of the point that a decision deleted."""
    read = await read_entry(state, number)
    assert read is not None  # noqa: S101  nothing is removed from the log
    assert read[0].point is not None  # noqa: S101  every deletion has it
    return read[0].point


async def bring_back(state: IndexState, entry: ReviewDecision) -> None:
    """Carry out the undo of a deletion. An item whose vectors are another encoder's is encoded anew.

    Raises:
        DecisionConflictError: If there is another item with this id.
    """
    point = await deleted_point(state, undone_number(entry))
    features = await current_features(state, entry)
    if features is not None:
        if features["hash"] != point["payload"][PAYLOAD_KEY]["hash"]:
            raise entry.out_of_date("there is an item with this id again")
        return  # it is back already
    restored = restored_point(state, point)
    if restored is not None:
        await state.engine.upsert(state.collection, [restored])
    else:
        item = Item.of_record(models.Record(id=point["id"], payload=point["payload"]))
        await add(state, [item], None, batch_size=1, progress=lambda _: None, copied=True)


def restored_point(state: IndexState, point: Mapping[str, Any]) -> models.PointStruct | None:
    """Deleted point with its vectors. ``None`` if the index now needs others."""
    wanted = {FEATURES_VECTOR, *([BASE_VECTOR] if state.metadata.has_base else [])}
    if point["payload"][PAYLOAD_KEY]["model"] != state.metadata.fingerprint or not wanted <= point["vectors"].keys():
        return None
    vectors = {name: _vector(vector) for name, vector in point["vectors"].items() if name in wanted}
    return models.PointStruct(id=point["id"], vector=vectors, payload=point["payload"])


async def current_features(state: IndexState, entry: ReviewDecision) -> Mapping[str, Any] | None:
    """Our part of the current payload of an entry's item, ``None`` if the item is gone."""
    ids = [state.point_id(entry.id)]
    records = await state.engine.retrieve(state.collection, ids, with_payload=[PAYLOAD_KEY])
    return features_of(records[0]) if records else None


def _vector(vector: Any) -> Any:
    return models.SparseVector(**vector) if isinstance(vector, dict) else vector

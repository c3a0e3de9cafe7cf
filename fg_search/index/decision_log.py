"""The log of decisions: a collection beside the index, with an entry a point, numbered in the order of time."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

from fg_search.index.opening import find_collection
from fg_search.review.decisions import Decision
from fg_search.storage.operations import Operation, call

_PAGE = 1000
_NO_VECTOR = "none"  # the embedded engine wants a collection to have some vector; entries have none
_DONE = "done"


def append_entries(collection: str, entries: Sequence[tuple[Decision, bool]]) -> Operation[None]:
    """Write entries, each with whether it was carried out; the log is made if it is missing."""
    if not entries:
        return
    name = _name(collection)
    if (yield from find_collection(name)) is None:
        sparse = {_NO_VECTOR: models.SparseVectorParams()}
        yield call("create_collection", name, vectors_config={}, sparse_vectors_config=sparse)
    for start in range(0, len(entries), _PAGE):
        points = [
            models.PointStruct(id=entry.number, vector={}, payload={**entry.to_payload(), _DONE: done})
            for entry, done in entries[start : start + _PAGE]
        ]
        yield call("upsert", name, points=points, wait=True)


def mark_done(collection: str, entry: Decision) -> Operation[None]:
    """Note that an entry was carried out."""
    yield call("set_payload", _name(collection), {_DONE: True}, points=[entry.number], wait=True)


def read_entries(collection: str) -> Operation[list[tuple[Decision, bool]]]:
    """Each entry, and whether it was carried out, the oldest first."""
    name = _name(collection)
    if (yield from find_collection(name)) is None:
        return []
    entries: list[tuple[Decision, bool]] = []
    offset = None
    while True:
        records, offset = yield call("scroll", name, limit=_PAGE, offset=offset, with_payload=True)
        for record in records:
            payload = dict(record.payload)
            done = payload.pop(_DONE)
            entries.append((Decision.of_payload(payload), done))
        if offset is None:
            return entries


def _name(collection: str) -> str:
    return f"{collection}.decisions"

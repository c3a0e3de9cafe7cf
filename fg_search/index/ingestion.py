"""Adding items: unchanged items are left alone, the others are encoded while the batch before them is written."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.ids import UserId
from fg_search.index.state import IndexState
from fg_search.index.unchanged import TOUCHED, UNTOUCHED, unchanged
from fg_search.layout.conditions import has_ids
from fg_search.layout.item_input import checked_items
from fg_search.layout.items import Item, StoredItem
from fg_search.layout.keys import STORED_KEYS
from fg_search.layout.points import features_of, id_of, to_points, with_review_state
from fg_search.layout.schema import IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.reading import ReadingNotes

ITEMS_PER_WRITE = 1024

_LITTLE_TIME = 3.0  # seconds of encoding
_MOST_AT_ONCE = 8192  # items


@dataclass(frozen=True)
class AddReport:
    """Report of adding items.

    Attributes:
        written: Number of items that were new or had changed.
        unchanged: Number of items that were in the index already, or came twice.
        cut: Number of written items whose text is longer than what the model reads.
        unread: Number of written items whose text holds tokens that the model does not know.
    """

    written: int
    unchanged: int
    cut: int = 0
    unread: int = 0

    def __str__(self) -> str:
        return f"{self.written:,} items written, {self.unchanged:,} unchanged"


def items_of(
    state: IndexState,
    texts: Iterable[str],
    ids: Iterable[UserId] | None,
    labels: Iterable[str | None] | None,
    payloads: Iterable[Mapping[str, Any] | None] | None,
    embeddings: FeatureEmbeddings | None,
) -> Iterable[Item]:
    """Items to add. Lists are checked as a whole, generators one item after the other."""
    if embeddings is not None:
        if not isinstance(texts, Sized):
            raise TypeError("embeddings need a list of texts, not a generator")
        state.check_embeddings(embeddings, len(texts))
    items = checked_items(
        texts,
        ids,
        labels,
        payloads,
        embeddings=embeddings,
        tenant_key=state.metadata.settings.tenant_key,
        tenant=state.tenant,
    )
    return list(items) if isinstance(texts, Sized) else items


async def add(
    state: IndexState,
    items: Iterable[Item],
    embeddings: FeatureEmbeddings | None,
    *,
    batch_size: int,
    progress: Callable[[int], object],
    copied: bool = False,
) -> AddReport:
    """Write the items that are new or have changed.

    A write is acknowledged before the one after the next begins. So whatever fails, everything up to the write before
    the last one is in the index, and no item is half written.

    Args:
        state: The index.
        items: Items, which are read, compared, encoded and written in batches.
        embeddings: Embeddings of the items, one row each. By default the texts are encoded.
        batch_size: Number of texts the base model encodes at once.
        progress: Called with the number of items done since its last call.
        copied: The items come from another collection and are written exactly as they are there, with corrections,
            decisions and scores.
    """
    written = unchanged = start = 0
    underway: frozenset[int | str] = frozenset()
    iterator, pace, notes = iter(items), _Pace(), ReadingNotes()
    async with state.engine.background() as writing:
        while batch := list(islice(iterator, pace.items)):
            changed = await _changed(state, batch, underway, copied=copied)
            rest = len(batch) - len(changed)
            unchanged += rest
            progress(rest)
            changes = list(changed.values())
            chosen = [change.item for change in changes]
            if embeddings is not None:
                rows = embeddings[start + np.fromiter(changed, dtype=np.int64, count=len(changed))]
            elif chosen:
                encode = partial(state.encode, [item.text for item in chosen], batch_size)
                rows = await state.engine.work(partial(pace.measure, encode))
            if chosen and rows.reading is not None:
                notes.add(rows.reading, [item.text for item in chosen], partial(_name, chosen))
            start += len(batch)
            for first in range(0, len(chosen), ITEMS_PER_WRITE):
                part = slice(first, first + ITEMS_PER_WRITE)
                points = await state.engine.work(partial(_points, chosen[part], rows[part], state.metadata))
                await writing.finish()
                progress(len(underway))
                await _check_not_re_encoded(state)
                writing.start(_write(state, changes[part], points, copied=copied))
                underway = frozenset(item.point_id for item in chosen[part])
                written += len(underway)
        await writing.finish()
        progress(len(underway))
    if not copied:
        notes.warn(what="items")
    return AddReport(written, unchanged, notes.cut, notes.unread)


def _name(items: list[Item], row: int) -> str:
    return repr(items[row].id)


@dataclass(frozen=True)
class _Change:
    """An item to write.

    Attributes:
        item: Item with what people and scoring know of it.
        given: Item as the user gave it.
        seen: What the index had of it, ``None`` if it is new.
    """

    item: Item
    given: Item
    seen: StoredItem | None


_Writes: TypeAlias = dict[PointId, tuple[_Change, models.PointStruct]]


class _Pace:
    """Number of items read and encoded at once: larger batches need less padding, smaller ones lose less in a crash.

    Attributes:
        items: Current number of items.
    """

    def __init__(self) -> None:
        self.items = ITEMS_PER_WRITE

    def measure(self, encode: Callable[[], FeatureEmbeddings]) -> FeatureEmbeddings:
        """Encode, and take twice as many items the next time if this was quick."""
        begin = time.monotonic()
        encoded = encode()
        if time.monotonic() - begin < _LITTLE_TIME:
            self.items = min(2 * self.items, _MOST_AT_ONCE)
        return encoded


def _points(items: list[Item], embeddings: FeatureEmbeddings, metadata: IndexMetadata) -> list[models.PointStruct]:
    """Points of one write, made while the garbage collector is off.

    They are thousands of lists and dicts, none of them garbage. The collector would go through them, and every few
    writes through all other objects of the process, which takes longer than making the points.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return list(to_points(items, embeddings, metadata))
    finally:
        if was_enabled:
            gc.enable()


async def _changed(
    state: IndexState, batch: list[Item], underway: Container[int | str], *, copied: bool
) -> dict[int, _Change]:
    """Items to write, by their position in the batch. Of items that come twice, the first counts."""
    distinct = {item.point_id: item for item in batch if item.point_id not in underway}
    ids = list(distinct)
    stored: dict[int | str, models.Record] = {}
    wanted = True if copied else STORED_KEYS
    for page in pages(ids, ITEMS_PER_WRITE):
        records = await state.engine.retrieve(state.collection, page, with_payload=wanted)
        stored |= {id_of(record): record for record in records}
    changed: dict[int, _Change] = {}
    for i, item in enumerate(batch):
        if distinct.pop(item.point_id, None) is None:
            continue
        record = stored.get(item.point_id)
        needed = _Change(item, item, None) if record is None else _needed(record, item, copied=copied)
        if needed is not None:
            changed[i] = needed
    return changed


def _needed(record: models.Record, given: Item, *, copied: bool) -> _Change | None:
    """Item to write in place of a stored one, ``None`` if nothing has changed."""
    seen = StoredItem.of_features(features_of(record))
    if copied:
        return None if Item.of_record(record).is_copy_of(given) else _Change(given, given, seen)
    return None if seen.has(given) else _Change(seen.update(given), given, seen)


async def _write(
    state: IndexState, changes: Sequence[_Change], points: Sequence[models.PointStruct], *, copied: bool
) -> None:
    """Write points, none of them over what people have done to its item since it was read."""
    engine, collection = state.engine, state.collection
    if copied:  # nobody works on a collection that is being filled
        await engine.upsert(collection, points)
        return
    new: _Writes = {}
    waiting: _Writes = {}
    for change, point in zip(changes, points, strict=True):
        (new if change.seen is None else waiting)[change.item.point_id] = (change, point)
    if new:
        await engine.upsert(collection, [point for _, point in new.values()], update_filter=UNTOUCHED)
        touched = models.Filter(must=[has_ids(list(new)), TOUCHED])
        if await engine.count(collection, touched):  # added and worked on by somebody else in this very moment
            waiting |= new
    while waiting:
        replaced = [(change, point) for change, point in waiting.values() if change.seen is not None]
        if replaced:
            await engine.batch_update_points(collection, _replacements(replaced))
        waiting = await _refused(state, waiting)


def _replacements(replaced: Iterable[tuple[_Change, models.PointStruct]]) -> list[models.UpdateOperation]:
    """Writes of points whose items are as they were seen; items in the same state share one."""
    alike: dict[str, tuple[models.Filter, list[models.PointStruct]]] = {}
    for change, point in replaced:
        assert change.seen is not None  # noqa: S101  replaced items were seen
        condition = unchanged(change.seen)
        alike.setdefault(condition.model_dump_json(exclude_none=True), (condition, []))[1].append(point)
    return [
        models.UpsertOperation(upsert=models.PointsList.model_construct(points=points, update_filter=condition))
        for condition, points in alike.values()
    ]


async def _refused(state: IndexState, waiting: _Writes) -> _Writes:
    """Points that were not written since people have changed their items, merged with what they did.

    An item that is gone was deleted, one that is another by now was replaced: both by somebody who came later.
    """
    refused: _Writes = {}
    for record in await state.engine.retrieve(state.collection, list(waiting), with_payload=STORED_KEYS):
        change, point = waiting[id_of(record)]
        found = StoredItem.of_features(features_of(record))
        if found.has(change.given) or found.review_state == (None if change.seen is None else change.seen.review_state):
            continue
        merged = found.update(change.given)
        refused[merged.point_id] = (_Change(merged, change.given, found), with_review_state(point, merged))
    return refused


async def _check_not_re_encoded(state: IndexState) -> None:
    """Check that the collection still holds this encoder's vectors: those of two encoders must not mix.

    Raises:
        ModelMismatchError: If the index was re-encoded since it was opened.
    """
    info = await state.engine.get_collection(state.collection)
    if IndexMetadata.of_collection(state.collection, info).fingerprint != state.metadata.fingerprint:
        raise state.was_re_encoded()

"""Adding items: what is there already is left alone, the rest is encoded while the batch before it is written."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sized
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.ids import UserId
from fg_search.index.state import IndexState
from fg_search.layout.keys import PAYLOAD_KEY, STORED_KEYS
from fg_search.layout.points import Item, Stored, checked_items, id_of, payload_of, to_points
from fg_search.layout.schema import IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.reading import ReadingNotes

ITEMS_PER_WRITE = 1024

_LITTLE_TIME = 3.0  # seconds of encoding
_MOST_AT_ONCE = 8192  # items


@dataclass(frozen=True)
class AddReport:
    """What came of adding items.

    Attributes:
        written: Items that were new or had changed.
        unchanged: Items that were there already as they are, or came twice.
        cut: Of the written ones, items whose text is longer than what the model reads.
        unread: Of the written ones, items whose text holds tokens that the model does not know.
    """

    written: int
    unchanged: int
    cut: int = 0
    unread: int = 0

    def __str__(self) -> str:
        return f"{self.written:,} items written, {self.unchanged:,} unchanged"


async def add(
    state: IndexState,
    items: Iterable[Item],
    embeddings: FeatureEmbeddings | None,
    *,
    batch_size: int,
    progress: Callable[[int], object],
    copied: bool = False,
) -> AddReport:
    """Write the items that are not there as they are.

    A write has been acknowledged before the one after the next is begun, so whatever fails, everything up to the write
    before the last one is in the index, and nothing is in it by half.

    Args:
        state: The index.
        items: In batches they are read, compared, encoded and written.
        embeddings: Row i of them belongs to item i; by default the texts are encoded.
        batch_size: Texts the base model encodes at once.
        progress: Told how many items more are done.
        copied: The items are those of another collection: they are to be what they are there, corrections included.
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
            chosen = list(changed.values())
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
                await _check_encoder(state)
                writing.start(state.engine.upsert(state.collection, points))
                underway = frozenset(item.point_id for item in chosen[part])
                written += len(underway)
        await writing.finish()
        progress(len(underway))
    if not copied:
        notes.warn(what="items")
    return AddReport(written, unchanged, notes.cut, notes.unread)


def _name(items: list[Item], row: int) -> str:
    return repr(items[row].id)


class _Pace:
    """How many items are read and encoded at once: the more, the less padding; the fewer, the less is lost by a crash.

    Attributes:
        items: So many.
    """

    def __init__(self) -> None:
        self.items = ITEMS_PER_WRITE

    def measure(self, encode: Callable[[], FeatureEmbeddings]) -> FeatureEmbeddings:
        """Encode, and take more the next time if it took little time."""
        begin = time.monotonic()
        encoded = encode()
        if time.monotonic() - begin < _LITTLE_TIME:
            self.items = min(2 * self.items, _MOST_AT_ONCE)
        return encoded


def _points(items: list[Item], embeddings: FeatureEmbeddings, metadata: IndexMetadata) -> list[models.PointStruct]:
    """The points of one write, made without a pause for the garbage collector.

    They are thousands of lists and dicts, none of them garbage. The collector would go through them, and every few
    writes through all other objects of the process, which takes longer than to make the points.
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
) -> dict[int, Item]:
    """By position in the batch, the items that are not in the index as they are; of twins the first."""
    distinct = {item.point_id: item for item in batch if item.point_id not in underway}
    ids = list(distinct)
    stored: dict[int | str, models.Record] = {}
    wanted = True if copied else STORED_KEYS
    for page in pages(ids, ITEMS_PER_WRITE):
        records = await state.engine.retrieve(state.collection, page, with_payload=wanted)
        stored |= {id_of(record): record for record in records}
    changed: dict[int, Item] = {}
    for i, item in enumerate(batch):
        if distinct.pop(item.point_id, None) is None:
            continue
        record = stored.get(item.point_id)
        needed = item if record is None else _needed(record, item, copied=copied)
        if needed is not None:
            changed[i] = needed
    return changed


async def _check_encoder(state: IndexState) -> None:
    """Make sure that the index was not re-encoded since it was opened: vectors of two encoders must not mix.

    Raises:
        ModelMismatchError: If it was.
    """
    info = await state.engine.get_collection(state.collection)
    if IndexMetadata.of_collection(state.collection, info).fingerprint != state.metadata.fingerprint:
        raise state.was_re_encoded()


def _needed(record: models.Record, item: Item, *, copied: bool) -> Item | None:
    """What has to be written for an item that is there already; ``None`` if it is there as it is."""
    if copied:
        return None if Item.of_record(record).is_copy_of(item) else item
    known = Stored.of_features(payload_of(record)[PAYLOAD_KEY])
    return None if known.has(item) else known.update(item)


def items_of(
    state: IndexState,
    texts: Iterable[str],
    ids: Iterable[UserId] | None,
    labels: Iterable[str | None] | None,
    payloads: Iterable[Mapping[str, Any] | None] | None,
    embeddings: FeatureEmbeddings | None,
) -> Iterable[Item]:
    """The items to add: all of them checked if they are lists, else one after the other."""
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

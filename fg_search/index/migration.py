"""Migration of an index to another encoder: everything is re-encoded while the index goes on answering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from qdrant_client import models

from fg_search.engine.paging import scroll_pages
from fg_search.engine.port import Engine
from fg_search.errors import StorageError
from fg_search.index.collections import (
    create_collection,
    is_collection_of,
    physical_collection,
    switch_alias,
)
from fg_search.index.encoders import EncoderSlot, metadata_of
from fg_search.index.ingestion import ITEMS_PER_WRITE, add
from fg_search.index.scores import index_scores
from fg_search.index.set_aside import is_doubtful
from fg_search.index.state import IndexState
from fg_search.layout.items import Item
from fg_search.layout.keys import BASE_VECTOR, CALIBRATION_KEY, ITEMS_SCORED_KEY, LABELS_SCORED_KEY
from fg_search.layout.points import features_of, id_of, vectors_of
from fg_search.layout.schema import IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.reading import Reading

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

AsBefore = Literal["as before"]

_MAX_PASSES = 10


async def migrate(
    state: IndexState,
    encoder: FeatureGroupEncoder,
    *,
    batch_size: int,
    progress: Callable[[int], object],
    announce: Callable[[IndexState], None],
    set_aside: float | AsBefore | None = "as before",
) -> IndexState:
    """Fill a collection beside the old one, switch the alias to it, and remove the old one.

    What is added, changed or deleted meanwhile is caught up with before the switch. An interrupted migration leaves the
    old collection in place and goes on from there the next time.

    Scores for reviewing depend on base embeddings and labels, not on the head. They are carried over to an encoder of
    the same base model, and left behind otherwise.

    Args:
        state: The index.
        encoder: New encoder.
        batch_size: Number of texts the base model encodes at once.
        progress: Called with the number of items done since its last call.
        announce: Called with the new state just before the switch.
        set_aside: Set aside undecided items whose label is wrong with at least this probability, ``None`` for no item.
            By default the items that were set aside stay so.

    Returns:
        State of the new index, which has no calibration.

    Raises:
        StorageError: If the index's name is no alias, or the old collection changes faster than it can be re-encoded.
    """
    if encoder.has_fingerprint(state.metadata.fingerprint):
        return replace(state, encoders=EncoderSlot(encoder))
    old = await physical_collection(state.engine, state.collection)
    if old == state.collection:
        raise StorageError(
            f"{state.name} is a collection of that very name, not an alias, so that nothing can take its place; "
            "copy it with `fg-search copy` into a new index first"
        )
    kept = state.metadata.set_aside if set_aside == "as before" else set_aside
    metadata = replace(metadata_of(encoder), settings=state.metadata.settings, set_aside=kept)
    new = await create_collection(state.engine, state.collection, metadata)
    await _check_begun(state.engine, new, metadata)
    filled = replace(state, collection=new, metadata=metadata, encoders=EncoderSlot(encoder), calibration=None)
    # stored embeddings of the same base model are as good as new ones, unless they were rounded
    is_same_base = encoder.has_base_fingerprint(state.metadata.base)
    keep_base = is_same_base and metadata.settings.base_vectors == "float32"
    for attempt in range(_MAX_PASSES):
        written = await _copy_all(
            old,
            filled,
            batch_size,
            progress if not attempt else _ignore,
            partial(_item, set_aside=set_aside, keep_review=is_same_base),
            keep_base=keep_base,
        )
        removed = await _remove_extra(state.engine, old, new)
        if not written and not removed:
            break
    else:
        raise StorageError(f"{state.name} changes faster than it can be re-encoded; pause what writes to it")
    await _note_scores(state.engine, old, new, keep_review=is_same_base)
    migrated = replace(filled, collection=state.collection)
    announce(migrated)
    await switch_alias(state.engine, state.collection, new)
    await _remove_leftovers(state.engine, state.collection, new)
    return migrated


async def _copy_all(
    old: str,
    filled: IndexState,
    batch_size: int,
    progress: Callable[[int], object],
    item_of: Callable[[models.Record], Item],
    *,
    keep_base: bool,
) -> int:
    """Bring the items of the new collection up to date with the old one, and return how many were not."""
    written = 0
    wanted = [BASE_VECTOR] if keep_base else False
    async for records in scroll_pages(filled.engine, old, page_size=ITEMS_PER_WRITE, with_vectors=wanted):
        items = [item_of(record) for record in records]
        known = await filled.engine.work(partial(_features, filled, records)) if keep_base and records else None
        report = await add(filled, items, known, batch_size=batch_size, progress=progress, copied=True)
        written += report.written
    return written


async def _check_begun(engine: Engine, new: str, metadata: IndexMetadata) -> None:
    """Check that an interrupted migration goes on as it began.

    Raises:
        StorageError: If it set other items aside.
    """
    begun = IndexMetadata.of_collection(new, await engine.get_collection(new))
    if begun.set_aside != metadata.set_aside:
        raise StorageError(
            f"the collection {new!r} was begun with set_aside={begun.set_aside}, not {metadata.set_aside}; "
            "call refit again with that, or delete the collection"
        )


def _item(record: models.Record, *, set_aside: float | AsBefore | None, keep_review: bool) -> Item:
    item = Item.of_record(record)
    if not keep_review:
        item = replace(item, review=None)
    if set_aside == "as before":
        return item
    return replace(item, set_aside=set_aside is not None and is_doubtful(features_of(record), set_aside))


def _features(filled: IndexState, records: list[models.Record]) -> FeatureEmbeddings:
    base = np.array([vectors_of(record)[BASE_VECTOR] for record in records], dtype=np.float32)
    unread = np.array([features_of(record).get("unread", 0) for record in records], dtype=np.float32)
    reading = replace(Reading.unknown(len(records)), unread=unread)
    return replace(filled.encoder.features(base), reading=reading)


async def _note_scores(engine: Engine, old: str, new: str, *, keep_review: bool) -> None:
    """Note in the new collection's metadata which scores its items have, and make the indexes that lists need.

    A collection that an interrupted migration left behind may have a calibration and notes that no longer hold.
    """
    old_metadata = (await engine.get_collection(old)).config.metadata or {}
    new_metadata = (await engine.get_collection(new)).config.metadata or {}
    kept = (await index_scores(engine, new, old_metadata)) if keep_review else {}
    notes = (CALIBRATION_KEY, LABELS_SCORED_KEY, ITEMS_SCORED_KEY)
    gone = dict.fromkeys(key for key in notes if key in new_metadata and key not in kept)
    if kept or gone:
        await engine.update_collection(new, metadata={**kept, **gone})


async def _remove_leftovers(engine: Engine, collection: str, new: str) -> None:
    """Remove the collections of earlier migrations that were interrupted and never finished."""
    used = {new, *(await engine.get_aliases()).values()}
    for name in await engine.get_collections():
        if name not in used and is_collection_of(collection, name):
            await engine.delete_collection(name)


async def _remove_extra(engine: Engine, old: str, new: str) -> int:
    """Remove the points that were deleted from the old collection meanwhile, and return their number."""
    if await engine.count(old) == await engine.count(new):
        return 0
    removed = 0
    async for records in scroll_pages(engine, new, page_size=ITEMS_PER_WRITE, with_payload=False):
        ids = [id_of(record) for record in records]
        known = await engine.retrieve(old, ids, with_payload=False)
        extra = list(set(ids) - {id_of(record) for record in known})
        if extra:
            await engine.delete(new, extra)
            removed += len(extra)
    return removed


def _ignore(_: int) -> None:
    return None

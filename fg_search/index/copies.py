"""Copies of an index: from a folder to a server, from a server to a folder, or into other settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from qdrant_client import models

from fg_search.engine.answers import is_not_found
from fg_search.engine.paging import scanning, scroll_pages
from fg_search.engine.port import Engine
from fg_search.errors import ModelMismatchError, StorageError
from fg_search.index.collections import find_collection, physical_collection, want
from fg_search.index.decision_log import log_decisions
from fg_search.index.following import followed, on_current_collection
from fg_search.index.ingestion import ITEMS_PER_WRITE
from fg_search.index.leftovers import abandoned_targets, remove_leftovers
from fg_search.index.logs import read_log, write_log
from fg_search.index.quality_history import kept_in
from fg_search.index.rights import IndexMovedError, Right, make_shards, make_target, right_to_switch
from fg_search.index.scores import index_scores
from fg_search.index.state import IndexState
from fg_search.layout.conditions import is_present
from fg_search.layout.keys import BASE_VECTOR, CONFIDENCE_KEY, FEATURES_VECTOR, MAP_KEY
from fg_search.layout.logs import DECISION_LOG_INDEXES, decision_log, query_log, query_log_indexes
from fg_search.layout.operations import INCOMPLETE_KEY
from fg_search.layout.payloads import are_same
from fg_search.layout.points import id_of, vectors_of
from fg_search.layout.schema import IndexMetadata
from fg_search.layout.settings import IndexSettings
from fg_search.model.progress import unwatched

_COMPARED = 256  # points compared in full in the end
_TOLERANCE = {"float32": 1e-5, "float16": 2e-3, "none": 0.0}  # of base vectors, absolute


@dataclass(frozen=True)
class CopyReport:
    """Report of a copy.

    Attributes:
        points: Number of points in the source, and now in the copy.
        written: Number of points that the copy lacked or that differed.
        compared: Number of points that were read back and compared, vectors and payload.
    """

    points: int
    written: int
    compared: int

    def __str__(self) -> str:
        return f"{self.written:,} of {self.points:,} points written, {self.compared:,} read back and found equal"


async def copy_index(
    state: IndexState,
    destination: Engine,
    collection: str,
    settings: IndexSettings | None,
    progress: Callable[[int], object],
) -> CopyReport:
    """Copy points with their vectors, scores, calibration, history, decisions and logged queries.

    A copy appears under its name once it is complete. After an interruption, the next one goes on from there. An index
    that is there already gets what it lacks, and is marked as incomplete until it has everything.

    Args:
        state: The index to copy, with all tenants.
        destination: Engine that the copy goes to.
        collection: Name of the copy. It is made if it is missing.
        settings: Layout of the copy, by default that of the index. In a folder or in memory there are no shards and
            copies; a copy that is there already keeps its own.
        progress: Called with the number of points done since its last call.

    Raises:
        ModelMismatchError: If the destination holds an index of another encoder.
        StorageError: If points are missing or differ in the end.
        ValueError: If the source has no base vectors and the destination wants them.
    """
    state = await followed(state)
    own = state.metadata.settings
    chosen = settings or (own if destination.is_shared else own.on_one_machine())
    want(destination, chosen)
    if chosen.base_vectors != "none" and not state.metadata.has_base:
        raise ValueError(f"{state.name} has no base vectors to copy; choose settings with base_vectors='none'")
    metadata = replace(state.metadata, settings=chosen, source=None)  # a copy is the index's own collection
    await on_current_collection(state, log_decisions)
    while True:
        points = (await destination.get_aliases()).get(collection, collection)
        info = await find_collection(destination, points)
        if info is not None:
            there = IndexMetadata.of_collection(collection, info)
            _check_same(there, metadata, settings, collection, state)
            newer = replace(there, schema=max(there.schema, metadata.schema))  # releases that cannot read it say so
            mark = {INCOMPLETE_KEY: f"{state.collection} at {state.location}"}
            await destination.update_collection(points, metadata={**newer.to_payload(), **mark})
            report = await _copy_points(state, destination, points, metadata, progress)
            await _copy_rest(state, destination, collection, points, chosen)
            await destination.update_collection(points, metadata={INCOMPLETE_KEY: None})
            return report
        try:
            async with right_to_switch(
                destination, collection, "copy", None, partial(make_target, metadata=metadata)
            ) as right:
                await _adopt(right, metadata)
                report = await _copy_points(state, destination, right.target, metadata, progress, is_new=True)
                await _copy_rest(state, destination, collection, right.target, chosen)
                await right.complete()
                if await right.switch():
                    await remove_leftovers(destination, collection, right.never_named)
                    return report
        except IndexMovedError:
            continue  # somebody else has just made it


async def copy_into(source: IndexState, destination: Engine, points: str, metadata: IndexMetadata) -> None:
    """Copy points with their vectors, scores and calibration into a new collection, without the logs.

    Raises:
        StorageError: If points are missing or differ in the end.
    """
    await _copy_points(source, destination, points, metadata, unwatched, is_new=True)
    await copy_notes(source, destination, points)


OURS = is_present(CONFIDENCE_KEY)
"""Points that fg_search has written. Other clients may write to the same collection."""


async def remove_extra(engine: Engine, old: str, destination: Engine, new: str) -> int:
    """Remove the points of a copy that are not, or no longer, in the original, and return their number."""
    if await engine.count(old, OURS, copies="most") == await destination.count(new, OURS, copies="most"):
        return 0
    removed = 0
    async for records in scroll_pages(destination, new, page_size=ITEMS_PER_WRITE, with_payload=False):
        ids = [id_of(record) for record in records]
        known = await engine.retrieve(old, ids, with_payload=False, copies="most")
        extra = list(set(ids) - {id_of(record) for record in known})
        if extra:
            await destination.delete(new, extra)
            removed += len(extra)
    return removed


async def _adopt(right: Right, metadata: IndexMetadata) -> None:
    """Go on with what an interrupted copy has left."""
    for target in await abandoned_targets(right.engine, right.collection, None):
        made = target.operation
        if made is not None and made.purpose == "copy" and target.metadata == metadata:
            await right.adopt(target.name)
            await make_shards(right, metadata.settings)  # whoever made it may have been interrupted before
            return


async def _copy_points(
    state: IndexState,
    destination: Engine,
    points: str,
    metadata: IndexMetadata,
    progress: Callable[[int], object],
    *,
    is_new: bool = False,
) -> CopyReport:
    """Copy the points, and compare them.

    Raises:
        StorageError: If points are missing or differ in the end, or the index has moved to another encoder.
    """
    try:
        written = 0
        reading = scanning(
            state.engine,
            state.points,
            page_size=ITEMS_PER_WRITE,
            scroll_filter=OURS,
            with_vectors=True,
            copies="active",
        )
        async with reading as found:
            async for records in found:
                written += await _write_missing(destination, points, records, metadata)
                progress(len(records))
        if is_new:  # what an interrupted copy has left may have points that were deleted since
            await remove_extra(state.engine, state.points, destination, points)
        copied, compared = await _verify(state, destination, points, metadata)
    except Exception as error:
        if not is_not_found(error) or await physical_collection(state.engine, state.collection) == state.points:
            raise
        raise _moved(state) from error
    if await physical_collection(state.engine, state.collection) != state.points:
        raise _moved(state)
    return CopyReport(copied, written, compared)


def _moved(state: IndexState) -> StorageError:
    return StorageError(f"{state.name} was re-encoded while it was copied; copy again")


async def _copy_rest(
    state: IndexState, destination: Engine, collection: str, points: str, settings: IndexSettings
) -> None:
    """Copy both logs, the calibration, and what the metadata says of scores."""
    logs = (
        (decision_log, DECISION_LOG_INDEXES),
        (query_log, query_log_indexes(state.metadata.settings)),
    )
    for name_of, indexes in logs:
        entries = await read_log(state.engine, name_of(state.collection))
        await write_log(destination, name_of(collection), indexes, entries, settings)
    await copy_notes(state, destination, points)


async def copy_notes(state: IndexState, destination: Engine, points: str) -> None:
    """Copy the calibration, the history, the places of the map, and what the metadata says of scores."""
    metadata = (await state.engine.get_collection(state.collection)).config.metadata or {}
    kept = await index_scores(destination, points, metadata)
    kept |= kept_in(metadata) | {key: value for key, value in metadata.items() if key.startswith(MAP_KEY)}
    if state.calibration is not None:
        kept |= state.calibration.to_metadata()
    if kept:
        await destination.update_collection(points, metadata=kept)


def _check_same(
    there: IndexMetadata, metadata: IndexMetadata, chosen: IndexSettings | None, collection: str, state: IndexState
) -> None:
    """Check that an index at the destination is of the same encoder, and of the settings that were chosen, if any."""
    if there.fingerprint != metadata.fingerprint:
        raise ModelMismatchError(
            f"the collection {collection!r} at the destination was filled by the encoder {there.fingerprint}, "
            f"{state.name} by {metadata.fingerprint}; choose another collection name"
        )
    wanted, known = metadata.settings.on_one_machine(), there.settings.on_one_machine()
    if wanted != known or (chosen is not None and chosen not in (chosen.on_one_machine(), there.settings)):
        raise ValueError(
            f"the collection {collection!r} at the destination has other settings ({there.settings}); choose "
            "another collection name, or the same settings"
        )


async def _write_missing(
    destination: Engine, collection: str, records: list[models.Record], metadata: IndexMetadata
) -> int:
    """Write the records that the destination lacks or that differ there, and return their number."""
    if not records:
        return 0
    found = await destination.retrieve(collection, [id_of(record) for record in records], copies="active")
    there = {record.id: record.payload for record in found}
    missing = [record for record in records if not are_same(there.get(record.id), record.payload)]
    if missing:
        points = [
            models.PointStruct(id=record.id, vector=_vectors(record, metadata), payload=record.payload)
            for record in missing
        ]
        await destination.upsert(collection, points)
    return len(missing)


def _vectors(record: models.Record, metadata: IndexMetadata) -> Any:
    wanted = (BASE_VECTOR, FEATURES_VECTOR) if metadata.has_base else (FEATURES_VECTOR,)
    return {name: vector for name, vector in vectors_of(record).items() if name in wanted}


async def _verify(state: IndexState, destination: Engine, new: str, metadata: IndexMetadata) -> tuple[int, int]:
    """Compare the counts, and a sample of the points in full. Return the numbers of points and of compared points."""
    old = state.points
    counts = [await state.engine.count(old, OURS, copies="active"), await destination.count(new, OURS, copies="active")]
    if counts[0] < counts[1]:
        raise StorageError(
            f"the source has {counts[0]:,} points, the copy {counts[1]:,}: what was deleted from the source since an "
            "earlier copy, or was added to the copy, is not removed; delete it there, or copy to another collection"
        )
    if counts[0] > counts[1]:
        raise StorageError(
            f"the source has {counts[0]:,} points, the copy {counts[1]:,}: something else writes to one of them; "
            "pause that and copy again, only what differs is written"
        )
    sample = models.QueryRequest(
        query=models.SampleQuery(sample=models.Sample.RANDOM),
        filter=OURS,
        limit=_COMPARED,
        with_payload=True,
        with_vector=True,
    )
    (answer,) = await state.engine.query_batch_points(old, [sample], copies="active")
    drawn = answer.points
    found = await destination.retrieve(new, [id_of(point) for point in drawn], with_vectors=True)
    copies = {record.id: record for record in found}
    for point in drawn:
        copied = copies.get(point.id)
        if copied is None or not are_same(copied.payload, point.payload) or not _same(point, copied, metadata):
            raise StorageError(f"the point {point.id} of the copy is not that of the source; copy again")
    return counts[0], len(drawn)


def _same(point: models.ScoredPoint, copied: models.Record, metadata: IndexMetadata) -> bool:
    features = [
        dict(zip(vectors[FEATURES_VECTOR].indices, vectors[FEATURES_VECTOR].values, strict=True))
        for vectors in (vectors_of(point), vectors_of(copied))
    ]
    if features[0].keys() != features[1].keys() or not np.allclose(
        list(features[0].values()), [features[1][key] for key in features[0]], atol=1e-6
    ):
        return False
    if not metadata.has_base:
        return True
    return np.allclose(
        vectors_of(point)[BASE_VECTOR], vectors_of(copied)[BASE_VECTOR], atol=_TOLERANCE[metadata.settings.base_vectors]
    )

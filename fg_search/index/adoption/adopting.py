"""Adopting a collection: it gets a vector of features, which is filled in slices, and remembers what index it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from fg_search.engine.port import Engine
from fg_search.errors import ModelMismatchError, StorageError
from fg_search.index.adopted_engine import with_source
from fg_search.index.adoption.checks import Adoptable
from fg_search.index.adoption.sync import SyncReport, count_unsynced, done_by, fill
from fg_search.index.collections import index_payload
from fg_search.index.crew import Crew, Job
from fg_search.index.encoders import EncoderSlot, metadata_of
from fg_search.index.state import IndexState
from fg_search.layout.adoption import Adoption
from fg_search.layout.schema import IndexMetadata, payload_indexes
from fg_search.model.progress import unwatched

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_PASSES = 5  # over points that others write while the collection is adopted


def check_can_go_on(target: Adoptable, encoder: FeatureGroupEncoder) -> None:
    """Check that an adoption that was begun was begun with this encoder.

    Raises:
        ModelMismatchError: If not.
        StorageError: If it is being undone.
    """
    if target.adoption is not None and target.adoption.leaving:
        raise StorageError(
            f"the adoption of {target.name!r} is being undone; finish that first with `fg-search adopt … --undo`"
        )
    if target.metadata is not None and not encoder.has_fingerprint(target.metadata.fingerprint):
        raise ModelMismatchError(
            f"the collection {target.name!r} was adopted with the encoder {target.metadata.fingerprint} (saved in "
            f"{target.metadata.encoder!r}), this one is {encoder.fingerprint}; go on with that encoder, or take the "
            "adoption back with `fg-search adopt … --undo` and adopt it anew"
        )


async def adopt(
    engine: Engine,
    target: Adoptable,
    encoder: FeatureGroupEncoder,
    progress: Callable[[int], object],
    crew: Crew | None = None,
) -> SyncReport:
    """Adopt a collection, or go on where an adoption was interrupted.

    What undoing it needs is remembered before anything else is changed. Points that others keep writing in the end are
    left for the next sync.

    Args:
        engine: Engine of the collection.
        target: The collection.
        encoder: Encoder that has learned.
        progress: Called with the number of points done since its last call.
        crew: Those who fill it. By default it is done here.

    Raises:
        Exception: What :func:`check_can_go_on` raises.
    """
    check_can_go_on(target, encoder)
    adoption = target.adoption or Adoption(target.source.features, tuple(sorted(target.info.payload_schema or {})))
    metadata = target.metadata or replace(metadata_of(encoder), source=target.source)
    if target.metadata is None:
        await engine.update_collection(target.points, metadata={**metadata.to_payload(), **adoption.to_metadata()})
    await engine.create_sparse_vector(target.points, target.source.features)
    await index_payload(engine, target.points, payload_indexes(metadata), known=target.info.payload_schema or {})
    state = _state(engine, target, metadata, encoder)
    if crew is None:
        report = await fill(state, progress)
    else:
        report = done_by(crew, Job("fill", state.collection, state.points, state.metadata), progress)
    for _ in range(_PASSES):  # others may have written meanwhile
        if not await count_unsynced(state):
            break
        more = await fill(state, unwatched)
        report = replace(report, written=report.written + more.written)
    done = replace(adoption, complete=True)
    await engine.update_collection(target.points, metadata=done.to_metadata())
    return report


def _state(engine: Engine, target: Adoptable, metadata: IndexMetadata, encoder: FeatureGroupEncoder) -> IndexState:
    return with_source(IndexState(engine, target.name, target.points, metadata, EncoderSlot(encoder)))

"""Another head for an adopted collection, in place: its collection is its owner's, and nothing can take its place.

The new features are written into a vector of their own, while searches go on with the old one. Then the metadata say
which vector and which encoder hold, in one write, and what payloads say of the features is brought up to date. Until
that is done, it is computed for every point that somebody reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from fg_search.errors import UnsupportedError
from fg_search.index.adopted_engine import own_engine, with_source
from fg_search.index.adoption.sync import SyncReport, count_unsynced, done_by, source_of, sync, write_vectors
from fg_search.index.collections import index_payload
from fg_search.index.crew import AsBefore, Crew, Job
from fg_search.index.encoders import EncoderSlot, metadata_of
from fg_search.index.rights import IndexMovedError
from fg_search.index.state import IndexState
from fg_search.layout.adoption import Adoption
from fg_search.layout.keys import ADAPTATION_KEY, AUDIT_KEY, CALIBRATION_KEY
from fg_search.layout.schema import IndexMetadata, payload_indexes
from fg_search.layout.source import is_being_filled, new_features_name
from fg_search.model.progress import unwatched

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder


async def renew(
    state: IndexState,
    encoder: FeatureGroupEncoder,
    set_aside: float | AsBefore | None,
    progress: Callable[[int], object],
    crew: Crew | None = None,
) -> IndexState:
    """Give an adopted collection the features of another encoder of the same base model.

    If it is interrupted before the switch, the old features hold; after it, :func:`bring_up_to_date` goes on.

    Args:
        state: The index. Its handles learn of the new state.
        encoder: New encoder.
        set_aside: As in :func:`fg_search.index.migration.migrate`.
        progress: Called with the number of points done since its last call.
        crew: Those who compute and write the features. By default it is done here.

    Raises:
        ModelMismatchError: If somebody else gives it another encoder at the same time, which holds.
        UnsupportedError: If the encoder has another base model.
    """
    try:
        return await _renewed(state, encoder, set_aside, progress, crew)
    except IndexMovedError as error:
        raise state.was_re_encoded() from error


async def _renewed(
    state: IndexState,
    encoder: FeatureGroupEncoder,
    set_aside: float | AsBefore | None,
    progress: Callable[[int], object],
    crew: Crew | None,
) -> IndexState:
    source = source_of(state)
    if not encoder.has_base_fingerprint(state.metadata.base):
        raise UnsupportedError(
            f"{state.name} is an adopted collection, whose base vectors are its owner's: an encoder for it needs the "
            f"base model {state.metadata.model_name!r}; undo the adoption with `fg-search adopt … --undo`, and adopt "
            "another vector"
        )
    if encoder.has_fingerprint(state.metadata.fingerprint):
        await _set_aside(state, set_aside, progress, crew)
        return state
    engine = own_engine(state)
    await _remove_vectors(state)
    kept = state.metadata.set_aside if set_aside == "as before" else set_aside
    filled = replace(source, features=new_features_name(), former=state.metadata.fingerprint)
    metadata = replace(
        metadata_of(encoder),
        settings=state.metadata.settings,
        set_aside=kept,
        source=filled,
    )
    await engine.create_sparse_vector(state.points, filled.features)
    newer = with_source(replace(state, metadata=metadata, encoders=EncoderSlot(encoder), calibration=None))
    if crew is None:
        await write_vectors(newer, progress)
    else:
        done_by(crew, Job("vectors", newer.collection, newer.points, metadata), progress)
    await index_payload(engine, state.points, payload_indexes(metadata))
    # whoever meets a point of the new features, and knows only the old ones, looks here
    state.handle.announce(newer)
    outdated = dict.fromkeys((CALIBRATION_KEY, ADAPTATION_KEY, AUDIT_KEY))
    await engine.update_collection(state.points, metadata={**metadata.to_payload(), **outdated})
    state.handle.moved(newer)
    await bring_up_to_date(newer, unwatched, set_aside=set_aside, crew=crew)
    return newer.handle.state


async def bring_up_to_date(
    state: IndexState,
    progress: Callable[[int], object],
    *,
    set_aside: float | AsBefore | None = "as before",
    crew: Crew | None = None,
) -> SyncReport:
    """Bring all points up to date, and finish what an interrupted renewal has left.

    Args:
        state: The index.
        progress: Called with the number of points done since its last call.
        set_aside: As in :func:`fg_search.index.migration.migrate`.
        crew: Those who do it. By default it is done here.

    Raises:
        UnsupportedError: If the index is not an adopted collection.
    """
    source = source_of(state)
    if crew is None:
        report = await sync(state, progress, set_aside=set_aside)
    else:
        job = Job("sync", state.collection, state.points, state.metadata, set_aside=set_aside)
        report = done_by(crew, job, progress)
    if source.former is not None and not await count_unsynced(state):
        metadata = replace(state.metadata, source=replace(source, former=None))
        await _remember(state, metadata)
        await _remove_vectors(state.handle.state)
    return report


async def _set_aside(
    state: IndexState,
    set_aside: float | AsBefore | None,
    progress: Callable[[int], object],
    crew: Crew | None,
) -> None:
    if set_aside == "as before" or set_aside == state.metadata.set_aside:
        await bring_up_to_date(state, progress, crew=crew)
        return
    metadata = replace(state.metadata, set_aside=set_aside)
    await index_payload(own_engine(state), state.points, payload_indexes(metadata))
    state = await _remember(state, metadata)
    await bring_up_to_date(state, progress, set_aside=set_aside, crew=crew)


async def _remember(state: IndexState, metadata: IndexMetadata) -> IndexState:
    await own_engine(state).update_collection(state.points, metadata=metadata.to_payload())
    newer = with_source(replace(state, metadata=metadata))
    state.handle.moved(newer)
    return newer


async def _remove_vectors(state: IndexState) -> None:
    """Remove the vectors of features that are not, or no longer, the index's."""
    engine, current = own_engine(state), source_of(state).features
    config = (await engine.get_collection(state.points)).config
    adoption = Adoption.of_metadata(config.metadata)
    for name in config.params.sparse_vectors or {}:
        is_first = adoption is not None and name == adoption.vector
        if name != current and (is_first or is_being_filled(name)):
            await engine.delete_vector_name(state.points, name)

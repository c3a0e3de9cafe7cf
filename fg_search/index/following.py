"""Following an index that others move to another encoder or calibrate, so that a handle need not be opened again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, TypeVar

from qdrant_client import models

from fg_search.engine.answers import is_not_found
from fg_search.engine.port import Engine
from fg_search.errors import IndexNotFoundError, ModelMismatchError, NotCalibratedError
from fg_search.index.adopted_engine import with_source
from fg_search.index.calibration import Calibration
from fg_search.index.collections import find_collection, physical_collection, want
from fg_search.index.encoders import EncoderSlot
from fg_search.index.rights import IndexMovedError
from fg_search.index.state import IndexState
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.layout.points import payload_of
from fg_search.layout.schema import IndexMetadata

T = TypeVar("T")

LOOK_EVERY = 10.0
"""Seconds after which an open index is asked again for what other processes may have changed."""


class StrangersError(ModelMismatchError):
    """A search has met points of another encoder, or of no encoder of ours. Seen by users only if that persists."""


async def on_current_collection(state: IndexState, write: Callable[[IndexState], Awaitable[T]]) -> T:
    """Make a write to the collection that has the index's name, and again if the index moves meanwhile.

    Raises:
        IndexNotFoundError: If it was adopted, and is no index any more: nothing is written to it then.
    """
    while True:
        try:
            if state.metadata.source is not None:
                IndexMetadata.of_collection(state.collection, await state.engine.get_collection(state.points))
            return await write(state)
        except IndexMovedError:
            pass
        except Exception as error:
            if not is_not_found(error) or await physical_collection(state.engine, state.collection) == state.points:
                raise
        state = await followed(state)


async def followed(state: IndexState) -> IndexState:
    """State of the index as it is now, with the encoder, settings and calibration that others may have given it.

    All handles of the open index learn of it.

    Raises:
        IndexNotFoundError: If the index is gone.
    """
    points, info = await find_index(state.engine, state.collection)
    if info is None:
        raise IndexNotFoundError(f"{state.name} is gone: somebody removed it, or its name")
    metadata = IndexMetadata.of_collection(state.collection, info)
    calibration = Calibration.of_metadata(info.config.metadata, metadata.fingerprint)
    encoders = state.encoders
    if metadata.fingerprint != state.metadata.fingerprint:
        encoders = state.handle.coming_encoder(metadata.fingerprint) or EncoderSlot()
    newer = replace(
        state,
        points=points,
        metadata=metadata,
        encoders=encoders,
        calibration=calibration,
        has_strangers=state.has_strangers and points == state.points,
    )
    newer = with_source(newer)
    if points != state.points:
        want(state.engine, metadata.settings)
    state.handle.moved(newer)
    return newer


async def find_index(engine: Engine, collection: str) -> tuple[str, models.CollectionInfo | None]:
    """Name and description of the collection that an index's name leads to. ``None`` if there is none."""
    points = await physical_collection(engine, collection)
    while True:
        info = await find_collection(engine, points)
        if info is not None:
            return points, info
        # it may have been removed because the index has moved in between
        before, points = points, await physical_collection(engine, collection)
        if before == points:
            return points, None


async def on_current_encoder(state: IndexState, read: Callable[[IndexState], Awaitable[T]]) -> T:
    """Read with the encoder of the index, and again with the new one if the index has moved to another.

    Every :data:`LOOK_EVERY` seconds it is looked at first whether others have calibrated the index, or adapted it, or
    have raised a threshold.

    An index that has not moved may hold points of strangers: of an encoder that it had before, written by a release
    before 0.2, or of another client. Searches leave them out from then on.
    """
    state = await _followed_at_times(state)
    while True:
        try:
            return await read(state)
        except ModelMismatchError as error:
            newer = await followed(state)
            if newer.metadata.fingerprint == state.metadata.fingerprint:
                if newer.has_strangers or not isinstance(error, StrangersError):
                    raise
                newer = replace(newer, has_strangers=True)
                newer.handle.moved(newer)
            state = newer
        except NotCalibratedError:
            newer = await followed(state)
            if newer.calibration is None or newer.calibration.is_same(state.calibration):
                raise
            state = newer
        except Exception as error:
            if not is_not_found(error):
                raise
            newer = await followed(state)
            if newer.points == state.points:
                raise
            state = newer


async def _followed_at_times(state: IndexState) -> IndexState:
    return await followed(state) if monotonic() > state.handle.looked_at + LOOK_EVERY else state


def check_model(state: IndexState, points: Sequence[models.ScoredPoint | models.Record]) -> None:
    """Check that the points found were embedded by the encoder that embedded the query.

    Raises:
        StrangersError: If not. Another process may have re-encoded the index since it was opened.
    """
    check_payloads(state, [payload_of(point) for point in points])


def check_payloads(state: IndexState, payloads: Sequence[Mapping[str, Any]]) -> None:
    """Check as :func:`check_model` does, by payloads of points.

    Raises:
        StrangersError: If the encoder of one is another.
    """
    models_found = {(features := payload.get(PAYLOAD_KEY)) and features["model"] for payload in payloads}
    if models_found - {state.metadata.fingerprint}:
        raise StrangersError(str(state.was_re_encoded()))

"""Opening an index, or making a new one."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qdrant_client import models

from fg_search.engine.answers import FORBIDDEN
from fg_search.engine.port import Engine
from fg_search.errors import IndexNotFoundError, ServerError, StorageError
from fg_search.index.adopted_engine import with_source
from fg_search.index.calibration import Calibration
from fg_search.index.collections import index_payload, want
from fg_search.index.encoders import EncoderSlot, metadata_of
from fg_search.index.filterable import make_filterable
from fg_search.index.following import find_index
from fg_search.index.leftovers import remove
from fg_search.index.logs import raise_copies
from fg_search.index.recovery import check_nothing_to_recover
from fg_search.index.rights import IndexMovedError, make_target, right_to_switch
from fg_search.index.scores import index_scores
from fg_search.index.state import IndexState
from fg_search.layout.logs import decision_log, query_log
from fg_search.layout.operations import INCOMPLETE_KEY
from fg_search.layout.schema import IndexMetadata, payload_indexes
from fg_search.layout.settings import IndexSettings

_LOG = logging.getLogger("fg_search.index")

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder


async def open_index(
    engine: Engine, collection: str, encoder: FeatureGroupEncoder | None, settings: IndexSettings | None
) -> IndexState:
    """Open an index. Without one, make it if there is an encoder to fill it with.

    Raises:
        IndexNotFoundError: If there is no index and no encoder, its name was lost, or the collection was not made by
            fg_search.
        ModelMismatchError: If another encoder filled it.
        FormatVersionError: If this release cannot read it.
        ValueError: If it was made with other settings.
    """
    while True:
        points, info = await find_index(engine, collection)
        if info is not None:
            return await _opened(engine, collection, points, info, encoder, settings)
        await check_nothing_to_recover(engine, collection)
        if encoder is None:
            raise IndexNotFoundError(
                f"there is no index {collection!r} at {engine.location!r}; "
                "make one by giving an encoder: ConfidenceIndex(location, encoder) or "
                "`fg-search index … --encoder FOLDER`"
            )
        metadata = replace(metadata_of(encoder), settings=settings or IndexSettings())
        try:
            async with right_to_switch(
                engine, collection, "new", None, partial(make_target, metadata=metadata)
            ) as right:
                await right.complete()
                await right.switch()
                for target in right.never_named:
                    await remove(engine, target)
        except IndexMovedError:  # somebody else has just made it
            continue


async def _opened(
    engine: Engine,
    collection: str,
    points: str,
    info: models.CollectionInfo,
    encoder: FeatureGroupEncoder | None,
    settings: IndexSettings | None,
) -> IndexState:
    metadata = IndexMetadata.of_collection(collection, info)
    calibration = Calibration.of_metadata(info.config.metadata, metadata.fingerprint)
    state = IndexState(engine, collection, points, metadata, EncoderSlot(encoder), calibration)
    if encoder is not None:
        state.check_encoder(encoder)
    if settings is not None and replace(settings, filterable=metadata.settings.filterable) != metadata.settings:
        raise ValueError(
            f"{state.name} was made with {metadata.settings}, not with {settings}; leave the settings out, or copy it "
            "into a new index with `fg-search copy`"
        )
    incomplete = (info.config.metadata or {}).get(INCOMPLETE_KEY)
    if incomplete is not None:
        _LOG.warning("%s lacks a part of what was being copied from %s; run the copy again", state.name, incomplete)
    # whoever made the collection may have been interrupted before its payload indexes existed
    try:
        await index_payload(engine, points, payload_indexes(metadata), known=info.payload_schema)
        await index_scores(engine, points, info.config.metadata or {}, known=info.payload_schema)
    except ServerError as error:
        if error.status != FORBIDDEN:
            raise  # whose API key may only read can search all the same
    state = with_source(state)
    state.handle.moved(state)
    want(engine, metadata.settings)
    await raise_copies(engine, (decision_log(collection), query_log(collection)), metadata.settings)
    asked = {} if settings is None else settings.filterable
    if asked.items() - metadata.settings.filterable.items():
        await make_filterable(state, asked)
    return state.handle.state


def check_can_move(state: IndexState) -> None:
    """Check that another collection can take the name of the index.

    Raises:
        StorageError: If the name is that of a collection itself.
    """
    if state.points == state.collection:
        raise StorageError(
            f"{state.name} is a collection of that very name, not an alias, so that nothing can take its place; "
            "copy it with `fg-search copy` into a new index first"
        )

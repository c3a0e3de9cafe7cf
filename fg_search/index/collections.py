"""Finding an index in an engine, or making it there.

The name of an index is an alias. The collection that holds the points carries the encoder's fingerprint in its own
name, so that another one, filled by another encoder, can grow beside it and take over the alias in one step.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from fg_search.engine.port import Engine, PayloadIndexes
from fg_search.errors import IndexNotFoundError, NotScoredError, StorageError
from fg_search.index.calibration import Calibration
from fg_search.index.state import EncoderSlot, IndexState, check_fingerprint, metadata_of
from fg_search.layout.keys import CALIBRATION_KEY
from fg_search.layout.schema import SCORE_INDEXES, IndexMetadata, collection_options, payload_indexes
from fg_search.layout.settings import IndexSettings

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder


_NOT_FOUND = 404
_FINGERPRINT = re.compile("[0-9a-f]{16}")


async def open_index(
    engine: Engine, collection: str, encoder: FeatureGroupEncoder | None, settings: IndexSettings | None
) -> IndexState:
    """Read what a collection remembers; make it, if it is not there and there is an encoder to make it for.

    Raises:
        IndexNotFoundError: If there is no index and no encoder, or the collection is not ours.
        ModelMismatchError: If another encoder filled it.
        FormatVersionError: If another release made it.
        ValueError: If it is there with other settings.
    """
    info = await find_collection(engine, collection)
    if info is None:
        if encoder is None:
            raise IndexNotFoundError(
                f"there is no index {collection!r} at {engine.location!r}; "
                "make one by giving an encoder: ConfidenceIndex(location, encoder) or "
                "`fg-search index … --encoder FOLDER`"
            )
        metadata = replace(metadata_of(encoder), settings=settings or IndexSettings())
        physical = await create_collection(engine, collection, metadata)
        await switch_alias(engine, collection, physical)
        return IndexState(engine, collection, metadata, EncoderSlot(encoder))
    metadata = IndexMetadata.of_collection(collection, info)
    calibration = Calibration.of_metadata((info.config.metadata or {}).get(CALIBRATION_KEY), metadata.fingerprint)
    state = IndexState(engine, collection, metadata, EncoderSlot(encoder), calibration)
    if encoder is not None:
        check_fingerprint(state, encoder)
    if settings is not None and settings != metadata.settings:
        raise ValueError(
            f"{state.name} was made with {metadata.settings}, not with {settings}; leave the settings out, or copy it "
            "into a new index with `fg-search copy`"
        )
    # whoever made the collection may have been interrupted before its payload indexes were there
    await index_payload(engine, collection, payload_indexes(metadata), known=info.payload_schema)
    return state


async def find_collection(engine: Engine, collection: str) -> models.CollectionInfo | None:
    """Describe a collection, by its name or an alias; ``None`` if there is none."""
    try:
        return await engine.get_collection(collection)
    except UnexpectedResponse as error:
        if error.status_code != _NOT_FOUND:
            raise
        return None
    except ValueError as error:
        if "not found" not in str(error):
            raise
        return None


async def create_collection(engine: Engine, collection: str, metadata: IndexMetadata) -> str:
    """Make the collection for an index's points and say its name; it is taken over if it is there already."""
    physical = _physical_name(collection, metadata.fingerprint)
    info = await find_collection(engine, physical)
    if info is None:
        await engine.create_collection(physical, **collection_options(metadata))
    known = () if info is None else info.payload_schema
    await index_payload(engine, physical, payload_indexes(metadata), known=known)
    return physical


async def switch_alias(engine: Engine, collection: str, physical: str) -> None:
    """Let the name of an index lead to this collection from now on; one that it led to before is removed.

    Raises:
        StorageError: If the name is that of a collection, so that it cannot be an alias.
    """
    old = await physical_collection(engine, collection)
    new = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=physical, alias_name=collection))
    if old == collection:
        if (await find_collection(engine, collection)) is not None:
            raise StorageError(
                f"the name {collection!r} is that of a collection, which nothing can take the place of; "
                "choose another name for the index, or copy that collection first with `fg-search copy`"
            )
        await engine.update_collection_aliases([new])
        return
    gone = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=collection))
    await engine.update_collection_aliases([gone, new])
    await engine.delete_collection(old)


async def physical_collection(engine: Engine, collection: str) -> str:
    """The name of the collection that an alias leads to; a name that is no alias is its own."""
    return (await engine.get_aliases()).get(collection, collection)


def is_collection_of(collection: str, name: str) -> bool:
    """Whether a collection is called as one that holds the points of this index."""
    *_, fingerprint = name.rpartition(".")
    return _FINGERPRINT.fullmatch(fingerprint) is not None and name == _physical_name(collection, fingerprint)


def _physical_name(collection: str, fingerprint: str) -> str:
    return f"{collection}.{fingerprint}"


async def index_payload(
    engine: Engine, collection: str, indexes: PayloadIndexes, *, known: Container[str] = ()
) -> None:
    """Make payload indexes but those that are known; to make one that is there already changes nothing."""
    for key, kind in indexes.items():
        if key not in known:
            with warnings.catch_warnings():  # local mode warns that it does without them
                warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")
                await engine.create_payload_index(collection, field_name=key, field_schema=kind)


async def index_scored(engine: Engine, collection: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Let a collection have the indexes of lists that come from another one.

    Args:
        engine: Where the collection is.
        collection: That has the same marks.
        metadata: Of the other one.

    Returns:
        What of the metadata says that items were judged and compared.
    """
    kept = {key: metadata[key] for key in SCORE_INDEXES if key in metadata}
    for key in kept:
        await index_payload(engine, collection, SCORE_INDEXES[key])
    return kept


async def check_scored(state: IndexState, key: str, what: str, method: str) -> None:
    """Make sure that this was done once.

    Args:
        state: The index.
        key: Of the collection's metadata that says so.
        what: Of the index, in words.
        method: That does it.

    Raises:
        NotScoredError: If it was not.
    """
    info = await state.engine.get_collection(state.collection)
    if key not in (info.config.metadata or {}):
        raise NotScoredError(
            f"{what} of {state.name} were not judged yet; call index.{method}() or `fg-search score` first"
        )

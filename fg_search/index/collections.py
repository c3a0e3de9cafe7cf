"""Collections of an index: made, found, and given the index's name.

The name of an index is an alias. The collection that holds the points has the encoder's fingerprint in its own name.
So another collection, filled by another encoder, can grow beside it and take over the alias in one step.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Container

from qdrant_client import models

from fg_search.engine.answers import is_not_found
from fg_search.engine.port import Engine, PayloadIndexes
from fg_search.errors import StorageError
from fg_search.layout.schema import IndexMetadata, collection_options, payload_indexes

_FINGERPRINT = re.compile("[0-9a-f]{16}")


async def find_collection(engine: Engine, collection: str) -> models.CollectionInfo | None:
    """Describe a collection, by its name or an alias. ``None`` if there is none."""
    try:
        return await engine.get_collection(collection)
    except Exception as error:
        if is_not_found(error):
            return None
        raise


async def create_collection(engine: Engine, collection: str, metadata: IndexMetadata) -> str:
    """Make the collection for an index's points, unless it exists already.

    Returns:
        Its own name.
    """
    physical = _physical_name(collection, metadata.fingerprint)
    info = await find_collection(engine, physical)
    if info is None:
        await engine.create_collection(physical, **collection_options(metadata))
    known = () if info is None else info.payload_schema
    await index_payload(engine, physical, payload_indexes(metadata), known=known)
    return physical


async def switch_alias(engine: Engine, collection: str, physical: str) -> None:
    """Give the name of an index to this collection, and remove the collection that had it.

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
    """Name of the collection that an alias leads to. A name that is no alias is returned unchanged."""
    return (await engine.get_aliases()).get(collection, collection)


def is_collection_of(collection: str, name: str) -> bool:
    """Whether a collection is named like one that holds the points of this index."""
    *_, fingerprint = name.rpartition(".")
    return _FINGERPRINT.fullmatch(fingerprint) is not None and name == _physical_name(collection, fingerprint)


def _physical_name(collection: str, fingerprint: str) -> str:
    return f"{collection}.{fingerprint}"


async def index_payload(
    engine: Engine, collection: str, indexes: PayloadIndexes, *, known: Container[str] = ()
) -> None:
    """Make payload indexes, except for the known ones. Making one that exists changes nothing."""
    for key, kind in indexes.items():
        if key not in known:
            with warnings.catch_warnings():  # local mode warns that it does without them
                warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")
                await engine.create_payload_index(collection, field_name=key, field_schema=kind)

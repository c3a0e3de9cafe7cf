"""Collections of an index: found, made, and indexed.

The name of an index is an alias. It leads to the collection that holds the points, whose own name ends in the id of
the operation that made it. So another collection can grow beside it and take over the alias in one step.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Mapping
from typing import Any

from qdrant_client import models

from fg_search.engine.answers import is_not_found
from fg_search.engine.port import Engine, PayloadIndexes
from fg_search.layout.logs import NO_VECTOR
from fg_search.layout.settings import IndexSettings


def want(engine: Engine, settings: IndexSettings) -> None:
    """Have an engine read and write as an index's settings say."""
    engine.want(settings.ordering, settings.consistency, settings.shards_by)


async def find_collection(engine: Engine, collection: str) -> models.CollectionInfo | None:
    """Describe a collection, by its name or an alias. ``None`` if there is none."""
    try:
        return await engine.get_collection(collection)
    except Exception as error:
        if not is_not_found(error):
            raise
        return None


async def physical_collection(engine: Engine, collection: str) -> str:
    """Name of the collection that an alias leads to. A name that is no alias is returned unchanged."""
    return (await engine.get_aliases()).get(collection, collection)


async def make_without_vectors(
    engine: Engine, name: str, settings: IndexSettings, metadata: Mapping[str, Any] | None = None
) -> None:
    """Make a collection whose points have a payload and no vectors, unless it exists.

    On a cluster it has one shard, in as many copies as the index: it is small, and outlives a node as the index does.
    """
    try:
        await engine.create_collection(
            name,
            vectors_config={},
            sparse_vectors_config={NO_VECTOR: models.SparseVectorParams()},
            metadata=metadata,
            shard_number=1 if engine.is_shared else None,
            replication_factor=settings.replicas,
            write_consistency_factor=settings.write_consistency,
        )
    except Exception:
        if (await find_collection(engine, name)) is None:  # otherwise somebody else has just made it
            raise


async def index_payload(
    engine: Engine, collection: str, indexes: PayloadIndexes, *, known: Container[str] = ()
) -> None:
    """Make payload indexes, except for the known ones. Making one that exists changes nothing."""
    for key, kind in indexes.items():
        if key not in known:
            with warnings.catch_warnings():  # local mode warns that it does without them
                warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")
                await engine.create_payload_index(collection, field_name=key, field_schema=kind)

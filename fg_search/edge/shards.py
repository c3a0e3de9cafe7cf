"""The engine's shards: creating, copying, and following changed settings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.collection_settings import CollectionSettings, has_vectors
from fg_search.edge.convert.config import convert_config, create_vector
from fg_search.edge.convert.payload_indexes import convert_index_schema, payload_schema_from_edge
from fg_search.edge.disk_space import check_space_to_write
from fg_search.edge.engine_errors import engine_errors
from fg_search.edge.folder import SHARD_FOLDER

_PLACEHOLDER = "placeholder"
_BATCH = 1000  # points
_CLOSING_PAUSE = 0.001  # seconds


def engine_config(config: models.CreateCollection) -> edge.EdgeConfig:
    """Convert settings; the engine wants a vector, so settings without one get a placeholder.

    Raises:
        ValueError: A number is out of range.
    """
    if not has_vectors(config):
        vectors = {_PLACEHOLDER: models.VectorParams(size=1, distance=models.Distance.DOT)}
        config = config.model_copy(update={"vectors": vectors})
    with engine_errors("Settings"):
        return convert_config(config)


def build_shard(folder: Path, config: models.CreateCollection) -> None:
    """Create the engine's files for an empty collection."""
    check_space_to_write(folder, f"New collection in {folder.parent}")
    path = str(folder / SHARD_FOLDER)
    with engine_errors(f"New collection in {folder}"):
        shard = edge.EdgeShard.create(path, engine_config(config))
        if not has_vectors(config):  # the engine does not mind losing the last one
            shard.update(edge.UpdateOperation.delete_vector_name(_PLACEHOLDER))
        close_shard(shard)


def close_shard(shard: edge.EdgeShard) -> None:
    """Flush and close a shard that no further call will use, once the calls in other threads have returned."""
    try:
        shard.flush()
    finally:
        while True:
            try:
                shard.close()
                break
            except RuntimeError as error:
                if "borrowed" not in str(error):
                    raise
                time.sleep(_CLOSING_PAUSE)


def follow(shard: edge.EdgeShard, path: Path, settings: CollectionSettings) -> edge.EdgeShard:
    """Apply the pending changes of the settings, each of which may have been applied already.

    Args:
        shard: The open shard.
        path: Its folder.
        settings: The settings to follow.

    Returns:
        The open shard, another one if it had to be loaded again.
    """
    pending = settings.pending
    if pending is None:
        return shard
    for name in pending.dropped:
        shard.update(edge.UpdateOperation.delete_vector_name(name))
    for name in pending.added:
        shard.update(create_vector(name, settings.config))
    if not pending.reloads or not has_vectors(settings.config):  # without vectors, the first one brings the settings
        return shard
    close_shard(shard)
    return edge.EdgeShard.load(str(path), engine_config(settings.config))


def copy_points(source: edge.EdgeShard, path: Path, settings: CollectionSettings) -> None:
    """Copy the points and payload indexes of a shard to the empty one in a folder."""
    target = edge.EdgeShard.load(str(path))
    try:
        offset: Any = None
        while True:
            records, offset = source.scroll(
                edge.ScrollRequest(offset=offset, limit=_BATCH, with_payload=True, with_vector=True)
            )
            points: list[Any] = [edge.Point(record.id, record.vector or {}, record.payload) for record in records]
            if points:
                target.update(edge.UpdateOperation.upsert_points(points))
            if offset is None:
                break
        for field, info in payload_schema_from_edge(source.info().payload_schema, settings.index_params).items():
            schema = convert_index_schema(info.params or info.data_type)
            target.update(edge.UpdateOperation.create_field_index(field, schema))
    finally:
        close_shard(target)

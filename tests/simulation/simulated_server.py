"""An engine in memory that all simulated processes share, photographed once, and as on the picture for each run.

It is qdrant-client's local mode, with what a real server has beyond that: payload indexes that are remembered, and
snapshots.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.local.qdrant_local import QdrantLocal
from simulated_cluster import SimulatedCluster


@dataclass(frozen=True)
class Picture:
    """A collection as it was at one moment."""

    options: Mapping[str, Any]
    points: list[models.PointStruct]
    indexes: Mapping[str, Any]


@dataclass(frozen=True)
class Photograph:
    """All that an engine held at one moment."""

    collections: Mapping[str, Picture]
    aliases: Mapping[str, str]


class SimulatedServer(QdrantClient):
    """Local mode, with payload indexes and snapshots.

    Attributes:
        indexes: Payload indexes of each collection.
        snapshots: Snapshots by their names.
        downloads: Snapshots that were written to files. Such a file has a number in it.
        kept: File of a snapshot that an index can be restored from.
        cluster: Nodes, if processes ask several.
    """

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.kept = Path()
        self.cluster = SimulatedCluster()
        assert isinstance(self._client, QdrantLocal)
        self._local = self._client
        self._described: dict[str, models.CollectionInfo] = {}
        self.indexes: dict[str, dict[str, Any]] = {}
        self.snapshots: dict[str, Picture] = {}
        self.downloads: list[Picture] = []

    def create_payload_index(self, collection_name: str, field_name: str, field_schema: Any, **_: Any) -> Any:
        self.get_collection(collection_name)  # as the server: no collection, no index
        kind = field_schema.type if isinstance(field_schema, models.KeywordIndexParams) else field_schema
        described = models.PayloadIndexInfo(data_type=models.PayloadSchemaType(str(kind.value)), points=0)
        self.indexes.setdefault(self.physical(collection_name), {})[field_name] = described

    def query_batch_points(self, *arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():  # that it searches without an index, whatever it is asked for
            warnings.filterwarnings("ignore", message="Local mode performs exact")
            return super().query_batch_points(*arguments, **options)

    def get_collection(self, collection_name: str, **options: Any) -> models.CollectionInfo:
        """What local mode says, without its copy of the whole configuration, which is most of the time of a run."""
        name = self.physical(collection_name)
        if name not in self._described or name not in self._local.collections:
            self._described[name] = super().get_collection(name, **options)
        info = self._described[name]
        metadata = _copied(self._local.collections[name].config.metadata)
        config = info.config.model_copy(update={"metadata": metadata})
        return info.model_copy(update={"config": config, "payload_schema": dict(self.indexes.get(name, {}))})

    def delete_collection(self, collection_name: str, **options: Any) -> bool:
        self.indexes.pop(collection_name, None)
        self._described.pop(collection_name, None)
        return super().delete_collection(collection_name, **options)

    def aliases_now(self) -> dict[str, str]:
        return dict(self._local.aliases)

    def physical(self, name: str) -> str:
        return self.aliases_now().get(name, name)

    def names(self) -> set[str]:
        """Names of the collections."""
        return set(self._local.collections)

    def records(self, collection: str) -> list[models.Record]:
        records, more = self.scroll(collection, limit=1000, with_payload=True, with_vectors=True)
        assert more is None
        return records

    def picture(self, collection: str) -> Picture:
        config = self.get_collection(collection).config
        options = {
            "vectors_config": config.params.vectors or {},
            "sparse_vectors_config": config.params.sparse_vectors or {},
            "metadata": config.metadata,
        }
        points = [
            models.PointStruct(id=record.id, vector=record.vector or {}, payload=record.payload)
            for record in self.records(collection)
        ]
        return copy.deepcopy(Picture(options, points, self.indexes.get(collection, {})))

    def develop(self, collection: str, picture: Picture) -> None:
        """Make a collection as it is on a picture."""
        self.create_collection(
            collection, **{**picture.options, "metadata": copy.deepcopy(picture.options["metadata"])}
        )
        if picture.points:
            self.upsert(collection, picture.points)
        self.indexes[collection] = dict(picture.indexes)

    def photograph(self) -> Photograph:
        return Photograph({name: self.picture(name) for name in sorted(self.names())}, self.aliases_now())

    def become(self, photograph: Photograph) -> None:
        """Hold what is on a photograph and nothing else."""
        self.cluster = SimulatedCluster()
        for name in self.names():
            self.delete_collection(name)
        for name, picture in photograph.collections.items():
            self.develop(name, picture)
        for alias, name in photograph.aliases.items():
            self.set_alias(alias, name)

    def set_alias(self, alias: str, collection: str) -> None:
        made = models.CreateAlias(collection_name=collection, alias_name=alias)
        self.update_collection_aliases([models.CreateAliasOperation(create_alias=made)])


def _copied(value: Any) -> Any:
    """Copy of a JSON value."""
    if isinstance(value, dict):
        return {key: _copied(member) for key, member in value.items()}
    return [_copied(member) for member in value] if isinstance(value, list) else value

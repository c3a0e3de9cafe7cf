"""Qdrant in memory as a cluster answers: points lie in shards, each of which ranks its own.

Taken from Qdrant's source (``lib/collection/src/collection/query.rs``, ``group_by.rs``) and from a cluster of three
nodes: the best ``offset + limit`` of each shard are merged by score, and equal scores come in any order, another one in
each call. Prefetches are evaluated per shard. Those of a fusion at the root are merged before they are fused; below a
formula and in groups they are not, so that ranks are a shard's own. That fusions come out otherwise than in one shard
is what the model shows; groups are those of its merged hits.
"""

from __future__ import annotations

import random
from typing import Any
from zlib import crc32

from qdrant_client import QdrantClient, models
from qdrant_client.http.models import QueryResponse

_WRITES = {
    "create_collection",
    "create_payload_index",
    "delete_collection",
    "delete_payload",
    "set_payload",
    "update_collection",
    "update_collection_aliases",
    "delete",
}


class ShardedClient:
    """A client whose collections have their points in several clients in memory.

    Args:
        shards: Number of shards.
    """

    def __init__(self, shards: int) -> None:
        self._shards = [QdrantClient(":memory:") for _ in range(shards)]
        self._random = random.Random(0)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in _WRITES:
            return getattr(self._shards[0], name)

        def everywhere(*arguments: Any, **options: Any) -> Any:
            for shard in self._shards:
                done = getattr(shard, name)(*arguments, **options)
            return done

        return everywhere

    def upsert(self, collection_name: str, points: Any, **options: Any) -> None:
        for number, shard in enumerate(self._shards):
            own = [point for point in points if self._shard_of(point.id) == number]
            if own:
                shard.upsert(collection_name, own, **options)

    def batch_update_points(self, collection_name: str, update_operations: Any, **options: Any) -> None:
        for number, shard in enumerate(self._shards):
            for operation in update_operations:
                if isinstance(operation, models.UpsertOperation):
                    own = [point for point in operation.upsert.points if self._shard_of(point.id) == number]
                    operation = models.UpsertOperation(upsert=operation.upsert.model_copy(update={"points": own}))
                    if not own:
                        continue
                shard.batch_update_points(collection_name, [operation], **options)

    def count(self, collection_name: str, **options: Any) -> models.CountResult:
        return models.CountResult(count=sum(shard.count(collection_name, **options).count for shard in self._shards))

    def retrieve(self, collection_name: str, ids: Any, **options: Any) -> list[models.Record]:
        return [record for shard in self._shards for record in shard.retrieve(collection_name, ids, **options)]

    def scroll(self, collection_name: str, limit: int = 10, **options: Any) -> Any:
        found = [shard.scroll(collection_name, limit=limit + 1, **options)[0] for shard in self._shards]
        records = sorted((record for part in found for record in part), key=lambda record: _rank(record.id))
        return records[:limit], records[limit].id if len(records) > limit else None

    def query_batch_points(self, collection_name: str, requests: Any, **options: Any) -> list[QueryResponse]:
        return [QueryResponse(points=self._best(collection_name, request)) for request in requests]

    def _best(self, collection: str, request: models.QueryRequest) -> list[models.ScoredPoint]:
        offset, limit = request.offset or 0, request.limit or 10
        # a shard in local mode is always exact, and warns of ``params``
        wide = request.model_copy(update={"offset": None, "limit": offset + limit, "params": None})
        found: list[models.ScoredPoint] = []
        for shard in self._shards:
            everything = wide if request.prefetch else wide.model_copy(update={"limit": 100_000})
            (response,) = shard.query_batch_points(collection, [everything])
            points = response.points
            for point in points:  # numpy's last digit depends on a vector's place, Qdrant's on the vector alone
                point.score = round(point.score, 6)
            self._random.shuffle(points)  # which of equal scores a shard returns is up to its segments
            found += sorted(points, key=lambda point: -point.score)[: offset + limit]
        self._random.shuffle(found)
        return sorted(found, key=lambda point: -point.score)[offset : offset + limit]

    def close(self) -> None:
        for shard in self._shards:
            shard.close()

    def _shard_of(self, point: int | str) -> int:
        return crc32(str(point).encode()) % len(self._shards)


def _rank(point: Any) -> tuple[bool, Any]:
    return isinstance(point, str), point

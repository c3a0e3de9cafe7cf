"""Qdrant in memory as a cluster answers: points lie in shards, each of which ranks its own.

Taken from Qdrant's source (``lib/collection/src/collection/query.rs``, ``group_by.rs``) and from a cluster of three
nodes: the best ``offset + limit`` of each shard are merged by score, and equal scores come in any order, another one in
each call. Prefetches are evaluated per shard. Those of a fusion at the root are merged before they are fused; below a
formula and in groups they are not, so that ranks are a shard's own. That fusions come out otherwise than in one shard
is what the model shows; groups are those of its merged hits.
"""

from __future__ import annotations

import random
from collections import Counter
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
        return self._page(self._shards, collection_name, limit, options)

    def _page(self, shards: list[QdrantClient], collection: str, limit: int, options: dict[str, Any]) -> Any:
        found = [shard.scroll(collection, limit=limit + 1, **options)[0] for shard in shards]
        records = sorted((record for part in found for record in part), key=lambda record: _rank(record.id))
        return records[:limit], records[limit].id if len(records) > limit else None

    def query_batch_points(self, collection_name: str, requests: Any, **options: Any) -> list[QueryResponse]:
        return [QueryResponse(points=self._best(collection_name, request, self._shards)) for request in requests]

    def _best(
        self, collection: str, request: models.QueryRequest, shards: list[QdrantClient]
    ) -> list[models.ScoredPoint]:
        offset, limit = request.offset or 0, request.limit or 10
        # a shard in local mode is always exact, and warns of ``params``
        wide = request.model_copy(update={"offset": None, "limit": offset + limit, "params": None})
        found: list[models.ScoredPoint] = []
        for shard in shards:
            everything = wide if request.prefetch else wide.model_copy(update={"limit": 100_000})
            (response,) = shard.query_batch_points(collection, [everything])
            points = response.points
            for point in points:  # numpy's last digit depends on a vector's place, Qdrant's on the vector alone
                point.score = round(point.score, 6)
            self._random.shuffle(points)  # which of equal scores a shard returns is up to its segments
            found += sorted(points, key=lambda point: -point.score)[: offset + limit]
        self._random.shuffle(found)
        if isinstance(request.query, models.OrderByQuery):
            is_falling = request.query.order_by.direction == models.Direction.DESC
            return sorted(found, key=lambda point: point.order_value, reverse=is_falling)[offset : offset + limit]
        return sorted(found, key=lambda point: -point.score)[offset : offset + limit]

    def close(self) -> None:
        for shard in self._shards:
            shard.close()

    def _shard_of(self, point: int | str) -> int:
        return crc32(str(point).encode()) % len(self._shards)


class KeyedClient(ShardedClient):
    """A client whose collections may have shards with keys, behind :class:`fake_server.FakeServer`.

    Taken from Qdrant's source (``shards/shard_holder/mod.rs``, ``update/mod.rs``, ``toc/point_ops.rs``, issue 10064):
    without a key, a read asks all shards and a write is refused; a key with a fallback is that of a shard that is
    there, or its fallback's, and if neither is there it is "not found"; a list of keys sends a write to each of them,
    and payloads are not set by ids that one of these shards lacks. Other collections are on one shard.

    Attributes:
        keys: Keys of the shards, by collection.
        asked: Collection and keys of each read of a collection with keys, in order.
    """

    def __init__(self, shards: int = 8) -> None:
        super().__init__(shards)
        self.keys: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, list[Any]]] = []

    def create_collection(self, collection_name: str, sharding_method: Any = None, **options: Any) -> bool:
        for shard in self._shards:
            shard.create_collection(collection_name, **options)
        if sharding_method == models.ShardingMethod.CUSTOM:
            self.keys[collection_name] = []
        return True

    def delete_collection(self, collection_name: str, **options: Any) -> bool:
        self.keys.pop(collection_name, None)
        for shard in self._shards:
            done = shard.delete_collection(collection_name, **options)
        return done

    def create_shard_key(self, collection_name: str, shard_key: Any) -> bool:
        keys = self.keys[self._name(collection_name)]
        if shard_key in keys:
            raise ValueError(f"Shard key {shard_key} already exists")
        assert len(keys) < len(self._shards)
        keys.append(shard_key)
        return True

    def upsert(self, collection_name: str, points: Any, shard_key_selector: Any = None, **options: Any) -> Any:
        for shard in self._written(collection_name, shard_key_selector):
            done = shard.upsert(collection_name, points, **options)
        return done

    def delete(self, collection_name: str, points_selector: Any, shard_key_selector: Any = None) -> Any:
        for shard in self._written(collection_name, shard_key_selector):
            done = shard.delete(collection_name, points_selector)
        return done

    def set_payload(
        self, collection_name: str, payload: Any, points: Any, shard_key_selector: Any = None, **options: Any
    ) -> Any:
        for shard in self._written(collection_name, shard_key_selector, points):
            done = shard.set_payload(collection_name, payload, points, **options)
        return done

    def delete_payload(self, collection_name: str, keys: Any, points: Any, shard_key_selector: Any = None) -> Any:
        for shard in self._written(collection_name, shard_key_selector, points):
            done = shard.delete_payload(collection_name, keys, points)
        return done

    def batch_update_points(self, collection_name: str, update_operations: Any, **options: Any) -> Any:
        done = None
        for operation in update_operations:
            part = next(iter(dict(operation).values()))
            for shard in self._written(collection_name, part.shard_key, getattr(part, "points", None)):
                done = shard.batch_update_points(collection_name, [operation])
        return done

    def count(self, collection_name: str, shard_key_selector: Any = None, **options: Any) -> models.CountResult:
        shards = self._read(collection_name, shard_key_selector)
        return models.CountResult(count=sum(shard.count(collection_name, **options).count for shard in shards))

    def retrieve(self, collection_name: str, ids: Any, shard_key_selector: Any = None, **options: Any) -> Any:
        shards = self._read(collection_name, shard_key_selector)
        return [record for shard in shards for record in shard.retrieve(collection_name, ids, **options)]

    def scroll(self, collection_name: str, limit: int = 10, shard_key_selector: Any = None, **options: Any) -> Any:
        return self._page(self._read(collection_name, shard_key_selector), collection_name, limit, options)

    def facet(self, collection_name: str, key: str, shard_key_selector: Any = None, **options: Any) -> Any:
        counts: Counter[Any] = Counter()
        for shard in self._read(collection_name, shard_key_selector):
            counts.update({hit.value: hit.count for hit in shard.facet(collection_name, key, **options).hits})
        hits = [models.FacetValueHit(value=value, count=count) for value, count in counts.most_common()]
        return models.FacetResponse(hits=hits)

    def query_batch_points(self, collection_name: str, requests: Any, **options: Any) -> list[QueryResponse]:
        found = []
        for request in requests:
            shards = self._read(collection_name, request.shard_key)
            points = self._best(collection_name, request.model_copy(update={"shard_key": None}), shards)
            found.append(QueryResponse(points=points))
        return found

    def _name(self, collection: str) -> str:
        aliases = {alias.alias_name: alias.collection_name for alias in self._shards[0].get_aliases().aliases}
        return aliases.get(collection, collection)

    def _read(self, collection: str, selector: Any) -> list[QdrantClient]:
        name = self._name(collection)
        if name not in self.keys:
            return self._shards[:1]
        keys = self.keys[name] if selector is None else self._keys_of(name, selector)
        self.asked.append((name, keys))
        return [self._shards[self.keys[name].index(key)] for key in keys]

    def _written(self, collection: str, selector: Any, points: Any = None) -> list[QdrantClient]:
        name = self._name(collection)
        if name not in self.keys:
            return self._shards[:1]
        if selector is None:
            raise ValueError("Shard key not specified")
        shards = [self._shards[self.keys[name].index(key)] for key in self._keys_of(name, selector)]
        for shard in shards if isinstance(points, list) and isinstance(points[0], (int, str)) else ():
            if len(shard.retrieve(name, points)) < len(points):
                raise ValueError(f"No point with id {points[0]} found")
        return shards

    def _keys_of(self, name: str, selector: Any) -> list[Any]:
        known = self.keys[name]
        if isinstance(selector, models.ShardKeyWithFallback):
            there = [key for key in (selector.target, selector.fallback) if key in known][:1]
            if not there:
                raise ValueError(f"Neither target shard key {selector.target} nor {selector.fallback} exist: not found")
            return there
        keys = selector if isinstance(selector, list) else [selector]
        for key in keys:
            if key not in known:
                raise ValueError(f"Shard key {key} not found")
        return keys


def _rank(point: Any) -> tuple[bool, Any]:
    return isinstance(point, str), point

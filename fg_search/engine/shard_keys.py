"""Shard keys: which shard of a collection holds the points of a tenant, so that it alone is asked about them.

A cluster has room for about a thousand shards with keys of their own, and for any number of tenants. So tenants share
a few shards, each picked by its tenant's name. A tenant that has outgrown its shard may have one whose key is the
tenant's name: the server asks that one if it is there.

What is written to a collection with shard keys has to name them; what is read without one is read from all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeAlias

from qdrant_client import models

from fg_search.engine.cluster import Cluster

Keys: TypeAlias = models.ShardKeyWithFallback | list[int | str]
"""Shards of a request: that of a tenant, or several."""

_SHARED = re.compile(r"shared-\d+-of-(\d+)")


@dataclass(frozen=True)
class ShardKeys:
    """Shard keys of a collection.

    Attributes:
        field: Payload key of the tenant.
        shared: Number of shards that tenants share.
        all: All keys that there are.
    """

    field: str
    shared: int
    all: tuple[int | str, ...]

    @classmethod
    def of(cls, field: str, keys: Iterable[int | str]) -> ShardKeys | None:
        """Understand the keys of a collection. ``None`` if none of them is that of a shared shard."""
        found = tuple(dict.fromkeys(keys))
        numbers = [int(match.group(1)) for key in found if (match := _SHARED.fullmatch(str(key)))]
        return cls(field, numbers[0], found) if numbers else None

    @property
    def own(self) -> list[str]:
        """Keys of the shards that one tenant has."""
        return [str(key) for key in self.all if not _SHARED.fullmatch(str(key))]

    def of_tenant(self, tenant: str) -> models.ShardKeyWithFallback:
        """Keys of a tenant: its own, if there is such a shard, otherwise that of the shared one."""
        digest = blake2b(tenant.encode(), digest_size=8).digest()
        number = int.from_bytes(digest, "big") % self.shared
        return models.ShardKeyWithFallback(target=tenant, fallback=shared_key(number, self.shared))

    def of_filter(self, condition: models.Filter | None) -> models.ShardKeyWithFallback | None:
        """Keys of the tenant whose points alone can match. ``None`` if it may be any."""
        tenant = None if condition is None else next(self._tenants(condition), None)
        return None if tenant is None else self.of_tenant(tenant)

    def for_writing(self, condition: models.Filter | None) -> Keys:
        """Keys of the shards with points that can match."""
        return self.of_filter(condition) or [*self.all]

    def divided(self, points: Sequence[models.PointStruct]) -> Iterator[tuple[Keys, list[models.PointStruct]]]:
        """Points by the shards that they go to."""
        tenants = [str((point.payload or {}).get(self.field, "")) for point in points]
        if len(set(tenants)) == 1:  # the server knows best whether the tenant has a shard of its own by now
            yield self.of_tenant(tenants[0]), [*points]
            return
        parts: dict[int | str, list[models.PointStruct]] = {}
        for tenant, point in zip(tenants, points, strict=True):
            keys = self.of_tenant(tenant)
            parts.setdefault(keys.target if keys.target in self.all else keys.fallback, []).append(point)
        for key, part in parts.items():
            yield [key], part

    def addressed(self, operations: Iterable[models.UpdateOperation]) -> Iterator[models.UpdateOperation]:
        """Operations with the keys of the shards that they are for."""
        for operation in operations:
            if isinstance(operation, models.UpsertOperation) and isinstance(operation.upsert, models.PointsList):
                for keys, points in self.divided(operation.upsert.points):
                    part = operation.upsert.model_copy(update={"points": points, "shard_key": keys})
                    yield models.UpsertOperation.model_construct(upsert=part)
            elif isinstance(operation, models.SetPayloadOperation):
                setting = operation.set_payload
                selected = selecting(setting.points, setting.filter)
                changes = {"points": None, "filter": selected, "shard_key": self.for_writing(selected)}
                yield models.SetPayloadOperation(set_payload=setting.model_copy(update=changes))
            elif isinstance(operation, models.DeletePayloadOperation):
                removal = operation.delete_payload
                selected = selecting(removal.points, removal.filter)
                changes = {"points": None, "filter": selected, "shard_key": self.for_writing(selected)}
                yield models.DeletePayloadOperation(delete_payload=removal.model_copy(update=changes))
            else:
                raise TypeError(f"{type(operation).__name__} cannot be sent to shards with keys")

    def _tenants(self, condition: models.Filter) -> Iterator[str]:
        must = condition.must if isinstance(condition.must, list) else [condition.must]
        for part in must:
            if isinstance(part, models.Filter):
                yield from self._tenants(part)
            elif isinstance(part, models.FieldCondition) and part.key == self.field:
                value = getattr(part.match, "value", None)
                if isinstance(value, str):
                    yield value


def shared_key(number: int, of: int) -> str:
    """Key of a shard that tenants share. It tells how many there are, so that nobody looks for a tenant elsewhere."""
    return f"shared-{number}-of-{of}"


def placement(number: int, copies: int, cluster: Cluster) -> list[int]:
    """Nodes for the copies of a shared shard: one after the other, so that all nodes have as many."""
    nodes = sorted(cluster.nodes)
    return [nodes[(number + i) % len(nodes)] for i in range(min(copies, len(nodes)))]


def selecting(points: Sequence[Any] | None, condition: models.Filter | None) -> models.Filter:
    """Filter for points. An id that a shard does not have would be an error, other than a condition."""
    if condition is not None:
        return condition
    return models.Filter(must=[models.HasIdCondition(has_id=[*(points or [])])])

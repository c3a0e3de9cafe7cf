"""Nodes of a cluster, and where the copies of a collection's shards are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_client import models


@dataclass(frozen=True)
class Cluster:
    """Nodes as the asked one sees them.

    Attributes:
        asked: Id of the node that was asked.
        nodes: Addresses by id, as nodes use them among themselves.
        leader: Id of the node that leads, ``None`` without a majority of nodes.
        silent: Addresses of nodes that do not answer the asked one.
    """

    asked: int
    nodes: Mapping[int, str]
    leader: int | None
    silent: frozenset[str]

    @classmethod
    def of(cls, found: models.ClusterStatus) -> Cluster | None:
        """Understand a server's answer. ``None`` if it is a single one."""
        if not isinstance(found, models.ClusterStatusOneOf1):
            return None
        return cls(
            asked=found.peer_id,
            nodes={int(node): peer.uri for node, peer in found.peers.items()},
            leader=found.raft_info.leader or None,
            silent=frozenset(found.message_send_failures),
        )

    def is_silent(self, node: int) -> bool:
        """Whether a node does not answer the asked one."""
        return self.nodes.get(node, "").rstrip("/") in {address.rstrip("/") for address in self.silent}


@dataclass(frozen=True)
class Shard:
    """A shard of a collection.

    Attributes:
        number: Number of the shard.
        copies: States of its copies by the ids of their nodes, such as ``"Active"`` and ``"Dead"``.
        key: Key by which requests name it, ``None`` if they cannot.
    """

    number: int
    copies: Mapping[int, str]
    key: int | str | None = None

    @property
    def active(self) -> list[int]:
        """Nodes whose copies answer."""
        return [node for node, state in self.copies.items() if state == models.ReplicaState.ACTIVE.value]


def shards_of(found: models.CollectionClusterInfo) -> list[Shard]:
    """Shards in a server's answer."""
    copies: dict[int, dict[int, str]] = {}
    keys: dict[int, int | str | None] = {}
    for local in found.local_shards:
        copies.setdefault(local.shard_id, {})[found.peer_id] = local.state.value
        keys[local.shard_id] = local.shard_key
    for remote in found.remote_shards:
        copies.setdefault(remote.shard_id, {})[remote.peer_id] = remote.state.value
        keys[remote.shard_id] = remote.shard_key
    return [Shard(number, copies[number], keys[number]) for number in sorted(copies)]


def missing_copies(shard: Shard, wanted: int, cluster: Cluster) -> list[models.ReplicateShard]:
    """Copies to make of a shard, on nodes that answer and have none."""
    if not shard.active:
        return []
    free = [node for node in sorted(cluster.nodes) if node not in shard.copies and not cluster.is_silent(node)]
    source = shard.active[0]
    return [
        models.ReplicateShard(shard_id=shard.number, from_peer_id=source, to_peer_id=node)
        for node in free[: max(0, wanted - len(shard.copies))]
    ]

"""Health of an index: nodes, shards and copies as they are placed, its promise, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from qdrant_client import models

from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.engine.answers import FORBIDDEN, NOT_FOUND, NOT_IMPLEMENTED
from fg_search.engine.cluster import Cluster, Shard
from fg_search.engine.port import Engine
from fg_search.engine.shard_keys import ShardKeys
from fg_search.errors import ServerError
from fg_search.index.collections import find_collection
from fg_search.index.following import followed
from fg_search.index.state import IndexState
from fg_search.layout.logs import decision_log, query_log
from fg_search.layout.operations import INCOMPLETE_KEY

_ACTIVE = models.ReplicaState.ACTIVE.value
_ATTEMPTS, _PAUSE = 3, 0.5  # seconds; copies that are being written to differ for a moment


@dataclass(frozen=True)
class Placement:
    """Shards and copies of one collection.

    Attributes:
        collection: Its name.
        shards: Number of shards.
        copies: Number of copies of the shard that has the fewest that answer.
        wanted: Number of copies that each shard is to have.
        write_consistency: Number of copies that must have a write before it is acknowledged.
        not_active: Copies that do not answer, each with the state it is in.
        points: Fewest and greatest number of points, summed over shards, that the copies say they have. ``None`` while
            copies do not answer.
        strict_mode: Limits of the strict mode, empty without one.
        own_shards: Tenants that have a shard of their own. ``None`` if items go to shards by their ids.
    """

    collection: str
    shards: int
    copies: int
    wanted: int
    write_consistency: int
    not_active: tuple[str, ...] = ()
    points: tuple[int, int] | None = None
    strict_mode: Mapping[str, Any] | None = None
    own_shards: tuple[str, ...] | None = None

    @property
    def problems(self) -> list[str]:
        """What is wrong, a line each."""
        found = [f"{self.collection}: {copy}" for copy in self.not_active]
        if self.copies < self.wanted and not self.not_active:
            found.append(
                f"{self.collection}: a shard has {_copies(self.copies)} of {self.wanted}; place more (replicate_shard)"
            )
        if self.wanted > 1 and self.write_consistency >= self.wanted:
            found.append(
                f"{self.collection}: {self.write_consistency} of {_copies(self.wanted)} must confirm a write, so that "
                "the loss of one node stops all writes"
            )
        if self.points is not None and self.points[0] != self.points[1]:
            found.append(
                f"{self.collection}: the copies differ, {self.points[0]:,} to {self.points[1]:,} points; add or copy "
                "the same data again"
            )
        return found


@dataclass(frozen=True)
class IndexHealth:
    """Health of an index.

    Attributes:
        location: Folder, URLs, or class of the client.
        collection: Name of the index.
        server: Release of the server, ``None`` if the engine runs in this process, or the server does not say.
        client: Releases of the libraries that talk to it.
        nodes: Addresses of the nodes, empty on a single server.
        silent: Those that do not answer.
        has_majority: Whether enough nodes answer to change collections and aliases.
        placements: Shards and copies of the points and of the logs that are there.
        shift: What the index has found out about its traffic when it last followed it; ``None`` if nothing.
        problems: What is wrong, a line each.
    """

    location: str
    collection: str
    server: str | None
    client: str
    nodes: tuple[str, ...]
    silent: tuple[str, ...]
    has_majority: bool
    placements: tuple[Placement, ...]
    shift: TrafficShift | None
    problems: tuple[str, ...]


async def check_health(state: IndexState) -> IndexHealth:
    """Look at nodes, shards, copies and logs of an index."""
    state = await followed(state)
    engine = state.engine
    cluster = await find_cluster(engine)
    names = (state.points, decision_log(state.collection), query_log(state.collection))
    found = [placement for name in names if (placement := await find_placement(engine, name, cluster, count=True))]
    silent = () if cluster is None else tuple(uri for node, uri in cluster.nodes.items() if cluster.is_silent(node))
    has_majority = cluster is None or cluster.leader is not None
    problems = [f"the node {uri} does not answer" for uri in silent]
    if not has_majority:
        problems.insert(0, "no majority of nodes answers: collections and aliases cannot change until it does")
    for placement in found:
        problems += placement.problems
    problems += [
        f"{log.collection} is to have {_copies(log.wanted)}, the index {found[0].wanted}: open the index with a key "
        "that may write"
        for log in found[1:]
        if log.wanted < found[0].wanted
    ]
    info = await engine.get_collection(state.points)
    if INCOMPLETE_KEY in (info.config.metadata or {}):
        problems.append(f"{state.collection} lacks a part of what was being copied to it; run the copy again")
    shift = None if state.calibration is None else state.calibration.shift
    if shift is not None and not shift.holds:
        problems.append(f"{state.collection}: {shift}")
    return IndexHealth(
        location=state.location,
        collection=state.collection,
        server=await engine.server_version(),
        client=f"fg_search {version('fg_search')}, qdrant-client {version('qdrant-client')}",
        nodes=() if cluster is None else tuple(cluster.nodes.values()),
        silent=silent,
        has_majority=has_majority,
        placements=tuple(found),
        shift=shift,
        problems=tuple(problems),
    )


async def find_cluster(engine: Engine) -> Cluster | None:
    """The nodes, ``None`` where there is one, or where the API key may not ask."""
    try:
        return await engine.cluster()
    except ServerError as error:
        if error.status not in (FORBIDDEN, NOT_FOUND, NOT_IMPLEMENTED):
            raise
        return None


async def find_placement(engine: Engine, name: str, cluster: Cluster | None, *, count: bool) -> Placement | None:
    """Shards and copies of a collection, ``None`` if there is none, or where it runs in this process.

    Args:
        engine: Engine of the collection.
        name: Name of the collection.
        cluster: Nodes, if there are several.
        count: Whether the points of the copies are counted.
    """
    info = await find_collection(engine, name)
    shards = [] if info is None else await _shards(engine, name)
    if info is None or not shards:
        return None
    params, strict = info.config.params, info.config.strict_mode_config
    keys = ShardKeys.of("", [shard.key for shard in shards if shard.key is not None])
    not_active = tuple(
        f"shard {shard.number} on {_address(cluster, node)} is {state}"
        for shard in shards
        for node, state in shard.copies.items()
        if state != _ACTIVE
    )
    return Placement(
        collection=name,
        shards=len(shards),
        copies=min(len(shard.active) for shard in shards),
        wanted=params.replication_factor or 1,
        write_consistency=params.write_consistency_factor or 1,
        not_active=not_active,
        points=None if not_active or not count else await _points(engine, name),
        strict_mode=strict.model_dump(exclude_none=True) if strict is not None and strict.enabled else {},
        own_shards=None if keys is None else tuple(keys.own),
    )


async def _shards(engine: Engine, name: str) -> list[Shard]:
    try:
        return await engine.shards(name)
    except ServerError as error:
        if error.status not in (FORBIDDEN, NOT_FOUND):
            raise
        return []


async def _points(engine: Engine, name: str) -> tuple[int, int]:
    """Numbers of points that copies have. That all agree on is the least of a shard, most of them the middle one."""
    counts = [0]
    for attempt in range(_ATTEMPTS):
        if attempt:
            await engine.pause(_PAUSE)
        counts = [
            await engine.count(name),
            await engine.count(name, copies="active"),
            await engine.count(name, copies="most"),
        ]
        if min(counts) == max(counts):
            break
    return min(counts), max(counts)


def _address(cluster: Cluster | None, node: int) -> str:
    return str(node) if cluster is None else cluster.nodes.get(node, str(node))


def _copies(number: int) -> str:
    return "1 copy" if number == 1 else f"{number} copies"

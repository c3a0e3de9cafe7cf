"""Shards of collections, and their copies: where they are, and which of them a request asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qdrant_client import models

from fg_search.engine.answers import CONFLICT, FORBIDDEN, NOT_IMPLEMENTED, answer_of, status_of
from fg_search.engine.calls import Calls
from fg_search.engine.cluster import Cluster, Shard, missing_copies, shards_of
from fg_search.engine.consistency import (
    AS_THEY_ARE,
    Consistency,
    Copies,
    Options,
    Ordering,
    options_of_read,
    options_of_write,
)
from fg_search.engine.limits import Limits
from fg_search.engine.shard_keys import ShardKeys, placement, shared_key
from fg_search.errors import ServerError


class Shards(Calls):
    """The port's methods about shards, and the options that requests have because of them."""

    async def get_collection(self, collection: str) -> models.CollectionInfo:
        info = await self._repeat(self._methods.get_collection, collection)
        self._limits[collection] = Limits.of(info)
        self._copies[collection] = info.config.params.replication_factor or 1
        return info

    def want(self, ordering: Ordering | None, consistency: Consistency | None, shards_by: str | None = None) -> None:
        self._ordering, self._consistency, self._shards_by = ordering, consistency, shards_by
        self._keys.clear()

    async def cluster(self) -> Cluster | None:
        if self._remote is None:
            return None
        if not self._remote._prefer_grpc:
            return Cluster.of(await self._repeat(self._methods.cluster_status))
        try:  # told over HTTP alone, on a port that may not be reachable where that of gRPC is
            return Cluster.of(await self._call(self._methods.cluster_status))
        except Exception as error:
            answer = answer_of(error)
            if answer is None:
                raise
            words = f"nodes are told over http alone, and {self._remote.rest_uri} does not: {answer.message}"
            raise ServerError(words, status=answer.status or NOT_IMPLEMENTED) from error

    async def shards(self, collection: str) -> list[Shard]:
        if self._remote is None:
            return []
        return shards_of(await self._repeat(self._methods.collection_cluster_info, collection))

    async def raise_copies(self, collection: str, copies: int, write_consistency: int | None) -> None:
        cluster = await self.cluster()
        if cluster is None:
            return
        for shard in await self.shards(collection):
            for copy in missing_copies(shard, copies, cluster):
                operation = models.ReplicateShardOperation(replicate_shard=copy)
                await self._repeat(self._methods.cluster_collection_update, collection, operation)
        # last, so that an interruption before leaves something to do
        params = models.CollectionParamsDiff(replication_factor=copies, write_consistency_factor=write_consistency)
        await self._repeat(self._methods.update_collection, collection, collection_params=params)
        self._copies.pop(collection, None)

    # --- shards with keys ---------------------------------------------------------------------------------

    async def shard_keys(self, collection: str) -> ShardKeys | None:
        if self._shards_by is None or self._remote is None:
            return None
        try:
            shards = await self.shards(collection)
        except ServerError as error:
            if error.status != FORBIDDEN:
                raise
            shards = []  # reading goes on without
        self._keys[collection] = ShardKeys.of(self._shards_by, [s.key for s in shards if s.key is not None])
        return self._keys[collection]

    async def make_shard_keys(self, collection: str, shared: int, own: Sequence[int | str]) -> None:
        cluster = await self.cluster()
        known = await self.shard_keys(collection)
        shared = shared if known is None else known.shared
        there = () if known is None else known.all
        wanted = [*(shared_key(number, shared) for number in range(shared)), *own]
        copies = await self._number_of_copies(collection)
        for number, key in enumerate(wanted):
            if key not in there:
                nodes = None if cluster is None else placement(number, copies, cluster)
                await self._settle(
                    is_there, self._methods.create_shard_key, collection, key, shards_number=1, placement=nodes
                )
        self._keys.pop(collection, None)

    async def _known_keys(self, collection: str) -> ShardKeys | None:
        return self._keys[collection] if collection in self._keys else await self.shard_keys(collection)

    async def _of_tenant(self, collection: str, condition: models.Filter | None) -> dict[str, Any]:
        """Option of a read that asks the shard of a tenant alone, if it is about one."""
        keys = await self._known_keys(collection)
        chosen = None if keys is None else keys.of_filter(condition)
        return {} if chosen is None else {"shard_key_selector": chosen}

    async def _of_shards(self, collection: str, condition: models.Filter | None) -> dict[str, Any]:
        """Option of a write that names the shards it is for, where they have keys."""
        if await self._known_keys(collection) is None:
            return {}
        present = await self.shard_keys(collection)  # somebody may have given a tenant a shard of its own
        return {} if present is None else {"shard_key_selector": present.for_writing(condition)}

    async def _for_reading(self, collection: str, copies: Copies) -> Options:
        if self._remote is None:
            return AS_THEY_ARE
        number = 1 if copies == "any" else await self._number_of_copies(collection)
        return options_of_read(copies, number, self._consistency)

    async def _for_writing(self, collection: str, copies: Copies, *, is_conditional: bool) -> Options:
        if self._remote is None:
            return AS_THEY_ARE
        number = await self._number_of_copies(collection) if is_conditional else 1
        return options_of_write(copies, number, self._ordering, is_conditional=is_conditional)

    async def _number_of_copies(self, collection: str) -> int:
        if collection not in self._copies:
            await self.get_collection(collection)
        return self._copies[collection]


async def is_there(error: Exception) -> bool:
    """Whether an error says that there is already what was to be made."""
    return status_of(error) == CONFLICT or "already exists" in str(error)

"""Methods of the port, over a client with ``QdrantClient``'s methods."""

from __future__ import annotations

import logging
import shutil
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from qdrant_client import models
from qdrant_client.http.models import QueryResponse

from fg_search.edge.client import EdgeClient
from fg_search.engine.address import is_url
from fg_search.engine.answers import FORBIDDEN, UNAUTHORIZED, Answer, is_not_found
from fg_search.engine.consistency import AS_THEY_ARE, Copies, is_conditional
from fg_search.engine.hits import (
    Page,
    count_values,
    in_pages,
    scroll_in_pages,
    together,
)
from fg_search.engine.numbers import as_sent
from fg_search.engine.ordered import in_order
from fg_search.engine.port import Engine, PayloadIndex, PointId, Selector
from fg_search.engine.shard_keys import selecting
from fg_search.engine.shards import Shards, is_there
from fg_search.engine.snapshot_transfer import download, upload
from fg_search.engine.versions import SLICES_FROM, check_version, release
from fg_search.engine.writes import (
    Unit,
    operations_as_sent,
    operations_of,
    sizes_of_points,
    sizes_of_units,
    units_of,
)
from fg_search.errors import ServerError

T = TypeVar("T")

_MIN_PAUSE, _PATIENCE = 0.05, 1.0  # seconds for copies to agree

_LOG = logging.getLogger("fg_search.engine")


class Adapter(Shards):
    """The port's methods. Each says by what it calls whether it may be repeated, and what it can be split into."""

    @abstractmethod
    async def work(self, function: Callable[[], T]) -> T:
        """Call a function that keeps the CPU busy."""

    async def check_server(self) -> None:
        """Make sure that a server answers, that it knows the API key, and that it is not too old.

        Raises:
            ServerError: If not.
        """
        if self._remote is None:
            return
        try:
            await self.get_collections()
        except AssertionError as error:  # of the client, about an answer without a result
            foreign = Answer(200, "the answer is of another kind", is_foreign=True)
            raise self._asked.error(foreign, "get_collections") from error
        version = await self.server_version()
        if version is not None:
            check_version(version, self._asked.url)

    async def server_version(self) -> str | None:
        if self._remote is None:
            return None
        try:
            return (await self._repeat(self._methods.info)).version
        except ServerError:
            return None  # something before the server keeps this address for itself

    async def has_slices(self) -> bool:
        version = await self.server_version()  # an engine that runs here has the time of one thread in any case
        found = None if version is None else release(version)
        return found is not None and found >= SLICES_FROM

    async def check_writable(self, collection: str) -> None:
        """Make sure that the API key may write, before long work whose result is to be written.

        Raises:
            ServerError: If it may only read.
        """
        if self._remote is None or collection in self._writable:
            return
        try:
            await self.delete(collection, [])
        except ServerError as error:
            if error.status in (UNAUTHORIZED, FORBIDDEN):
                raise
        self._writable.add(collection)

    # --- collections --------------------------------------------------------------------------------------

    async def get_collections(self) -> list[str]:
        found = await self._repeat(self._methods.get_collections)
        return [collection.name for collection in found.collections]

    async def create_collection(
        self,
        collection: str,
        *,
        vectors_config: Mapping[str, models.VectorParams],
        sparse_vectors_config: Mapping[str, models.SparseVectorParams],
        metadata: Mapping[str, Any] | None = None,
        shard_number: int | None = None,
        sharding_method: models.ShardingMethod | None = None,
        replication_factor: int | None = None,
        write_consistency_factor: int | None = None,
    ) -> None:
        await self._settle(
            is_there,
            self._methods.create_collection,
            collection,
            vectors_config=vectors_config,
            sparse_vectors_config=sparse_vectors_config,
            metadata=None if metadata is None else dict(metadata),
            shard_number=shard_number,
            sharding_method=sharding_method,
            replication_factor=replication_factor,
            write_consistency_factor=write_consistency_factor,
        )

    async def update_collection(self, collection: str, *, metadata: Mapping[str, Any]) -> None:
        await self._repeat(self._methods.update_collection, collection, metadata=dict(metadata))

    async def delete_collection(self, collection: str) -> None:
        await self._settle(_is_gone, self._methods.delete_collection, collection)

    async def get_aliases(self) -> dict[str, str]:
        found = await self._repeat(self._methods.get_aliases)
        return {alias.alias_name: alias.collection_name for alias in found.aliases}

    async def update_collection_aliases(self, operations: Sequence[models.AliasOperations]) -> None:
        wanted = await self._wanted_aliases(operations)

        async def is_done(_: Exception) -> bool:
            now = await self.get_aliases()
            return all(now.get(alias) == collection for alias, collection in wanted.items())

        await self._settle(is_done, self._methods.update_collection_aliases, change_aliases_operations=operations)

    async def _wanted_aliases(self, operations: Sequence[models.AliasOperations]) -> dict[str, str | None]:
        """What the aliases that operations touch shall lead to."""
        renames = any(isinstance(operation, models.RenameAliasOperation) for operation in operations)
        before = await self.get_aliases() if renames else {}
        wanted: dict[str, str | None] = {}
        for operation in operations:
            if isinstance(operation, models.CreateAliasOperation):
                wanted[operation.create_alias.alias_name] = operation.create_alias.collection_name
            elif isinstance(operation, models.DeleteAliasOperation):
                wanted[operation.delete_alias.alias_name] = None
            else:
                old, new = operation.rename_alias.old_alias_name, operation.rename_alias.new_alias_name
                wanted[new] = wanted.get(old, before.get(old))
                wanted[old] = None
        return wanted

    async def create_payload_index(self, collection: str, field_name: str, field_schema: PayloadIndex) -> None:
        await self._repeat(
            self._methods.create_payload_index, collection, field_name=field_name, field_schema=field_schema
        )

    async def delete_payload_index(self, collection: str, field_name: str) -> None:
        await self._settle(_is_gone, self._methods.delete_payload_index, collection, field_name)

    async def create_sparse_vector(self, collection: str, vector: str) -> None:
        config = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
        await self._repeat(self._methods.create_vector_name, collection, vector, config)

    async def delete_vector_name(self, collection: str, vector: str) -> None:
        await self._repeat(self._methods.delete_vector_name, collection, vector)

    # --- reading ------------------------------------------------------------------------------------------

    async def count(self, collection: str, count_filter: models.Filter | None = None, *, copies: Copies = "any") -> int:
        options = await self._for_reading(collection, copies)
        # the client's own method takes no consistency, that of what is behind it does
        method: Any = self._methods.count if options == AS_THEY_ARE else self._remote.count
        of_tenant = await self._of_tenant(collection, count_filter)
        found = await self._repeat_with(options, method, collection, count_filter=count_filter, exact=True, **of_tenant)
        return cast("models.CountResult", found).count

    async def retrieve(
        self,
        collection: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool | Sequence[str] = True,
        with_vectors: bool | Sequence[str] = False,
        copies: Copies = "any",
        tenant: str | None = None,
    ) -> list[models.Record]:
        options = await self._for_reading(collection, copies)
        keys = None if tenant is None else await self._known_keys(collection)
        of_tenant: dict[str, Any] = {}
        if keys is not None and tenant is not None:
            of_tenant = {"shard_key_selector": keys.of_tenant(tenant)}

        async def retrieve(part: Sequence[PointId]) -> list[models.Record]:
            return await self._repeat_with(
                options,
                self._methods.retrieve,
                collection,
                ids=part,
                with_payload=_selected(with_payload),
                with_vectors=_selected(with_vectors),
                **of_tenant,
            )

        found = _joined(await self._in_parts(collection, "ids", ids, retrieve))
        if copies != "most" or options == AS_THEY_ARE:
            return found
        waited, pause = 0.0, _MIN_PAUSE
        while waited < _PATIENCE:
            known = {record.id for record in found}
            missing = [point for point in ids if point not in known]
            # copies that differ are mostly about to agree: somebody is writing in this very moment
            if not missing or not await self.retrieve(collection, missing, with_payload=False):
                return found
            await self.pause(pause)
            waited, pause = waited + pause, 2 * pause
            found += _joined(await self._in_parts(collection, "ids", missing, retrieve))
        return found

    async def scroll(
        self,
        collection: str,
        *,
        limit: int,
        scroll_filter: models.Filter | None = None,
        offset: PointId | None = None,
        order_by: models.OrderBy | None = None,
        with_payload: bool | Sequence[str] | models.PayloadSelectorExclude = True,
        with_vectors: bool | Sequence[str] = False,
        copies: Copies = "any",
    ) -> tuple[list[models.Record], PointId | None]:
        options = await self._for_reading(collection, copies)
        of_tenant = await self._of_tenant(collection, scroll_filter)

        async def scroll(
            limit: int, scroll_filter: models.Filter | None, offset: PointId | None, order_by: models.OrderBy | None
        ) -> Page:
            page = await self._repeat_with(
                options,
                self._methods.scroll,
                collection,
                scroll_filter=scroll_filter,
                limit=limit,
                offset=offset,
                order_by=order_by,
                with_payload=_selected(with_payload),
                with_vectors=_selected(with_vectors),
                **of_tenant,
            )
            return cast("Page", page)

        async def ask(most: int | None) -> Page:
            if most is None or limit <= most:
                return await scroll(limit, scroll_filter, offset, order_by)
            return await scroll_in_pages(scroll, most, limit, scroll_filter, offset, order_by)

        return await self._within_hits(collection, ask)

    async def facet(
        self, collection: str, key: str, *, limit: int, facet_filter: models.Filter | None = None
    ) -> list[models.FacetValueHit]:
        async def scroll(
            limit: int, scroll_filter: models.Filter | None, offset: PointId | None, _: models.OrderBy | None
        ) -> Page:
            return await self.scroll(
                collection, limit=limit, scroll_filter=scroll_filter, offset=offset, with_payload=[key]
            )

        options = await self._for_reading(collection, "any")
        of_tenant = await self._of_tenant(collection, facet_filter)

        async def ask(most: int | None) -> list[models.FacetValueHit]:
            found = await self._repeat_with(
                options,
                self._methods.facet,
                collection,
                key,
                facet_filter=facet_filter,
                limit=limit if most is None else min(limit, most),
                exact=True,
                **of_tenant,
            )
            if most is None or limit <= most or len(found.hits) < most:
                return found.hits
            return (await count_values(scroll, most, key, facet_filter))[:limit]

        return await self._within_hits(collection, ask)

    async def query_batch_points(
        self, collection: str, requests: Sequence[models.QueryRequest], *, copies: Copies = "any"
    ) -> list[QueryResponse]:
        if isinstance(self.client, EdgeClient):  # it has this order itself
            return await self._query(collection, copies, requests)
        return await in_order(partial(self._query, collection, copies), requests)

    async def _query(
        self, collection: str, copies: Copies, requests: Sequence[models.QueryRequest]
    ) -> list[QueryResponse]:
        options = await self._for_reading(collection, copies)
        keys = await self._known_keys(collection)
        if keys is not None:
            requests = [
                request.model_copy(update={"shard_key": keys.of_filter(request.filter)}) for request in requests
            ]

        async def query(part: Sequence[models.QueryRequest]) -> list[QueryResponse]:
            return await self._repeat_with(options, self._methods.query_batch_points, collection, requests=part)

        async def ask(most: int | None) -> list[QueryResponse]:
            if most is None:
                return _joined(await self._in_parts(collection, "queries", requests, query))
            pages = [in_pages(request, most) for request in requests]
            flat = [page for of_request in pages for page in of_request]
            responses = iter(_joined(await self._in_parts(collection, "queries", flat, query)))
            return [together([next(responses) for _ in of_request]) for of_request in pages]

        return await self._within_hits(collection, ask)

    # --- writing ------------------------------------------------------------------------------------------

    async def upsert(
        self,
        collection: str,
        points: Sequence[models.PointStruct],
        *,
        update_filter: models.Filter | None = None,
        insert_only: bool = False,
        copies: Copies = "any",
    ) -> None:
        mode = models.UpdateMode.INSERT_ONLY if insert_only else None
        conditional = insert_only or update_filter is not None
        options = await self._for_writing(collection, copies, is_conditional=conditional)

        async def upsert(part: Sequence[models.PointStruct], **of_tenant: Any) -> None:
            await self._repeat_with(
                options,
                self._methods.upsert,
                collection,
                points=part,
                update_filter=update_filter,
                update_mode=mode,
                wait=True,
                **of_tenant,
            )

        if not self.is_embedded:
            points = await self.work(partial(as_sent, points, as_text=self._writes_text))
        keys = await self._known_keys(collection)
        if keys is None:
            await self._in_parts(collection, "points", points, upsert, sizes_of_points)
            return
        for chosen, own in keys.divided(points):
            send = partial(upsert, shard_key_selector=chosen)
            await self._in_parts(collection, "points", own, send, sizes_of_points)

    async def delete(self, collection: str, selector: Selector) -> None:
        by_filter = isinstance(selector, models.Filter)
        options = await self._for_writing(collection, "any", is_conditional=by_filter)
        of_shards = await self._of_shards(collection, selector if isinstance(selector, models.Filter) else None)

        async def delete(part: Selector) -> None:
            await self._repeat_with(
                options, self._methods.delete, collection, points_selector=_selector(part), wait=True, **of_shards
            )

        if isinstance(selector, models.Filter):
            await delete(selector)
        else:
            await self._in_parts(collection, "points", selector, delete)

    async def set_payload(
        self, collection: str, payload: Mapping[str, Any], *, points: Sequence[PointId], key: str | None = None
    ) -> None:
        options = await self._for_writing(collection, "any", is_conditional=False)
        of_shards = await self._of_shards(collection, None)

        async def set_payload(part: Sequence[PointId]) -> None:
            chosen: Any = selecting(part, None) if of_shards else [*part]
            await self._repeat_with(
                options,
                self._methods.set_payload,
                collection,
                dict(payload),
                points=chosen,
                key=key,
                wait=True,
                **of_shards,
            )

        await self._in_parts(collection, "points", points, set_payload)

    async def delete_payload(self, collection: str, keys: Sequence[str], *, points: Selector) -> None:
        by_filter = isinstance(points, models.Filter)
        options = await self._for_writing(collection, "any", is_conditional=by_filter)
        of_shards = await self._of_shards(collection, points if isinstance(points, models.Filter) else None)

        async def delete_payload(part: Selector) -> None:
            chosen = selecting(part, None) if of_shards and not isinstance(part, models.Filter) else part
            await self._repeat_with(
                options,
                self._methods.delete_payload,
                collection,
                [*keys],
                points=_selector(chosen),
                wait=True,
                **of_shards,
            )

        if isinstance(points, models.Filter):
            await delete_payload(points)
        else:
            await self._in_parts(collection, "points", points, delete_payload)

    async def batch_update_points(
        self, collection: str, operations: Sequence[models.UpdateOperation], *, copies: Copies = "any"
    ) -> None:
        conditional = any(is_conditional(operation) for operation in operations)
        options = await self._for_writing(collection, copies, is_conditional=conditional)

        async def update(part: Sequence[Unit]) -> None:
            await self._repeat_with(
                options,
                self._methods.batch_update_points,
                collection,
                update_operations=operations_of(part),
                wait=True,
            )

        if await self._known_keys(collection) is not None:
            present = await self.shard_keys(collection)
            operations = operations if present is None else [*present.addressed(operations)]
        if not self.is_embedded:
            operations = await self.work(partial(operations_as_sent, operations, as_text=self._writes_text))
        await self._in_parts(collection, "points", units_of(operations), update, sizes_of_units)

    async def optimize(self, collection: str) -> bool:
        client = self.client
        return isinstance(client, EdgeClient) and await self._call(client.optimize, collection)

    # --- snapshots ----------------------------------------------------------------------------------------

    @property
    def transfers_snapshots(self) -> bool:
        return self.is_embedded or is_url(self._location)  # the API key of a client that was handed in is not known

    @property
    def _rest_url(self) -> str:
        url: str = self._remote.rest_uri if self._nodes is None else self._nodes.asked
        return url

    async def create_snapshot(self, collection: str) -> str:
        made = await self._repeat(self._methods.create_snapshot, collection)
        return cast("models.SnapshotDescription", made).name

    async def fetch_snapshot(self, collection: str, snapshot: str, file: Path) -> None:
        if isinstance(self.client, EdgeClient):
            await self.work(partial(shutil.copyfile, self.client.snapshot_path(collection, snapshot), file))
        else:
            await self._repeat(download, self._rest_url, self._api_key, collection, snapshot, file)

    async def delete_snapshot(self, collection: str, snapshot: str) -> None:
        await self._settle(_is_gone, self._methods.delete_snapshot, collection, snapshot)

    async def recover_snapshot(self, collection: str, file: Path) -> None:
        if isinstance(self.client, EdgeClient):
            await self._repeat(self.client.recover_snapshot, collection, file.absolute())
        else:
            await self._repeat(upload, self._rest_url, self._api_key, collection, file)

    @asynccontextmanager
    async def beside(self, folder: Path) -> AsyncIterator[Engine]:
        client = await self.work(partial(EdgeClient, folder))
        try:
            yield cast("Engine", type(self)(client, str(folder)))
        finally:
            await self.work(client.close)


def _joined(parts: Sequence[list[T]]) -> list[T]:
    return parts[0] if len(parts) == 1 else [one for part in parts for one in part]


async def _is_gone(error: Exception) -> bool:
    return is_not_found(error)


def _selected(selection: Any) -> Any:
    return [*selection] if isinstance(selection, tuple) else selection


def _selector(selector: Selector) -> models.FilterSelector | models.PointIdsList:
    if isinstance(selector, models.Filter):
        return models.FilterSelector(filter=selector)
    return models.PointIdsList(points=[*selector])

"""Methods of the port, over a client with ``QdrantClient``'s methods. Subclasses decide how a call is made."""

from __future__ import annotations

import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.models import QueryResponse
from qdrant_client.local.async_qdrant_local import AsyncQdrantLocal
from qdrant_client.local.qdrant_local import QdrantLocal

from fg_search.edge.client import EdgeClient
from fg_search.engine.port import PointId, Selector
from fg_search.engine.snapshot_transfer import download, upload
from fg_search.errors import UnsupportedError

P = ParamSpec("P")
T = TypeVar("T")


class Adapter(ABC):
    """Calls of a client, each made in a way that says whether it may be repeated.

    If a response is lost, nobody knows whether the call was carried out. :meth:`_repeat` is for idempotent calls, which
    may then be made again. :meth:`_once` is for calls that would fail, or take effect, a second time.

    Args:
        client: A client with ``QdrantClient``'s methods.
        location: Folder or URL. By default it is the class of the client.
        api_key: API key of the server, for snapshots.
    """

    def __init__(
        self,
        client: QdrantClient | EdgeClient | AsyncQdrantClient,
        location: str | None = None,
        api_key: str | None = None,
    ) -> None:
        self.client = client
        self._location = type(client).__name__ if location is None else location
        self._api_key = api_key
        # all clients have these methods; for the type checker, the signatures are QdrantClient's
        self._methods = cast("QdrantClient", client)
        # held while the client is used; qdrant-client's local mode is not made for several threads at once
        self._turn: AbstractContextManager[Any] = nullcontext()
        if isinstance(client, QdrantClient) and isinstance(client._client, QdrantLocal):
            self._turn = client.__dict__.setdefault("_fg_search_lock", threading.Lock())

    @property
    def location(self) -> str:
        """Folder, URL, or class of the client."""
        return self._location

    @property
    def is_shared(self) -> bool:
        inner = getattr(self.client, "_client", None)
        return not isinstance(self.client, EdgeClient) and not isinstance(inner, (QdrantLocal, AsyncQdrantLocal))

    @abstractmethod
    async def _repeat(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the client, and repeat the call if a server is busy or out of reach."""

    @abstractmethod
    async def _once(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the client without repeating it."""

    @abstractmethod
    async def work(self, function: Callable[[], T]) -> T:
        """Call a function that keeps the CPU busy."""

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Do nothing for a while."""

    # --- collections --------------------------------------------------------------------------------------

    async def get_collections(self) -> list[str]:
        found = await self._repeat(self._methods.get_collections)
        return [collection.name for collection in found.collections]

    async def get_collection(self, collection: str) -> models.CollectionInfo:
        return await self._repeat(self._methods.get_collection, collection)

    async def create_collection(
        self,
        collection: str,
        *,
        vectors_config: Mapping[str, models.VectorParams],
        sparse_vectors_config: Mapping[str, models.SparseVectorParams],
        metadata: Mapping[str, Any] | None = None,
        shard_number: int | None = None,
        replication_factor: int | None = None,
        write_consistency_factor: int | None = None,
    ) -> None:
        await self._once(
            self._methods.create_collection,
            collection,
            vectors_config=vectors_config,
            sparse_vectors_config=sparse_vectors_config,
            metadata=None if metadata is None else dict(metadata),
            shard_number=shard_number,
            replication_factor=replication_factor,
            write_consistency_factor=write_consistency_factor,
        )

    async def update_collection(self, collection: str, *, metadata: Mapping[str, Any]) -> None:
        await self._repeat(self._methods.update_collection, collection, metadata=dict(metadata))

    async def delete_collection(self, collection: str) -> None:
        await self._once(self._methods.delete_collection, collection)

    async def get_aliases(self) -> dict[str, str]:
        found = await self._repeat(self._methods.get_aliases)
        return {alias.alias_name: alias.collection_name for alias in found.aliases}

    async def update_collection_aliases(self, operations: Sequence[models.AliasOperations]) -> None:
        await self._once(self._methods.update_collection_aliases, change_aliases_operations=operations)

    async def create_payload_index(
        self, collection: str, field_name: str, field_schema: models.PayloadSchemaType | models.KeywordIndexParams
    ) -> None:
        await self._repeat(
            self._methods.create_payload_index, collection, field_name=field_name, field_schema=field_schema
        )

    # --- reading ------------------------------------------------------------------------------------------

    async def count(self, collection: str, count_filter: models.Filter | None = None) -> int:
        found = await self._repeat(self._methods.count, collection, count_filter=count_filter, exact=True)
        return found.count

    async def retrieve(
        self,
        collection: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool | Sequence[str] = True,
        with_vectors: bool | Sequence[str] = False,
    ) -> list[models.Record]:
        return await self._repeat(
            self._methods.retrieve,
            collection,
            ids=ids,
            with_payload=_selected(with_payload),
            with_vectors=_selected(with_vectors),
        )

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
    ) -> tuple[list[models.Record], PointId | None]:
        page = await self._repeat(
            self._methods.scroll,
            collection,
            scroll_filter=scroll_filter,
            limit=limit,
            offset=offset,
            order_by=order_by,
            with_payload=_selected(with_payload),
            with_vectors=_selected(with_vectors),
        )
        return cast("tuple[list[models.Record], PointId | None]", page)

    async def facet(
        self, collection: str, key: str, *, limit: int, facet_filter: models.Filter | None = None
    ) -> list[models.FacetValueHit]:
        found = await self._repeat(
            self._methods.facet, collection, key, facet_filter=facet_filter, limit=limit, exact=True
        )
        return found.hits

    async def query_batch_points(self, collection: str, requests: Sequence[models.QueryRequest]) -> list[QueryResponse]:
        return await self._repeat(self._methods.query_batch_points, collection, requests=requests)

    async def query_points_groups(
        self,
        collection: str,
        group_by: str,
        *,
        query: Any,
        using: str | None,
        prefetch: models.Prefetch | list[models.Prefetch] | None,
        query_filter: models.Filter | None,
        limit: int,
        group_size: int,
    ) -> list[models.PointGroup]:
        found = await self._repeat(
            self._methods.query_points_groups,
            collection,
            group_by=group_by,
            query=query,
            using=using,
            prefetch=prefetch,
            query_filter=query_filter,
            limit=limit,
            group_size=group_size,
        )
        return found.groups

    # --- writing ------------------------------------------------------------------------------------------

    async def upsert(
        self,
        collection: str,
        points: Sequence[models.PointStruct],
        *,
        update_filter: models.Filter | None = None,
        insert_only: bool = False,
    ) -> None:
        await self._repeat(
            self._methods.upsert,
            collection,
            points=points,
            update_filter=update_filter,
            update_mode=models.UpdateMode.INSERT_ONLY if insert_only else None,
            wait=True,
        )

    async def delete(self, collection: str, selector: Selector) -> None:
        await self._repeat(self._methods.delete, collection, points_selector=_selector(selector), wait=True)

    async def set_payload(
        self, collection: str, payload: Mapping[str, Any], *, points: Sequence[PointId], key: str | None = None
    ) -> None:
        await self._repeat(self._methods.set_payload, collection, dict(payload), points=[*points], key=key, wait=True)

    async def delete_payload(self, collection: str, keys: Sequence[str], *, points: Selector) -> None:
        await self._repeat(self._methods.delete_payload, collection, [*keys], points=_selector(points), wait=True)

    async def batch_update_points(self, collection: str, operations: Sequence[models.UpdateOperation]) -> None:
        await self._repeat(self._methods.batch_update_points, collection, update_operations=operations, wait=True)

    # --- snapshots ----------------------------------------------------------------------------------------

    def check_snapshots(self) -> None:
        if not isinstance(self.client, EdgeClient) and not is_url(self._location):
            raise UnsupportedError(
                f"snapshots need a folder or a server's URL as location, not {self._location}; "
                "make them with the client itself"
            )

    async def create_snapshot(self, collection: str) -> str:
        made = await self._once(self._methods.create_snapshot, collection)
        return cast("models.SnapshotDescription", made).name

    async def fetch_snapshot(self, collection: str, snapshot: str, file: Path) -> None:
        if isinstance(self.client, EdgeClient):
            await self.work(partial(shutil.copyfile, self.client.snapshot_path(collection, snapshot), file))
        else:
            await self.work(partial(download, self._location, self._api_key, collection, snapshot, file))

    async def delete_snapshot(self, collection: str, snapshot: str) -> None:
        await self._once(self._methods.delete_snapshot, collection, snapshot)

    async def recover_snapshot(self, collection: str, file: Path) -> None:
        if isinstance(self.client, EdgeClient):
            await self._once(self.client.recover_snapshot, collection, file.absolute())
        else:
            await self.work(partial(upload, self._location, self._api_key, collection, file))


def is_url(location: str) -> bool:
    """Whether ``location`` is the URL of a server rather than a folder."""
    return location.startswith(("http://", "https://"))


def _selected(selection: Any) -> Any:
    return [*selection] if isinstance(selection, tuple) else selection


def _selector(selector: Selector) -> models.FilterSelector | models.PointIdsList:
    if isinstance(selector, models.Filter):
        return models.FilterSelector(filter=selector)
    return models.PointIdsList(points=[*selector])

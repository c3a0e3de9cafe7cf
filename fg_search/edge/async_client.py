"""The client of the embedded engine with the methods of ``qdrant_client.AsyncQdrantClient``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from qdrant_client import AsyncQdrantClient

from fg_search.edge.client import EdgeClient, refused_method
from fg_search.edge.signatures import public_methods

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
R = TypeVar("R")

# The class, for type checkers an instance: the methods that they see have no ``self``.
_THEIRS = cast("AsyncQdrantClient", AsyncQdrantClient)


def _in_thread(theirs: Callable[P, Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """A coroutine with the signature of AsyncQdrantClient's that calls the method of EdgeClient in a thread."""
    name = theirs.__name__

    @wraps(theirs)
    async def call(self: AsyncEdgeClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = await self._run(getattr(self._client, name), *args, **kwargs)
        return result

    call.__doc__ = getattr(EdgeClient, name).__doc__
    call.__signature__ = signature(theirs)  # type: ignore[attr-defined]
    return call


def _blocking(theirs: Callable[P, R]) -> Callable[Concatenate[Any, P], R]:
    """A method that blocks, as AsyncQdrantClient's does."""
    name = theirs.__name__

    @wraps(theirs)
    def call(self: AsyncEdgeClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = getattr(self._client, name)(*args, **kwargs)
        return result

    call.__doc__ = getattr(EdgeClient, name).__doc__
    call.__signature__ = signature(theirs)  # type: ignore[attr-defined]
    return call


class AsyncEdgeClient:
    """:class:`~fg_search.edge.client.EdgeClient` for coroutines, with the interface of ``AsyncQdrantClient``.

    Each call runs in a thread, so the event loop goes on meanwhile. A call that is cancelled may still be carried out.
    ``upload_points`` and ``upload_collection`` block, as those of ``AsyncQdrantClient`` do; ``asyncio.to_thread`` runs
    them beside the loop. ``migrate`` is refused; ``EdgeClient`` has it.

    Args:
        path: Folder, created if missing, or an open client to share.

    Raises:
        FolderLockedError: The folder is open in another client.
        StorageError: The folder cannot be used.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from qdrant_client import models
        >>> async def main(folder):
        ...     async with AsyncEdgeClient(folder) as client:
        ...         params = models.VectorParams(size=2, distance=models.Distance.DOT)
        ...         await client.create_collection("points", vectors_config=params)
        ...         await client.upsert("points", [models.PointStruct(id=1, vector=[1.0, 0.0])])
        ...         return (await client.query_points("points", query=[0.5, 0.0])).points[0].score
        >>> with TemporaryDirectory() as folder:
        ...     asyncio.run(main(folder))
        0.5
    """

    def __init__(self, path: str | os.PathLike[str] | EdgeClient) -> None:
        self._client = path if isinstance(path, EdgeClient) else EdgeClient(path)
        self._threads = ThreadPoolExecutor(thread_name_prefix="edge")

    async def _run(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self._client.closed or self._client.was_forked:
            return call(*args, **kwargs)  # which says so; a forked child lacks the threads, and would wait for ever
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *args, **kwargs))

    async def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:
        """Flush and close all collections and release the folder; further calls do nothing."""
        await self._run(self._client.close, grpc_grace, **kwargs)
        self._threads.shutdown(wait=False)

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._client.closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Async{self._client!r}"

    async def optimize(self, collection_name: str) -> bool:
        """Build indexes and compact segments, as :meth:`EdgeClient.optimize` does. Not in AsyncQdrantClient."""
        done: bool = await self._run(self._client.optimize, collection_name)
        return done

    def snapshot_path(self, collection_name: str, snapshot_name: str) -> Path:
        """Return the path of a snapshot. Not in AsyncQdrantClient."""
        return self._client.snapshot_path(collection_name, snapshot_name)

    batch_update_points = _in_thread(_THEIRS.batch_update_points)
    clear_payload = _in_thread(_THEIRS.clear_payload)
    collection_exists = _in_thread(_THEIRS.collection_exists)
    count = _in_thread(_THEIRS.count)
    create_collection = _in_thread(_THEIRS.create_collection)
    create_payload_index = _in_thread(_THEIRS.create_payload_index)
    create_snapshot = _in_thread(_THEIRS.create_snapshot)
    create_vector_name = _in_thread(_THEIRS.create_vector_name)
    delete = _in_thread(_THEIRS.delete)
    delete_collection = _in_thread(_THEIRS.delete_collection)
    delete_payload = _in_thread(_THEIRS.delete_payload)
    delete_payload_index = _in_thread(_THEIRS.delete_payload_index)
    delete_snapshot = _in_thread(_THEIRS.delete_snapshot)
    delete_vector_name = _in_thread(_THEIRS.delete_vector_name)
    delete_vectors = _in_thread(_THEIRS.delete_vectors)
    facet = _in_thread(_THEIRS.facet)
    get_aliases = _in_thread(_THEIRS.get_aliases)
    get_collection = _in_thread(_THEIRS.get_collection)
    get_collection_aliases = _in_thread(_THEIRS.get_collection_aliases)
    get_collections = _in_thread(_THEIRS.get_collections)
    info = _in_thread(_THEIRS.info)
    list_full_snapshots = _in_thread(_THEIRS.list_full_snapshots)
    list_shard_snapshots = _in_thread(_THEIRS.list_shard_snapshots)
    list_snapshots = _in_thread(_THEIRS.list_snapshots)
    overwrite_payload = _in_thread(_THEIRS.overwrite_payload)
    query_batch_points = _in_thread(_THEIRS.query_batch_points)
    query_points = _in_thread(_THEIRS.query_points)
    query_points_groups = _in_thread(_THEIRS.query_points_groups)
    recover_snapshot = _in_thread(_THEIRS.recover_snapshot)
    recreate_collection = _in_thread(_THEIRS.recreate_collection)
    retrieve = _in_thread(_THEIRS.retrieve)
    scroll = _in_thread(_THEIRS.scroll)
    search_matrix_offsets = _in_thread(_THEIRS.search_matrix_offsets)
    search_matrix_pairs = _in_thread(_THEIRS.search_matrix_pairs)
    set_payload = _in_thread(_THEIRS.set_payload)
    update_collection = _in_thread(_THEIRS.update_collection)
    update_collection_aliases = _in_thread(_THEIRS.update_collection_aliases)
    update_vectors = _in_thread(_THEIRS.update_vectors)
    upsert = _in_thread(_THEIRS.upsert)
    upload_points = _blocking(_THEIRS.upload_points)
    upload_collection = _blocking(_THEIRS.upload_collection)


for _name, _theirs in public_methods(AsyncQdrantClient).items():
    if not hasattr(AsyncEdgeClient, _name):
        setattr(AsyncEdgeClient, _name, refused_method("AsyncEdgeClient", _name, _theirs))

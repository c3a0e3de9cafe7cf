"""Qdrant Edge, the embedded engine, with the methods of ``qdrant_client.QdrantClient``."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qdrant_client import models
from qdrant_client.client_base import QdrantBase
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is that of fastembed

from fg_search.errors import UnsupportedError
from fg_search.storage.aliases import apply_alias_operations
from fg_search.storage.collection import EdgeCollection, build_shard, collection_content
from fg_search.storage.convert import json_payload
from fg_search.storage.convert_config import parse_index_schema
from fg_search.storage.folder import StorageFolder, check_collection_name
from fg_search.storage.vectors import check_vector_config

_Ids = Sequence[int | str]
_Selector = _Ids | models.Filter | models.FilterSelector | models.PointIdsList
_DONE = models.UpdateStatus.COMPLETED

# Arguments of QdrantClient that mean nothing to one shard in this process: writes are always waited for, reads
# always see them, nothing is sent anywhere.
_NO_EFFECT = frozenset({"wait", "timeout", "ordering", "consistency", "parallel", "method", "max_retries"})
# Arguments that ask for what an embedded collection is not, unless they hold one of these values.
_ONLY: dict[str, tuple[Any, ...]] = {
    "shard_key_selector": (None,),
    "shard_number": (None, 1),
    "sharding_method": (None, models.ShardingMethod.AUTO),
    "replication_factor": (None, 1),
    "write_consistency_factor": (None, 1),
    "strict_mode_config": (None,),
    "wal_config": (None,),
    "collection_params": (None,),
    "optimizers_config": (None,),
    "vectors_config": (None,),
    "sparse_vectors_config": (None,),
    "hnsw_config": (None,),
    "quantization_config": (None,),
}


def _check_options(method: str, options: Mapping[str, Any], *also: str) -> None:
    """Refuse keyword arguments that nobody knows, and those that would be ignored at a loss."""
    for name, value in options.items():
        if name in _NO_EFFECT:
            continue
        if name not in also:
            raise TypeError(f"{method}() got an unexpected keyword argument {name!r}")
        if value not in _ONLY[name]:
            raise UnsupportedError(f"{method}({name}={value!r}): not supported by Qdrant Edge")


class EdgeClient:
    """Qdrant Edge in a folder, with the face of ``qdrant_client.QdrantClient``.

    Method names, argument names, ``qdrant_client.models`` in and out, results and errors for bad input are
    those of ``QdrantClient``, so that code written for one runs on the other. Arguments that concern a server
    (``wait``, ``timeout``, ``ordering``, ``consistency``, ``parallel``, ``method``, ``max_retries``) have no
    effect.

    What differs:

    * ``order_by`` and ``facet`` need a payload index of the field, as on a server. Local mode does without.
    * Vectors with infinite numbers are refused, like those with NaN.
    * ``with_vectors`` refuses the name of a vector that the collection does not have, as a server does.
    * A collection's name must not begin with a dot.
    * Indexes are built when :meth:`optimize` is called, not in the background. Sparse vectors need none;
      dense ones are searched exactly until then.
    * There are no snapshots, shard keys, grouping, distance matrices, or inference (``models.Document``).
      Asked for one of them it raises ``UnsupportedError``.

    An acknowledged write survives the death of the process. A collection is created and deleted as a whole.
    One client at a time has the folder; it may be shared between threads.

    Args:
        path: The folder; made if it is missing.

    Raises:
        FolderLockedError: The folder is open in another client.
        StorageError: The folder cannot be used.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from qdrant_client import models
        >>> with TemporaryDirectory() as folder, EdgeClient(folder) as client:
        ...     params = models.VectorParams(size=2, distance=models.Distance.DOT)
        ...     _ = client.create_collection("points", vectors_config=params)
        ...     _ = client.upsert("points", [models.PointStruct(id=1, vector=[1.0, 0.0])])
        ...     client.query_points("points", query=[0.5, 0.0]).points[0].score
        0.5
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._closed = True  # should the next line fail, there is nothing to close
        self._folder = StorageFolder(path)
        self._closed = False
        self._lock = threading.RLock()
        self._collections: dict[str, EdgeCollection] = {}
        try:
            self._aliases = self._folder.read_aliases()
        except Exception:
            self.close()
            raise

    # --- life ---------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._closed

    def close(self, **kwargs: Any) -> None:  # noqa: ARG002  QdrantClient takes grpc_grace
        """Write everything to disk, close all collections and let go of the folder; twice is harmless."""
        if self._closed:
            return
        self._closed = True
        with self._lock:
            collections, self._collections = self._collections, {}
            try:
                for collection in collections.values():
                    collection.close()
            finally:
                self._folder.close()

    def __enter__(self) -> EdgeClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EdgeClient({str(self._folder.path)!r}{', closed' if self._closed else ''})"

    if not TYPE_CHECKING:  # a type checker should find mistyped names

        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name.startswith("_") or not hasattr(QdrantBase, name):
                raise AttributeError(f"'EdgeClient' object has no attribute {name!r}")

            def unsupported(*_: Any, **__: Any) -> None:
                raise UnsupportedError(f"EdgeClient.{name}: not supported by Qdrant Edge; use a Qdrant server for it")

            return unsupported

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("EdgeClient instance is closed. Please create a new instance.")

    def _collection(self, name: str) -> EdgeCollection:
        self._check_open()
        collection = self._collections.get(name)
        if collection is not None:
            return collection
        with self._lock:
            self._check_open()
            name = self._aliases.get(name, name)
            if name not in self._collections:
                if not self._folder.exists(name):
                    raise ValueError(f"Collection {name} not found")
                self._collections[name] = EdgeCollection(self._folder.path / name)
            return self._collections[name]

    # --- collections --------------------------------------------------------------------------------------

    def create_collection(
        self,
        collection_name: str,
        vectors_config: models.VectorParams | Mapping[str, models.VectorParams] | None = None,
        sparse_vectors_config: Mapping[str, models.SparseVectorParams] | None = None,
        *,
        on_disk_payload: bool | None = None,
        hnsw_config: models.HnswConfigDiff | None = None,
        optimizers_config: models.OptimizersConfigDiff | None = None,
        quantization_config: models.QuantizationConfig | None = None,
        metadata: dict[str, Any] | None = None,
        payload: models.PayloadStorageParams | None = None,
        id_tracker: models.IdTrackerParams | None = None,
        **kwargs: Any,
    ) -> bool:
        """Create a collection; after a crash it is there as a whole or not at all.

        Args:
            collection_name: Name of the collection and of its folder.
            vectors_config: The one unnamed vector, or name → vector.
            sparse_vectors_config: Name → sparse vector.
            on_disk_payload: Read payloads from disk every time.
            hnsw_config: Defaults of HNSW graphs, which :meth:`optimize` builds.
            optimizers_config: When :meth:`optimize` has something to do.
            quantization_config: Default quantization of dense vectors.
            metadata: Any JSON values, returned by :meth:`get_collection`.
            payload: Memory placement of payloads.
            id_tracker: Memory placement of the ids of points.
            **kwargs: Without effect, or refused; see the class.

        Raises:
            ValueError: The name is taken or not allowed, or a setting is wrong.
        """
        _check_options(
            "create_collection",
            kwargs,
            "shard_number",
            "sharding_method",
            "replication_factor",
            "write_consistency_factor",
            "wal_config",
            "strict_mode_config",
        )
        self._check_open()
        check_collection_name(collection_name)
        check_vector_config(vectors_config, sparse_vectors_config)
        config = models.CreateCollection(
            vectors=dict(vectors_config) if isinstance(vectors_config, Mapping) else vectors_config or {},
            sparse_vectors=None if sparse_vectors_config is None else dict(sparse_vectors_config),
            on_disk_payload=on_disk_payload,
            hnsw_config=hnsw_config,
            optimizers_config=optimizers_config,
            quantization_config=quantization_config,
            metadata=None if metadata is None else json_payload(metadata, "metadata"),
            payload=payload,
            id_tracker=id_tracker,
        )
        with self._lock:
            self._check_open()
            if self._folder.exists(collection_name):
                raise ValueError(f"Collection {collection_name} already exists")
            if collection_name in self._aliases:
                raise ValueError(f"Alias {collection_name} already exists")
            self._folder.create(
                collection_name, collection_content(config, {}), lambda folder: build_shard(folder, config)
            )
        return True

    def recreate_collection(self, collection_name: str, *args: Any, **kwargs: Any) -> bool:
        """Delete a collection if it exists, and create it."""
        check_collection_name(collection_name)
        self.delete_collection(collection_name)
        return self.create_collection(collection_name, *args, **kwargs)

    def collection_exists(self, collection_name: str, **kwargs: Any) -> bool:
        """Whether there is a collection, or an alias, of this name."""
        _check_options("collection_exists", kwargs)
        self._check_open()
        return self._folder.exists(self._aliases.get(collection_name, collection_name))

    def get_collections(self, **kwargs: Any) -> models.CollectionsResponse:
        """List the collections."""
        _check_options("get_collections", kwargs)
        self._check_open()
        names = self._folder.collections()
        return models.CollectionsResponse(collections=[models.CollectionDescription(name=name) for name in names])

    def get_collection(self, collection_name: str, **kwargs: Any) -> models.CollectionInfo:
        """Describe a collection: counts, settings, metadata, payload indexes."""
        _check_options("get_collection", kwargs)
        return self._collection(collection_name).info()

    def update_collection(self, collection_name: str, *, metadata: dict[str, Any] | None = None, **kwargs: Any) -> bool:
        """Merge metadata into that of a collection. Its other settings are fixed.

        Returns:
            Whether there was anything to change.
        """
        _check_options(
            "update_collection",
            kwargs,
            "vectors_config",
            "sparse_vectors_config",
            "optimizers_config",
            "collection_params",
            "hnsw_config",
            "quantization_config",
            "strict_mode_config",
        )
        collection = self._collection(collection_name)
        if metadata is None:
            return False
        collection.update_metadata(json_payload(metadata, "metadata"))
        return True

    def delete_collection(self, collection_name: str, **kwargs: Any) -> bool:
        """Delete a collection with its aliases; a damaged one too.

        Returns:
            Whether it existed.
        """
        _check_options("delete_collection", kwargs)
        self._check_open()
        with self._lock:
            if not self._folder.exists(collection_name):
                return False
            collection = self._collections.pop(collection_name, None)
            if collection is not None:
                collection.close()
            remaining = {alias: name for alias, name in self._aliases.items() if name != collection_name}
            if remaining != self._aliases:
                self._folder.write_aliases(remaining)
                self._aliases = remaining
            self._folder.delete(collection_name)
        return True

    def update_collection_aliases(
        self, change_aliases_operations: Sequence[models.AliasOperations], **kwargs: Any
    ) -> bool:
        """Apply several changes of aliases in one step, e.g. switch an alias to a new collection."""
        _check_options("update_collection_aliases", kwargs)
        self._check_open()
        with self._lock:
            aliases = apply_alias_operations(self._aliases, change_aliases_operations, self._folder.exists)
            self._folder.write_aliases(aliases)
            self._aliases = aliases
        return True

    def get_aliases(self, **kwargs: Any) -> models.CollectionsAliasesResponse:
        """List all aliases."""
        _check_options("get_aliases", kwargs)
        self._check_open()
        return models.CollectionsAliasesResponse(
            aliases=[
                models.AliasDescription(alias_name=alias, collection_name=name) for alias, name in self._aliases.items()
            ]
        )

    def get_collection_aliases(self, collection_name: str, **kwargs: Any) -> models.CollectionsAliasesResponse:
        """List the aliases of one collection."""
        _check_options("get_collection_aliases", kwargs)
        aliases = self.get_aliases().aliases
        return models.CollectionsAliasesResponse(
            aliases=[alias for alias in aliases if alias.collection_name == collection_name]
        )

    def create_payload_index(
        self,
        collection_name: str,
        field_name: str,
        field_schema: models.PayloadSchemaType | models.PayloadSchemaParams | str | None = None,
        field_type: models.PayloadSchemaType | models.PayloadSchemaParams | str | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """Index a payload field, nested keys with dots; ``field_type`` is the old name of ``field_schema``."""
        _check_options("create_payload_index", kwargs)
        schema = parse_index_schema(field_type if field_schema is None else field_schema)
        self._collection(collection_name).create_index(field_name, schema)
        return models.UpdateResult(operation_id=0, status=_DONE)

    def delete_payload_index(self, collection_name: str, field_name: str, **kwargs: Any) -> models.UpdateResult:
        """Remove the index of a payload field."""
        _check_options("delete_payload_index", kwargs)
        self._collection(collection_name).delete_index(field_name)
        return models.UpdateResult(operation_id=0, status=_DONE)

    def optimize(self, collection_name: str) -> bool:
        """Build HNSW graphs and tidy up, where the collection's settings say so. Blocks; not in QdrantClient.

        Worth it for dense vectors: 100,000 of 384 numbers took 42 s to index and are then searched in 2.4 ms
        instead of 8.7. Sparse vectors got slower by it (0.7 → 1.6 ms).

        Returns:
            Whether anything was done.
        """
        return self._collection(collection_name).optimize()

    # --- writing ------------------------------------------------------------------------------------------

    def upsert(
        self,
        collection_name: str,
        points: Sequence[models.PointStruct] | models.Batch,
        *,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """Write points; all of them, or, if one of them is wrong, none."""
        _check_options("upsert", kwargs, "shard_key_selector")
        self._collection(collection_name).upsert(points, update_filter, update_mode)
        return models.UpdateResult(operation_id=0, status=_DONE)

    def upload_points(
        self,
        collection_name: str,
        points: Iterable[models.PointStruct],
        batch_size: int = 64,
        *,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **kwargs: Any,
    ) -> None:
        """Write any number of points, ``batch_size`` of them in memory at a time."""
        _check_options("upload_points", kwargs, "shard_key_selector")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        collection = self._collection(collection_name)
        iterator = iter(points)
        while batch := list(islice(iterator, batch_size)):
            collection.upsert(batch, update_filter, update_mode)

    def update_vectors(
        self,
        collection_name: str,
        points: Sequence[models.PointVectors],
        *,
        update_filter: models.Filter | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """Replace some vectors of existing points."""
        _check_options("update_vectors", kwargs, "shard_key_selector")
        self._collection(collection_name).update_vectors(points, update_filter)
        return models.UpdateResult(operation_id=0, status=_DONE)

    def delete_vectors(
        self, collection_name: str, vectors: Sequence[str], points: _Selector, **kwargs: Any
    ) -> models.UpdateResult:
        """Remove some vectors of points."""
        _check_options("delete_vectors", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        if len(vectors) == 0:
            raise ValueError("must specify vector names to delete")
        collection.schema.check_names(vectors)
        collection.update_selected("delete_vectors", points, list(vectors))
        return models.UpdateResult(operation_id=0, status=_DONE)

    def delete(self, collection_name: str, points_selector: _Selector, **kwargs: Any) -> models.UpdateResult:
        """Delete points."""
        _check_options("delete", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        collection.update_selected("delete_points", points_selector)
        return models.UpdateResult(operation_id=0, status=_DONE)

    def set_payload(
        self,
        collection_name: str,
        payload: dict[str, Any],
        points: _Selector,
        key: str | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """Set top-level keys of the payload, or with ``key`` those of the object there; others stay."""
        _check_options("set_payload", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        collection.update_selected("set_payload", points, json_payload(payload, "payload"), key)
        return models.UpdateResult(operation_id=0, status=_DONE)

    def overwrite_payload(
        self, collection_name: str, payload: dict[str, Any], points: _Selector, **kwargs: Any
    ) -> models.UpdateResult:
        """Replace the whole payload of points."""
        _check_options("overwrite_payload", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        collection.update_selected("overwrite_payload", points, json_payload(payload, "payload"))
        return models.UpdateResult(operation_id=0, status=_DONE)

    def delete_payload(
        self, collection_name: str, keys: Sequence[str], points: _Selector, **kwargs: Any
    ) -> models.UpdateResult:
        """Remove keys of the payload of points."""
        _check_options("delete_payload", kwargs, "shard_key_selector")
        self._collection(collection_name).update_selected("delete_payload", points, list(keys))
        return models.UpdateResult(operation_id=0, status=_DONE)

    def clear_payload(self, collection_name: str, points_selector: _Selector, **kwargs: Any) -> models.UpdateResult:
        """Remove the whole payload of points."""
        _check_options("clear_payload", kwargs, "shard_key_selector")
        self._collection(collection_name).update_selected("clear_payload", points_selector)
        return models.UpdateResult(operation_id=0, status=_DONE)

    # --- reading ------------------------------------------------------------------------------------------

    def query_points(
        self,
        collection_name: str,
        query: Any = None,
        using: str | None = None,
        prefetch: models.Prefetch | list[models.Prefetch] | None = None,
        query_filter: models.Filter | None = None,
        search_params: models.SearchParams | None = None,
        limit: int = 10,
        offset: int | None = None,
        with_payload: bool | Sequence[str] | models.PayloadSelector = True,
        with_vectors: bool | Sequence[str] = False,
        score_threshold: float | None = None,
        lookup_from: models.LookupLocation | None = None,
        **kwargs: Any,
    ) -> QueryResponse:
        """Search, recommend, fuse, rescore, order or sample.

        Args:
            collection_name: Collection to search in.
            query: Vector (list, array, SparseVector), id of a point, any ``models.Query``, or None for all points.
            using: Which named vector; the unnamed one if None.
            prefetch: Queries whose results the query fuses or rescores.
            query_filter: Only points that match, in the prefetches too.
            search_params: How to search.
            limit: How many hits.
            offset: How many hits to leave out before them.
            with_payload: Whether hits bring their payload, or which keys of it.
            with_vectors: Whether hits bring their vectors, or which.
            score_threshold: Only hits that score at least as well.
            lookup_from: Collection and vector that ids in the query refer to, if others.
            **kwargs: Without effect, or refused; see the class.
        """
        _check_options("query_points", kwargs, "shard_key_selector")
        request = models.QueryRequest.model_construct(
            query=query,
            using=using,
            prefetch=prefetch,
            filter=query_filter,
            params=search_params,
            limit=limit,
            offset=offset,
            with_payload=with_payload,
            with_vector=with_vectors,
            score_threshold=score_threshold,
            lookup_from=lookup_from,
        )
        return self._query(collection_name, [request])[0]

    def query_batch_points(
        self, collection_name: str, requests: Sequence[models.QueryRequest], **kwargs: Any
    ) -> list[QueryResponse]:
        """Answer several queries with one call to the engine, which is cheaper than one call each."""
        _check_options("query_batch_points", kwargs)
        return self._query(collection_name, requests)

    def _query(self, collection_name: str, requests: Sequence[models.QueryRequest]) -> list[QueryResponse]:
        def lookup(point_id: Any, vector: str, elsewhere: models.LookupLocation | None) -> Any:
            name = collection_name if elsewhere is None else elsewhere.collection
            return self._collection(name).vector(point_id, vector)

        return self._collection(collection_name).query(requests, lookup)

    def scroll(
        self,
        collection_name: str,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        order_by: str | models.OrderBy | None = None,
        offset: int | str | None = None,
        with_payload: bool | Sequence[str] | models.PayloadSelector = True,
        with_vectors: bool | Sequence[str] = False,
        **kwargs: Any,
    ) -> tuple[list[models.Record], int | str | None]:
        """Return points by id, or by an indexed payload field, and the id of the next page (None at the end)."""
        _check_options("scroll", kwargs, "shard_key_selector")
        return self._collection(collection_name).scroll(
            scroll_filter, limit, order_by, offset, with_payload, with_vectors
        )

    def retrieve(
        self,
        collection_name: str,
        ids: _Ids,
        with_payload: bool | Sequence[str] | models.PayloadSelector = True,
        with_vectors: bool | Sequence[str] = False,
        **kwargs: Any,
    ) -> list[models.Record]:
        """Return points by their ids, in this order; ids that do not exist are left out."""
        _check_options("retrieve", kwargs, "shard_key_selector")
        return self._collection(collection_name).retrieve(ids, with_payload, with_vectors)

    def count(
        self,
        collection_name: str,
        count_filter: models.Filter | None = None,
        exact: bool = True,
        **kwargs: Any,
    ) -> models.CountResult:
        """Count the points that match."""
        _check_options("count", kwargs, "shard_key_selector")
        return models.CountResult(count=self._collection(collection_name).count(count_filter, exact=exact))

    def facet(
        self,
        collection_name: str,
        key: str,
        facet_filter: models.Filter | None = None,
        limit: int = 10,
        exact: bool = False,
        **kwargs: Any,
    ) -> models.FacetResponse:
        """Count the points of each value of a payload field, which needs an index; most frequent first."""
        _check_options("facet", kwargs, "shard_key_selector")
        return self._collection(collection_name).facet(key, facet_filter, limit, exact=exact)

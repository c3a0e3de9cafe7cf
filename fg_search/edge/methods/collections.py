"""EdgeClient methods for collections, aliases and payload indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, cast

from qdrant_client import models
from qdrant_client.client_base import QdrantBase
from qdrant_client.migrate.migrate import migrate

from fg_search.edge.aliases import apply_alias_operations
from fg_search.edge.collection import Change, EdgeCollection
from fg_search.edge.collection_settings import CollectionSettings
from fg_search.edge.convert.payload_indexes import parse_index_schema
from fg_search.edge.convert.points import json_payload
from fg_search.edge.folder import check_collection_name
from fg_search.edge.methods.base import DONE, ClientBase, check_options
from fg_search.edge.setting_changes import (
    PARAMETERS,
    VectorNameConfig,
    needs_copy,
    with_parameters,
    with_vector,
    without_vector,
)
from fg_search.edge.shards import build_shard
from fg_search.edge.signatures import THEIRS, signature_of
from fg_search.edge.vector_schema import check_vector_config


class CollectionMethods(ClientBase):
    """Create, describe, change and delete collections, aliases and payload indexes."""

    @signature_of(THEIRS.create_collection)
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
        """Create a collection atomically.

        Args:
            collection_name: Name of the collection and of its folder.
            vectors_config: Parameters of the one unnamed vector, or name → parameters.
            sparse_vectors_config: Name → parameters of a sparse vector.
            on_disk_payload: Whether to keep payloads on disk only and read them on every access.
            hnsw_config: Default parameters of the HNSW graphs that :meth:`optimize` builds.
            optimizers_config: Thresholds that decide what :meth:`optimize` does.
            quantization_config: Default quantization of dense vectors.
            metadata: JSON values that :meth:`get_collection` returns.
            payload: Memory placement of payloads.
            id_tracker: Memory placement of point ids.
            **kwargs: Arguments for servers, ignored or refused; see the class.

        Raises:
            ValueError: The name is taken or not allowed, or a setting is invalid.
        """
        check_options(
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
            content = CollectionSettings(config).to_json()
            self._folder.create(collection_name, content, lambda folder: build_shard(folder, config))
        return True

    @signature_of(THEIRS.recreate_collection)
    def recreate_collection(self, collection_name: str, **kwargs: Any) -> bool:
        """Delete a collection if it exists and create it anew."""
        check_collection_name(collection_name)
        self.delete_collection(collection_name)
        return self.create_collection(collection_name, **kwargs)

    @signature_of(THEIRS.collection_exists)
    def collection_exists(self, collection_name: str, **kwargs: Any) -> bool:
        """Whether there is a collection or alias of this name."""
        check_options("collection_exists", kwargs)
        self._check_open()
        return self._folder.exists(self._aliases.get(collection_name, collection_name))

    @signature_of(THEIRS.get_collections)
    def get_collections(self, **kwargs: Any) -> models.CollectionsResponse:
        """List the collections."""
        check_options("get_collections", kwargs)
        self._check_open()
        names = self._folder.collections()
        return models.CollectionsResponse(collections=[models.CollectionDescription(name=name) for name in names])

    @signature_of(THEIRS.get_collection)
    def get_collection(self, collection_name: str, **kwargs: Any) -> models.CollectionInfo:
        """Return the counts, settings, metadata and payload indexes of a collection."""
        check_options("get_collection", kwargs)
        return self._collection(collection_name).info()

    @signature_of(THEIRS.update_collection)
    def update_collection(
        self,
        collection_name: str,
        *,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> bool:
        """Change a collection's parameters, and merge metadata into its own.

        Parameters of HNSW graphs, quantization and segments take effect with the next :meth:`optimize`. Removing a
        quantization and changing the modifier or the datatype of a sparse vector copy all points to a new collection,
        which replaces the old one in one step.

        Args:
            collection_name: Collection or alias.
            metadata: Top-level keys to set; None removes a key.
            **kwargs: ``optimizers_config``, ``collection_params``, ``vectors_config``, ``hnsw_config``,
                ``quantization_config`` and ``sparse_vectors_config``, as in QdrantClient; parameters that they leave
                out stay as they are.

        Returns:
            Whether anything was given.
        """
        parameters = {name: kwargs.pop(name) for name in PARAMETERS if name in kwargs}
        check_options("update_collection", kwargs, "strict_mode_config")
        collection = self._collection(collection_name)
        given = {name: value for name, value in parameters.items() if value is not None}
        changes = None if metadata is None else json_payload(metadata, "metadata")
        if given:
            self._change_parameters(collection_name, collection, partial(with_parameters, **given))
        if changes is not None:
            self._collection(collection_name).update_metadata(changes)
        return bool(given) or changes is not None

    def _change_parameters(self, collection_name: str, collection: EdgeCollection, change: Change) -> None:
        if not needs_copy(collection.settings, change(collection.settings)):
            collection.change(change)
            return
        with self._lock:
            name = self._aliases.get(collection_name, collection_name)
            with self._folder.building(name) as built:
                self._collection(name).copy_into(built, change)
                del self._collections[name]
                self._folder.put(name, built)

    @signature_of(THEIRS.create_vector_name)
    def create_vector_name(
        self, collection_name: str, vector_name: str, vector_name_config: VectorNameConfig, **kwargs: Any
    ) -> models.UpdateResult:
        """Add a named vector to a collection; its points lack it until :meth:`update_vectors` gives it to them."""
        check_options("create_vector_name", kwargs)
        self._collection(collection_name).change(partial(with_vector, name=vector_name, name_config=vector_name_config))
        return DONE.model_copy()

    @signature_of(THEIRS.delete_vector_name)
    def delete_vector_name(self, collection_name: str, vector_name: str, **kwargs: Any) -> models.UpdateResult:
        """Remove a named vector from a collection and its points, if there is one of that name."""
        check_options("delete_vector_name", kwargs)
        self._collection(collection_name).change(partial(without_vector, name=vector_name))
        return DONE.model_copy()

    @signature_of(THEIRS.delete_collection)
    def delete_collection(self, collection_name: str, **kwargs: Any) -> bool:
        """Delete a collection and its aliases, even if it is damaged.

        Returns:
            Whether it existed.
        """
        check_options("delete_collection", kwargs)
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

    @signature_of(THEIRS.update_collection_aliases)
    def update_collection_aliases(
        self, change_aliases_operations: Sequence[models.AliasOperations], **kwargs: Any
    ) -> bool:
        """Apply several alias changes in one step, e.g. to switch an alias to a new collection."""
        check_options("update_collection_aliases", kwargs)
        self._check_open()
        with self._lock:
            aliases = apply_alias_operations(self._aliases, change_aliases_operations, self._folder.exists)
            self._folder.write_aliases(aliases)
            self._aliases = aliases
        return True

    @signature_of(THEIRS.get_aliases)
    def get_aliases(self, **kwargs: Any) -> models.CollectionsAliasesResponse:
        """List all aliases."""
        check_options("get_aliases", kwargs)
        self._check_open()
        return models.CollectionsAliasesResponse(
            aliases=[
                models.AliasDescription(alias_name=alias, collection_name=name) for alias, name in self._aliases.items()
            ]
        )

    @signature_of(THEIRS.get_collection_aliases)
    def get_collection_aliases(self, collection_name: str, **kwargs: Any) -> models.CollectionsAliasesResponse:
        """List the aliases of one collection."""
        check_options("get_collection_aliases", kwargs)
        aliases = self.get_aliases().aliases
        return models.CollectionsAliasesResponse(
            aliases=[alias for alias in aliases if alias.collection_name == collection_name]
        )

    @signature_of(THEIRS.create_payload_index)
    def create_payload_index(
        self,
        collection_name: str,
        field_name: str,
        field_schema: models.PayloadSchemaType | models.PayloadSchemaParams | str | None = None,
        field_type: models.PayloadSchemaType | models.PayloadSchemaParams | str | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """Index a payload field, with dots for nested keys; ``field_type`` is the old name of ``field_schema``."""
        check_options("create_payload_index", kwargs)
        schema = parse_index_schema(field_type if field_schema is None else field_schema)
        self._collection(collection_name).create_index(field_name, schema)
        return DONE.model_copy()

    @signature_of(THEIRS.delete_payload_index)
    def delete_payload_index(self, collection_name: str, field_name: str, **kwargs: Any) -> models.UpdateResult:
        """Remove the index on a payload field."""
        check_options("delete_payload_index", kwargs)
        self._collection(collection_name).delete_index(field_name)
        return DONE.model_copy()

    def info(self) -> models.VersionInfo:
        """Return the title that a server and local mode have, and the version of the engine."""
        return models.VersionInfo(title="qdrant - vector search engine", version=version("qdrant-edge-py"))

    def migrate(
        self,
        dest_client: Any,
        collection_names: list[str] | None = None,
        batch_size: int = 100,
        recreate_on_collision: bool = False,
    ) -> None:
        """Copy collections to another client, such as that of a server.

        Args:
            dest_client: A ``QdrantClient`` or another ``EdgeClient``.
            collection_names: Collections to copy; all by default.
            batch_size: Number of points in memory at a time.
            recreate_on_collision: Whether to replace collections that the other client already has.

        Raises:
            ValueError: The other client already has one of the collections.
        """
        migrate(cast("QdrantBase", self), dest_client, collection_names, recreate_on_collision, batch_size)

    def optimize(self, collection_name: str) -> bool:
        """Build HNSW graphs and compact segments as the collection's settings require. Not in QdrantClient.

        The call blocks. It pays for dense vectors: indexing 100,000 vectors of size 384 took 42 s and cut a search from
        8.7 to 2.4 ms. It makes searches of sparse vectors slower (0.7 → 1.6 ms).

        Returns:
            Whether anything was done.
        """
        return self._collection(collection_name).optimize()

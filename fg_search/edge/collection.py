"""One collection of an :class:`~fg_search.edge.client.EdgeClient`: a Qdrant Edge shard and its settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is fastembed's

from fg_search.edge.collection_settings import CollectionSettings
from fg_search.edge.convert.config import convert_config, info_from_edge
from fg_search.edge.convert.filters import convert_filter, required_filter
from fg_search.edge.convert.payload_indexes import convert_index_schema
from fg_search.edge.convert.points import (
    convert_id,
    convert_ids,
    convert_points,
    convert_update_mode,
    convert_vectors,
)
from fg_search.edge.convert.queries import QueryConverter, convert_order_by, has_formula
from fg_search.edge.convert.results import (
    convert_with_payload,
    convert_with_vectors,
    id_from_edge,
    record_from_edge,
    response_from_edge,
    vector_from_edge,
)
from fg_search.edge.convert.vector_queries import Lookup
from fg_search.edge.disk_space import allocated_size, check_space_to_open, check_space_to_write
from fg_search.edge.engine_errors import engine_errors
from fg_search.edge.errors import StorageError
from fg_search.edge.folder import COLLECTION_FILE, SHARD_FOLDER
from fg_search.edge.json_files import read_json, write_json
from fg_search.edge.vector_schema import VectorSchema

_CANCELLED = "process cancelled by service"  # the engine's whole message when a formula fails on a point
_FLUSH_EVERY = 100_000  # points; flushing them takes about 0.1 s, replaying them from the log would take seconds
_PAYLOAD_SIZE = 2048  # bytes per point, sparse vectors included; a rough upper bound for the free-space check
_Operation = edge.UpdateOperation
_Read = TypeVar("_Read")
Write = Callable[[], None]


def build_shard(folder: Path, config: models.CreateCollection) -> None:
    """Create the engine's files for an empty collection."""
    check_space_to_write(folder, f"New collection in {folder.parent}")
    with engine_errors(f"New collection in {folder}"):
        edge.EdgeShard.create(str(folder / SHARD_FOLDER), convert_config(config)).close()


class EdgeCollection:
    """A collection, opened on first use and then kept open. Safe to share between threads.

    Args:
        folder: Folder of this collection.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where = f"Collection {folder.name} in {folder.parent}"
        self._lock = threading.RLock()
        # The engine applies one operation at a time, so this lock costs writers nothing. A snapshot holds it together
        # with the lock on optimizing, so that no file changes while it is taken.
        self._writing = threading.Lock()
        self._optimizing = threading.Lock()
        self._shard: edge.EdgeShard | None = None
        self._is_closed = False
        self._unflushed = 0
        content = read_json(folder / COLLECTION_FILE)
        try:
            self._settings = CollectionSettings.from_json(content)
        except (KeyError, AttributeError, ValueError, TypeError, RecursionError) as error:
            raise self._damaged(f"{COLLECTION_FILE} is not readable ({error})") from error
        config = self._settings.config
        self.schema = VectorSchema.from_config(config.vectors, config.sparse_vectors)
        # every point is written twice: to the log and to a segment
        self._point_size = 2 * (_PAYLOAD_SIZE + 4 * sum(self.schema.dense.values()))

    def _damaged(self, why: str) -> StorageError:
        return StorageError(
            f"{self._where} is damaged: {why}. Recover a snapshot of it, restore {self._folder} from a backup, "
            "or delete the collection and add its points again."
        )

    def _open(self) -> edge.EdgeShard:
        shard = self._shard
        if shard is not None:
            return shard
        with self._lock:
            if self._is_closed:
                raise RuntimeError(f"{self._where} was closed, deleted or replaced meanwhile")
            if self._shard is None:
                self._shard = self._load()
            return self._shard

    def _load(self) -> edge.EdgeShard:
        path = self._folder / SHARD_FOLDER
        check_space_to_open(self._folder, self._where)
        # the engine opens a shard without segments as an empty one
        if not any((path / "segments").glob("*/")):
            raise self._damaged("its segments are missing")
        try:
            with engine_errors(self._where):
                return edge.EdgeShard.load(str(path))
        except (StorageError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def close(self) -> None:
        """Write everything to disk and close."""
        with self._lock:
            self._is_closed = True
            shard, self._shard = self._shard, None
        if shard is not None:
            with engine_errors(self._where):
                try:
                    shard.flush()
                finally:
                    shard.close()

    # --- settings -----------------------------------------------------------------------------------------

    def info(self) -> models.CollectionInfo:
        """Describe the collection."""
        with engine_errors(self._where):
            info = self._open().info()
        return info_from_edge(info, self._settings.config.model_copy(deep=True), self._settings.index_params)

    def update_metadata(self, metadata: dict[str, Any]) -> None:
        """Merge top-level keys into the metadata; None removes a key."""
        with self._lock:
            self._save(self._settings.with_metadata(metadata))

    def _save(self, settings: CollectionSettings) -> None:
        write_json(self._folder / COLLECTION_FILE, settings.to_json())
        self._settings = settings

    def _save_index_params(self, settings: CollectionSettings) -> None:
        if settings.index_params != self._settings.index_params:
            self._save(settings)

    def create_index(self, field: str, schema: models.PayloadSchemaType | models.PayloadSchemaParams) -> None:
        """Index a payload field, replacing an index of another type."""
        with self._lock:
            self._update(_Operation.create_field_index(field, convert_index_schema(schema)))
            self._save_index_params(self._settings.with_index(field, schema))

    def delete_index(self, field: str) -> None:
        """Remove the index on a payload field, if there is one."""
        with self._lock:
            self._update(_Operation.delete_field_index(field))
            self._save_index_params(self._settings.without_index(field))

    def optimize(self) -> bool:
        """Build the indexes that are due; return whether anything was done."""
        with self._optimizing, engine_errors(self._where):
            check_space_to_write(self._folder, self._where, allocated_size(self._folder))
            return self._open().optimize()

    def frozen(self, read: Callable[[Path], _Read]) -> _Read:
        """Call ``read`` on the collection's folder, flushed and protected from changes, and return its result."""
        with self._optimizing, self._lock, self._writing:
            with engine_errors(self._where):
                self._open().flush()
            return read(self._folder)

    # --- writing ------------------------------------------------------------------------------------------

    def _update(self, operation: edge.UpdateOperation, points: int = 0) -> None:
        shard = self._open()
        with self._writing, engine_errors(self._where):
            check_space_to_write(self._folder, self._where, points * self._point_size)
            shard.update(operation)
            self._unflushed += points
            if self._unflushed >= _FLUSH_EVERY:
                self._unflushed = 0
                shard.flush()

    def prepare_upsert(self, points: Any, condition: models.Filter | None, mode: models.UpdateMode | None) -> Write:
        """Check all points and return a function that writes them."""
        converted = convert_points(points, self.schema)
        operation = _Operation.upsert_points(converted, convert_filter(condition), convert_update_mode(mode))
        return partial(self._update, operation, len(converted))

    def prepare_vector_update(self, points: Sequence[models.PointVectors], condition: models.Filter | None) -> Write:
        """Check vectors and return a function that replaces them; the points keep their other vectors."""
        if len(points) == 0:
            raise ValueError("must specify points to update")
        converted = [
            edge.PointVectors(
                convert_id(point.id),
                convert_vectors(point.vector, self.schema, f"point {point.id}"),
            )
            for point in points
        ]
        return partial(self._update, _Operation.update_vectors(converted, convert_filter(condition)), len(converted))

    def update_selected(self, operation: str, selector: Any, *arguments: Any) -> None:
        """Apply an engine operation to the selected points.

        Args:
            operation: Name of an operation that also exists with the suffix ``_by_filter``.
            selector: List of ids, PointIdsList, Filter, or FilterSelector.
            arguments: Remaining arguments of the operation.
        """
        if isinstance(selector, models.PointIdsList):
            selector = selector.points
        elif isinstance(selector, models.FilterSelector):
            selector = selector.filter
        if isinstance(selector, models.Filter):
            by_filter = getattr(_Operation, f"{operation}_by_filter")
            self._update(by_filter(required_filter(selector), *arguments))
        elif isinstance(selector, (list, tuple)):
            if not selector:
                raise ValueError("Empty update request")
            ids = convert_ids(selector)
            self._update(getattr(_Operation, operation)(ids, *arguments), len(ids))
        else:
            raise ValueError(f"Unsupported selector type: {type(selector)}")  # noqa: TRY004

    # --- reading ------------------------------------------------------------------------------------------

    def _with_vectors(self, selector: Any) -> edge.WithVectorType:
        converted = convert_with_vectors(selector)
        if isinstance(converted, list):
            self.schema.check_names(converted)
        return converted

    def query(self, requests: Sequence[models.QueryRequest], lookup: Lookup) -> list[QueryResponse]:
        """Answer several queries with one call to the engine."""
        if not requests:
            return []
        converter = QueryConverter(self.schema, lookup)
        selectors = [self._with_vectors(request.with_vector) for request in requests]
        converted = [
            converter.request(request, selector, convert_with_payload(request.with_payload))
            for request, selector in zip(requests, selectors, strict=True)
        ]
        try:
            with engine_errors(self._where):
                answers = self._open().query_batch(edge.QueryBatchRequest(converted))
                return list(map(response_from_edge, answers, selectors))
        except StorageError as error:
            if _CANCELLED in str(error) and any(has_formula(request) for request in requests):
                raise ValueError(
                    "The formula could not be evaluated for a point: it has a variable without a number in the "
                    "payload or in the defaults, or its value is not finite"
                ) from error
            raise

    def vector(self, point_id: Any, name: str) -> Any:
        """Return a point's stored vector to search with."""
        self.schema.check_names([name])
        with engine_errors(self._where):
            records = self._open().retrieve([convert_id(point_id)], False, [name])
        if not records:
            raise ValueError(f"Point {point_id} is not found in the collection")
        vectors: Any = records[0].vector
        vector = vectors.get(name) if isinstance(vectors, dict) else vectors
        if vector is None:
            raise ValueError(f"Vector with name {name} for point {point_id} not found")
        return vector_from_edge(vector)

    def scroll(
        self,
        scroll_filter: models.Filter | None,
        limit: int,
        order_by: str | models.OrderBy | None,
        offset: Any,
        with_payload: Any,
        with_vectors: Any,
    ) -> tuple[list[models.Record], int | str | None]:
        """Return one page of points, ordered by id or by a payload field, and the id that the next page starts at."""
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        if order_by is not None and offset is not None:
            raise ValueError("Offset is not supported in conjunction with `order_by` scroll parameter")
        request = edge.ScrollRequest(
            offset=None if offset is None else convert_id(offset),
            limit=limit,
            filter=convert_filter(scroll_filter),
            with_payload=convert_with_payload(with_payload),
            with_vector=self._with_vectors(with_vectors),
            order_by=None if order_by is None else convert_order_by(order_by),
        )
        with engine_errors(self._where):
            records, next_id = self._open().scroll(request)
            found = [record_from_edge(record) for record in records]
        return found, None if next_id is None or order_by is not None else id_from_edge(next_id)

    def retrieve(self, ids: Sequence[Any], with_payload: Any, with_vectors: Any) -> list[models.Record]:
        """Return points in the order of ``ids``; unknown ids are left out."""
        wanted = convert_ids(ids)
        with engine_errors(self._where):
            records = self._open().retrieve(
                wanted, convert_with_payload(with_payload), self._with_vectors(with_vectors)
            )
            by_id = {record.id: record for record in records}  # the engine returns a repeated id only once
            return [record_from_edge(by_id[point_id]) for point_id in wanted if point_id in by_id]

    def count(self, count_filter: models.Filter | None, *, exact: bool) -> int:
        """Count the matching points."""
        request = edge.CountRequest(exact=exact, filter=convert_filter(count_filter))
        with engine_errors(self._where):
            return self._open().count(request)

    def facet(self, key: str, facet_filter: models.Filter | None, limit: int, *, exact: bool) -> models.FacetResponse:
        """Count points per value of an indexed payload field."""
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        request = edge.FacetRequest(key, limit, exact, convert_filter(facet_filter))
        with engine_errors(self._where):
            hits = self._open().facet(request).hits
        # the engine also lists values that only filtered-out points have, with a count of zero
        found = [models.FacetValueHit(value=hit.value, count=hit.count) for hit in hits if hit.count]
        return models.FacetResponse(hits=found)

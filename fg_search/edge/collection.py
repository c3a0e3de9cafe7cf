"""One collection of an :class:`~fg_search.edge.client.EdgeClient`: a Qdrant Edge shard and its settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is fastembed's

from fg_search.edge.collection_settings import CollectionSettings
from fg_search.edge.convert.config import info_from_edge
from fg_search.edge.convert.filters import convert_filter, required_filter
from fg_search.edge.convert.payload_indexes import convert_index_schema
from fg_search.edge.convert.points import (
    convert_id,
    convert_ids,
    convert_points,
    convert_update_mode,
    convert_vectors,
)
from fg_search.edge.convert.queries import convert_order_by
from fg_search.edge.convert.results import (
    convert_with_payload,
    convert_with_vectors,
    id_from_edge,
    record_from_edge,
    vector_from_edge,
)
from fg_search.edge.convert.vector_queries import Lookup
from fg_search.edge.disk_space import allocated_size, check_space_to_open, check_space_to_write
from fg_search.edge.engine_errors import ShardClosedError, engine_errors
from fg_search.edge.errors import StorageError
from fg_search.edge.folder import COLLECTION_FILE, SHARD_FOLDER
from fg_search.edge.garbage import no_collections
from fg_search.edge.json_files import read_json, write_json
from fg_search.edge.search.searcher import Searcher
from fg_search.edge.shards import build_shard, close_shard, copy_points, engine_config, follow
from fg_search.edge.write_counter import WriteCounter

_FLUSH_EVERY = 100_000  # points; flushing them takes about 0.1 s, replaying them from the log would take seconds
_PAYLOAD_SIZE = 2048  # bytes per point, sparse vectors included; a rough upper bound for the free-space check
_Operation = edge.UpdateOperation
_Result = TypeVar("_Result")
Write = Callable[[], None]
Change = Callable[[CollectionSettings], CollectionSettings]


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
        self._writes = WriteCounter()
        self._optimizing = threading.Lock()
        self._shard: edge.EdgeShard | None = None
        self._is_closed = False
        self._unflushed = 0
        content = read_json(folder / COLLECTION_FILE)
        try:
            self._settings = CollectionSettings.from_json(content)
        except (KeyError, AttributeError, ValueError, TypeError, RecursionError) as error:
            raise self._damaged(f"{COLLECTION_FILE} is not readable ({error})") from error
        self.schema = self._settings.schema

    def _damaged(self, why: str) -> StorageError:
        return StorageError(
            f"{self._where} is damaged: {why}. Recover a snapshot of it, restore {self._folder} from a backup, "
            "or delete the collection and add its points again."
        )

    @property
    def _point_size(self) -> int:
        # every point is written twice: to the log and to a segment
        return 2 * (_PAYLOAD_SIZE + 4 * sum(self.schema.dense.values()))

    def _open(self) -> edge.EdgeShard:
        shard = self._shard
        if shard is not None:
            return shard
        with self._lock:
            if self._is_closed:
                raise ShardClosedError(f"{self._where} was closed, deleted or replaced meanwhile")
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
                shard = edge.EdgeShard.load(str(path))
                return shard if self._settings.pending is None else self._caught_up(shard)
        except (StorageError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def _caught_up(self, shard: edge.EdgeShard) -> edge.EdgeShard:
        """Make the engine follow the settings, and record that it does."""
        shard = follow(shard, self._folder / SHARD_FOLDER, self._settings)
        self._save(replace(self._settings, pending=None))
        return shard

    def _use(self, use: Callable[[edge.EdgeShard], _Result]) -> _Result:
        """Call ``use`` with the open shard, and again if :meth:`change` closed it first."""
        while True:
            shard = self._open()
            try:
                with engine_errors(self._where):
                    return use(shard)
            except ShardClosedError:
                if self._is_closed or self._shard is shard:
                    raise

    def close(self) -> None:
        """Write everything to disk and close."""
        with self._lock:
            self._is_closed = True
            shard, self._shard = self._shard, None
        if shard is not None:
            with engine_errors(self._where):
                close_shard(shard)

    # --- settings -----------------------------------------------------------------------------------------

    def info(self) -> models.CollectionInfo:
        """Describe the collection."""
        info = self._use(lambda shard: shard.info())
        return info_from_edge(info, self._settings.config.model_copy(deep=True), self._settings.index_params)

    def update_metadata(self, metadata: dict[str, Any]) -> None:
        """Merge top-level keys into the metadata; None removes a key."""
        with self._lock:
            self._save(self._settings.with_metadata(metadata))

    def change(self, change: Change) -> None:
        """Change vector names or settings of the engine; searches in other threads go on.

        The new settings are saved first. If the process dies before the engine has followed, it follows when the
        collection is next opened.
        """
        with self._optimizing, self._lock, self._writing, self._writes.write():
            shard, old = self._open(), self._settings
            new = change(old)
            if new == old:
                return
            check_space_to_write(self._folder, self._where)
            engine_config(new.config)  # refused before anything is saved
            self._save(new)
            self._shard = None  # so that calls in other threads wait for the new one
            try:
                with engine_errors(self._where):
                    self._shard = self._caught_up(shard)
            except BaseException:
                with suppress(Exception):  # closed already, if loading it again failed
                    close_shard(shard)
                self._save(old)  # the next call opens the shard anew
                raise

    def copy_into(self, folder: Path, change: Change) -> None:
        """Build a copy with changed settings, then close; no write comes between."""
        with self._optimizing, self._lock, self._writing:
            settings = replace(change(self._settings), pending=None)  # the copy is made with them
            check_space_to_write(folder, self._where, 2 * allocated_size(self._folder))
            build_shard(folder, settings.config)
            with engine_errors(self._where):
                copy_points(self._open(), folder / SHARD_FOLDER, settings)
            write_json(folder / COLLECTION_FILE, settings.to_json())
            self.close()

    @property
    def settings(self) -> CollectionSettings:
        """The current settings."""
        return self._settings

    def _save(self, settings: CollectionSettings) -> None:
        write_json(self._folder / COLLECTION_FILE, settings.to_json())
        self._settings = settings
        self.schema = settings.schema

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

    def frozen(self, read: Callable[[Path], _Result]) -> _Result:
        """Call ``read`` on the collection's folder, flushed and protected from changes, and return its result."""
        with self._optimizing, self._lock, self._writing:
            with engine_errors(self._where):
                self._open().flush()
            return read(self._folder)

    # --- writing ------------------------------------------------------------------------------------------

    def _update(self, operation: edge.UpdateOperation, points: int = 0) -> None:
        def write(shard: edge.EdgeShard) -> None:
            with self._writing:
                check_space_to_write(self._folder, self._where, points * self._point_size)
                with self._writes.write():
                    shard.update(operation)
                self._unflushed += points
                if self._unflushed >= _FLUSH_EVERY:
                    self._unflushed = 0
                    shard.flush()

        self._use(write)

    def prepare_upsert(self, points: Any, condition: models.Filter | None, mode: models.UpdateMode | None) -> Write:
        """Check all points and return a function that writes them."""
        with no_collections():
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
        """Answer several queries."""
        return self._use(lambda shard: Searcher(shard, self.schema, lookup, self._writes).answer(requests))

    def vector(self, point_id: Any, name: str) -> Any:
        """Return a point's stored vector to search with."""
        self.schema.check_names([name])
        wanted = convert_id(point_id)
        records = self._use(lambda shard: shard.retrieve([wanted], False, [name]))
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
        with engine_errors(self._where):
            request = edge.ScrollRequest(
                offset=None if offset is None else convert_id(offset),
                limit=limit,
                filter=convert_filter(scroll_filter),
                with_payload=convert_with_payload(with_payload),
                with_vector=self._with_vectors(with_vectors),
                order_by=None if order_by is None else convert_order_by(order_by),
            )
        records, next_id = self._use(lambda shard: shard.scroll(request))
        found = [record_from_edge(record) for record in records]
        return found, None if next_id is None or order_by is not None else id_from_edge(next_id)

    def retrieve(self, ids: Sequence[Any], with_payload: Any, with_vectors: Any) -> list[models.Record]:
        """Return points in the order of ``ids``; unknown ids are left out."""
        wanted = convert_ids(ids)
        selectors = convert_with_payload(with_payload), self._with_vectors(with_vectors)
        records = self._use(lambda shard: shard.retrieve(wanted, *selectors))
        by_id = {record.id: record for record in records}  # the engine returns a repeated id only once
        return [record_from_edge(by_id[point_id]) for point_id in wanted if point_id in by_id]

    def count(self, count_filter: models.Filter | None, *, exact: bool) -> int:
        """Count the matching points."""
        request = edge.CountRequest(exact=exact, filter=convert_filter(count_filter))
        return self._use(lambda shard: shard.count(request))

    def facet(self, key: str, facet_filter: models.Filter | None, limit: int) -> models.FacetResponse:
        """Count points per value of an indexed payload field."""
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        # an estimate leaves out values of a field that has many, and saves little time
        with engine_errors(self._where):
            request = edge.FacetRequest(key, limit, exact=True, filter=convert_filter(facet_filter))
        hits = self._use(lambda shard: shard.facet(request)).hits
        # the engine also lists values that only filtered-out points have, with a count of zero
        found = [models.FacetValueHit(value=hit.value, count=hit.count) for hit in hits if hit.count]
        return models.FacetResponse(hits=found)

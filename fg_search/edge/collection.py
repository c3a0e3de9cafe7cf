"""One collection of an :class:`~fg_search.edge.client.EdgeClient`: a Qdrant Edge shard and its settings."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as edge
from pydantic import TypeAdapter
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is that of fastembed

from fg_search.edge.convert import points as convert
from fg_search.edge.convert.config import convert_config, convert_index_schema, info_from_edge
from fg_search.edge.convert.filters import convert_filter, required_filter
from fg_search.edge.convert.queries import Lookup, QueryConverter, convert_order_by, has_formula
from fg_search.edge.disk_space import allocated_size, check_space_to_open, check_space_to_write
from fg_search.edge.errors import FgSearchError, StorageError
from fg_search.edge.folder import COLLECTION_FILE, SHARD_FOLDER, read_json, write_json
from fg_search.edge.vectors import VectorSchema

# how the engine's messages begin when the fault is not in the request
_FAULTS = ("Service runtime error", "Inconsistent storage", "Out of memory", "IO Error", "Operation cancelled")
_NO_ROOM = re.compile(r"\b(?:os error|code:) (?:27|28|122)\b")  # EFBIG, ENOSPC, EDQUOT, in the words of Rust
_CANCELLED = "process cancelled by service"  # all that the engine says when a formula fails on a point
_MISSING_POINT = re.compile(r"No point with id (\S+)")
# written to the log only, that many points take some 0.1 s to flush and would take seconds to replay
_FLUSH_EVERY = 100_000
_PAYLOAD_SIZE = 2048  # of a point, with its sparse vectors; a rough upper bound, to tell whether the disk has room
_INDEX_PARAMS: TypeAdapter[models.PayloadSchemaParams] = TypeAdapter(models.PayloadSchemaParams)
_Operation = edge.UpdateOperation
_Read = TypeVar("_Read")
Write = Callable[[], None]


def _advice(message: str) -> str:
    if _NO_ROOM.search(message):
        return ". Free some space on the disk and open the folder again; what was written before is safe."
    return ". If this happens again its files are damaged: recover a snapshot, or restore the folder from a backup."


@contextmanager
def engine_errors(where: str) -> Iterator[None]:
    """Turn the engine's bare ``Exception`` into what local mode would raise, or a StorageError."""
    try:
        yield
    except FgSearchError:
        raise
    except BaseException as error:
        message = str(error)
        if type(error).__name__ == "PanicException":  # the engine's Rust code; not an Exception for Python
            raise StorageError(f"{where}: the engine failed: {message}") from error
        if type(error) is not Exception:
            raise
        if "Shard is not initialized" in message:
            raise RuntimeError(f"{where} was closed, deleted or replaced meanwhile") from error
        missing = _MISSING_POINT.search(message)
        if missing is not None:  # as local mode: the other points of the request are written
            point_id = missing.group(1)
            raise KeyError(int(point_id) if point_id.isdigit() else point_id) from error
        if message.startswith(_FAULTS):
            raise StorageError(f"{where}: {message}{_advice(message)}") from error
        raise ValueError(message) from error


def build_shard(folder: Path, config: models.CreateCollection) -> None:
    """Write the engine's files of an empty collection."""
    check_space_to_write(folder, f"New collection in {folder.parent}")
    with engine_errors(f"New collection in {folder}"):
        edge.EdgeShard.create(str(folder / SHARD_FOLDER), convert_config(config)).close()


def collection_content(
    config: models.CreateCollection, payload_schema: dict[str, models.PayloadSchemaParams]
) -> dict[str, Any]:
    """Return what a collection's JSON file holds."""
    return {
        "config": config.model_dump(mode="json", exclude_none=True),
        "payload_schema": {
            field: params.model_dump(mode="json", exclude_none=True) for field, params in payload_schema.items()
        },
    }


class EdgeCollection:
    """A collection, opened when it is first used and kept open. Safe to share between threads.

    Args:
        folder: The collection's own folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where = f"Collection {folder.name} in {folder.parent}"
        self._lock = threading.RLock()
        # the engine writes one operation after the other, so a lock of our own costs writers nothing; with the two
        # locks a snapshot keeps every change of the files away
        self._writing = threading.Lock()
        self._optimizing = threading.Lock()
        self._shard: edge.EdgeShard | None = None
        self._is_closed = False
        self._unflushed = 0
        content = read_json(folder / COLLECTION_FILE)
        try:
            self._config = models.CreateCollection.model_validate(content["config"])
            self._payload_schema = {
                field: _INDEX_PARAMS.validate_python(params) for field, params in content["payload_schema"].items()
            }
        except (KeyError, AttributeError, ValueError) as error:
            raise self._damaged(f"{COLLECTION_FILE} is not readable ({error})") from error
        self.schema = VectorSchema.of(self._config.vectors, self._config.sparse_vectors)
        # in the log and in the segment
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
        # the engine opens a shard whose segments are gone as an empty one
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
        return info_from_edge(info, self._config.model_copy(deep=True), self._payload_schema)

    def update_metadata(self, metadata: dict[str, Any]) -> None:
        """Merge the top-level keys of metadata, as the server does; a None removes the key."""
        with self._lock:
            merged = dict(self._config.metadata or {})
            for key, value in metadata.items():
                if value is None:
                    merged.pop(key, None)
                else:
                    merged[key] = value
            config = self._config.model_copy(update={"metadata": merged})
            self._save(config, self._payload_schema)

    def _save(self, config: models.CreateCollection, payload_schema: dict[str, models.PayloadSchemaParams]) -> None:
        write_json(self._folder / COLLECTION_FILE, collection_content(config, payload_schema))
        self._config, self._payload_schema = config, payload_schema

    def create_index(self, field: str, schema: models.PayloadSchemaType | models.PayloadSchemaParams) -> None:
        """Index a payload field; an index of another type is replaced."""
        with self._lock:
            self._update(_Operation.create_field_index(field, convert_index_schema(schema)))
            others = {name: params for name, params in self._payload_schema.items() if name != field}
            if not isinstance(schema, models.PayloadSchemaType):
                others[field] = schema.model_copy(deep=True)
            if others != self._payload_schema:
                self._save(self._config, others)

    def delete_index(self, field: str) -> None:
        """Remove the index of a payload field, if there is one."""
        with self._lock:
            self._update(_Operation.delete_field_index(field))
            if field in self._payload_schema:
                others = {name: params for name, params in self._payload_schema.items() if name != field}
                self._save(self._config, others)

    def optimize(self) -> bool:
        """Build the indexes that pay by now; return whether anything was done."""
        with self._optimizing, engine_errors(self._where):
            check_space_to_write(self._folder, self._where, allocated_size(self._folder))
            return self._open().optimize()

    def frozen(self, read: Callable[[Path], _Read]) -> _Read:
        """Return what ``read`` makes of the collection's folder, in which all is written and nothing changes."""
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

    def upserting(self, points: Any, condition: models.Filter | None, mode: models.UpdateMode | None) -> Write:
        """Check all points; the call of what is returned writes all of them."""
        converted = convert.convert_points(points, self.schema)
        operation = _Operation.upsert_points(converted, convert_filter(condition), convert.convert_update_mode(mode))
        return partial(self._update, operation, len(converted))

    def updating_vectors(self, points: Sequence[models.PointVectors], condition: models.Filter | None) -> Write:
        """Check vectors; the call of what is returned replaces them, the other vectors of the points stay."""
        if len(points) == 0:
            raise ValueError("must specify points to update")
        converted = [
            edge.PointVectors(
                convert.convert_id(point.id),
                convert.convert_vectors(point.vector, self.schema, f"point {point.id}"),
            )
            for point in points
        ]
        return partial(self._update, _Operation.update_vectors(converted, convert_filter(condition)), len(converted))

    def update_selected(self, operation: str, selector: Any, *arguments: Any) -> None:
        """Apply one of the engine's operations to the points that a selector names.

        Args:
            operation: Name of an operation that also exists with the suffix ``_by_filter``.
            selector: List of ids, PointIdsList, Filter, or FilterSelector.
            arguments: What else the operation takes.
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
            ids = convert.convert_ids(selector)
            self._update(getattr(_Operation, operation)(ids, *arguments), len(ids))
        else:
            raise ValueError(f"Unsupported selector type: {type(selector)}")  # noqa: TRY004

    # --- reading ------------------------------------------------------------------------------------------

    def _with_vectors(self, selector: Any) -> edge.WithVectorType:
        converted = convert.convert_with_vectors(selector)
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
            converter.request(request, selector, convert.convert_with_payload(request.with_payload))
            for request, selector in zip(requests, selectors, strict=True)
        ]
        try:
            with engine_errors(self._where):
                answers = self._open().query_batch(edge.QueryBatchRequest(converted))
                return list(map(convert.response_from_edge, answers, selectors))
        except StorageError as error:
            if _CANCELLED in str(error) and any(has_formula(request) for request in requests):
                raise ValueError(
                    "The formula could not be evaluated for a point: it has a variable without a number in the "
                    "payload or in the defaults, or its value is not finite"
                ) from error
            raise

    def vector(self, point_id: Any, name: str) -> Any:
        """Return the stored vector of a point, to search with."""
        self.schema.check_names([name])
        with engine_errors(self._where):
            records = self._open().retrieve([convert.convert_id(point_id)], False, [name])
        if not records:
            raise ValueError(f"Point {point_id} is not found in the collection")
        vectors: Any = records[0].vector
        vector = vectors.get(name) if isinstance(vectors, dict) else vectors
        if vector is None:
            raise ValueError(f"Vector with name {name} for point {point_id} not found")
        return convert.vector_from_edge(vector)

    def scroll(
        self,
        scroll_filter: models.Filter | None,
        limit: int,
        order_by: str | models.OrderBy | None,
        offset: Any,
        with_payload: Any,
        with_vectors: Any,
    ) -> tuple[list[models.Record], int | str | None]:
        """Return points in the order of their ids or of a payload field, and the id to go on from."""
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        if order_by is not None and offset is not None:
            raise ValueError("Offset is not supported in conjunction with `order_by` scroll parameter")
        request = edge.ScrollRequest(
            offset=None if offset is None else convert.convert_id(offset),
            limit=limit,
            filter=convert_filter(scroll_filter),
            with_payload=convert.convert_with_payload(with_payload),
            with_vector=self._with_vectors(with_vectors),
            order_by=None if order_by is None else convert_order_by(order_by),
        )
        with engine_errors(self._where):
            records, following = self._open().scroll(request)
            found = [convert.record_from_edge(record) for record in records]
        return found, None if following is None or order_by is not None else convert.id_from_edge(following)

    def retrieve(self, ids: Sequence[Any], with_payload: Any, with_vectors: Any) -> list[models.Record]:
        """Return the points of these ids in this order; missing ones are left out."""
        wanted = convert.convert_ids(ids)
        with engine_errors(self._where):
            records = self._open().retrieve(
                wanted, convert.convert_with_payload(with_payload), self._with_vectors(with_vectors)
            )
            by_id = {record.id: record for record in records}  # the engine returns an id asked twice once
            return [convert.record_from_edge(by_id[one]) for one in wanted if one in by_id]

    def count(self, count_filter: models.Filter | None, *, exact: bool) -> int:
        """Count the points that match."""
        request = edge.CountRequest(exact=exact, filter=convert_filter(count_filter))
        with engine_errors(self._where):
            return self._open().count(request)

    def facet(self, key: str, facet_filter: models.Filter | None, limit: int, *, exact: bool) -> models.FacetResponse:
        """Count the points of each value of an indexed payload field."""
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        request = edge.FacetRequest(key, limit, exact, convert_filter(facet_filter))
        with engine_errors(self._where):
            hits = self._open().facet(request).hits
        # the engine lists the values of points that the filter leaves out, too, with a count of zero
        found = [models.FacetValueHit(value=hit.value, count=hit.count) for hit in hits if hit.count]
        return models.FacetResponse(hits=found)

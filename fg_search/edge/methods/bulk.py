"""EdgeClient methods that write in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any
from uuid import uuid4

import numpy as np
from qdrant_client import models
from qdrant_client.common.validation import require_length, vectors_length
from qdrant_client.local.json_path_parser import parse_json_path

from fg_search.edge.collection import Write
from fg_search.edge.methods.base import DONE, check_options
from fg_search.edge.methods.points import PointMethods
from fg_search.edge.signatures import THEIRS, signature_of


class BulkMethods(PointMethods):
    """Batches of operations, and uploads from columns."""

    @signature_of(THEIRS.batch_update_points)
    def batch_update_points(
        self, collection_name: str, update_operations: Sequence[models.UpdateOperation], **kwargs: Any
    ) -> list[models.UpdateResult]:
        """Apply several operations in order.

        All points and vectors are checked before the first operation is applied. If an operation still fails, the
        operations before it remain applied.
        """
        check_options("batch_update_points", kwargs)
        self._collection(collection_name)
        for write in [_prepare(self, collection_name, operation) for operation in update_operations]:
            write()
        return [DONE.model_copy() for _ in update_operations]

    @signature_of(THEIRS.upload_collection)
    def upload_collection(
        self,
        collection_name: str,
        vectors: Any,
        payload: Iterable[dict[str, Any]] | None = None,
        ids: Iterable[int | str] | None = None,
        batch_size: int = 64,
        **kwargs: Any,
    ) -> None:
        """Write points given as columns, with ``batch_size`` of them in memory at a time.

        Args:
            collection_name: Collection to write to.
            vectors: Array with a row per point, dict of name → array, or iterable of the vectors of each point.
            payload: Payload of each point.
            ids: Id of each point; random UUIDs by default.
            batch_size: Number of points per write.
            **kwargs: Passed on to :meth:`upload_points`.

        Raises:
            ValueError: There are fewer ids or payloads than vectors, or a point is invalid.
        """
        size = vectors_length(vectors)  # None for a stream, where the shortest column decides
        if size is not None:
            ids, payload = require_length(ids, size, "ids"), require_length(payload, size, "payload")
        points = (
            models.PointStruct.model_construct(id=point_id, vector={} if vector is None else vector, payload=content)
            for point_id, vector, content in zip(
                (str(uuid4()) for _ in repeat(None)) if ids is None else ids,
                _rows(vectors),
                repeat(None) if payload is None else payload,
                strict=False,
            )
        )
        self.upload_points(collection_name, points, batch_size, **kwargs)


def _rows(vectors: Any) -> Iterator[Any]:
    if not isinstance(vectors, Mapping):
        return iter(vectors)
    columns = {name: np.asarray(column) for name, column in vectors.items()}
    if len({len(column) for column in columns.values()}) != 1:
        raise ValueError("Each named vector should have the same number of vectors")
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _selector(operation: Any) -> Any:
    if operation.points is not None:
        return operation.points
    if operation.filter is None:
        raise ValueError("No filter or points provided")
    return operation.filter


def _upsert(client: PointMethods, name: str, upsert: models.PointsBatch | models.PointsList) -> Callable[[], Any]:
    points = upsert.batch if isinstance(upsert, models.PointsBatch) else upsert.points
    if points == []:  # refused when it is applied
        return lambda: client.upsert(name, points)
    return client._collection(name).prepare_upsert(points, upsert.update_filter, upsert.update_mode)


def _update_vectors(client: PointMethods, name: str, update: models.UpdateVectors) -> Write:
    return client._collection(name).prepare_vector_update(update.points, update.update_filter)


def _set_payload(client: PointMethods, name: str, change: models.SetPayload) -> Callable[[], Any]:
    if change.key is not None:
        parse_json_path(change.key)
    return partial(client.set_payload, name, change.payload, _selector(change), change.key)


def _overwrite_payload(client: PointMethods, name: str, change: models.SetPayload) -> Callable[[], Any]:
    return partial(client.overwrite_payload, name, change.payload, _selector(change))


def _delete_payload(client: PointMethods, name: str, change: models.DeletePayload) -> Callable[[], Any]:
    for key in change.keys:
        parse_json_path(key)
    return partial(client.delete_payload, name, change.keys, _selector(change))


def _delete_vectors(client: PointMethods, name: str, change: models.DeleteVectors) -> Callable[[], Any]:
    if not change.vector:
        raise ValueError("must specify vector names to delete")
    return lambda: client.delete_vectors(name, change.vector, _selector(change))


# type of operation -> name of its only field, function that checks it and returns the write
_OPERATIONS: dict[type, tuple[str, Callable[[PointMethods, str, Any], Callable[[], Any]]]] = {
    models.UpsertOperation: ("upsert", _upsert),
    models.UpdateVectorsOperation: ("update_vectors", _update_vectors),
    models.DeleteVectorsOperation: ("delete_vectors", _delete_vectors),
    models.DeleteOperation: ("delete", lambda client, name, points: partial(client.delete, name, points)),
    models.SetPayloadOperation: ("set_payload", _set_payload),
    models.OverwritePayloadOperation: ("overwrite_payload", _overwrite_payload),
    models.DeletePayloadOperation: ("delete_payload", _delete_payload),
    models.ClearPayloadOperation: (
        "clear_payload",
        lambda client, name, points: partial(client.clear_payload, name, points),
    ),
}


def _prepare(client: PointMethods, name: str, operation: Any) -> Callable[[], Any]:
    """Check an operation as far as possible before earlier ones are applied, and return the write."""
    if type(operation) not in _OPERATIONS:
        raise ValueError(f"Unsupported update operation: {type(operation)}")
    field, prepare = _OPERATIONS[type(operation)]
    content = getattr(operation, field)
    check_options(field, {"shard_key_selector": content.shard_key}, "shard_key_selector")
    return prepare(client, name, content)

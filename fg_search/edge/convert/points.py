"""Points, ids and payloads of ``qdrant_client.models``, checked and converted to those of Qdrant Edge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as edge
from pydantic_core import to_jsonable_python
from qdrant_client import models

from fg_search.edge.vector_schema import DEFAULT_VECTOR_NAME, VectorSchema

_UPDATE_MODES = {
    models.UpdateMode.UPSERT: edge.UpdateMode.Upsert,
    models.UpdateMode.INSERT_ONLY: edge.UpdateMode.InsertOnly,
    models.UpdateMode.UPDATE_ONLY: edge.UpdateMode.UpdateOnly,
    None: None,
}
_MAX_ID = 2**64 - 1


def convert_id(point_id: Any) -> edge.PointId:
    """Check a point id: an unsigned 64-bit integer, a UUID, or a UUID as a string."""
    if isinstance(point_id, UUID):
        return point_id
    if isinstance(point_id, str):
        try:
            return UUID(point_id)
        except ValueError:
            raise ValueError(f"Point id {point_id} is not a valid UUID") from None
    if isinstance(point_id, bool) or not isinstance(point_id, int):
        raise TypeError(f"Incompatible point id type: {type(point_id)}")
    if not 0 <= point_id <= _MAX_ID:
        raise ValueError(f"Point id {point_id} is not an unsigned 64-bit integer")
    return point_id


def is_id(value: Any) -> bool:
    """Whether a value is a valid point id."""
    try:
        convert_id(value)
    except (TypeError, ValueError):
        return False
    return True


def convert_ids(point_ids: Iterable[Any]) -> list[edge.PointId]:
    """Check several point ids."""
    return [convert_id(point_id) for point_id in point_ids]


def _json_value(value: Any) -> Any:
    """Convert a value that JSON lacks: a date to a string, an array to lists."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else to_jsonable_python(value)


_NESTED = frozenset((dict, list, tuple))
_JSON = _NESTED | {str, int, float, bool, type(None)}
_MAX_DEPTH = 100  # levels of a payload; with about twenty more the engine cannot read its own log


def json_payload(payload: Any, where: str) -> Any:
    """Return a payload or metadata as plain JSON values.

    Dates, UUIDs, bytes and decimals become strings, as on a server and in local mode.

    Raises:
        ValueError: A value cannot be JSON, such as NaN or infinity, or the nesting is too deep.
    """
    try:
        text = json.dumps(payload, allow_nan=False, ensure_ascii=False, default=_json_value)
        value = json.loads(text.encode())  # the engine refuses a lone surrogate; so does encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON: {error}") from error
    is_json(value, where)
    return value


def is_json(payload: Any, where: str) -> bool:
    """Whether a payload consists of JSON values alone.

    The engine takes whatever looks like a number or a sequence: bytes would become a list of integers, a decimal a
    float.

    Raises:
        ValueError: It is nested deeper than the engine could read back from its log.
    """
    level = [payload] if type(payload) in _NESTED else []
    are_json = type(payload) in _JSON
    for _ in range(_MAX_DEPTH):
        next_level: list[Any] = []
        for container in level:
            values = container.values() if type(container) is dict else container
            types = set(map(type, values))  # one quick pass over a list of numbers
            are_json = are_json and types <= _JSON
            if not _NESTED.isdisjoint(types):
                next_level += [value for value in values if type(value) in _NESTED]
        level = next_level
        if not level:
            return are_json
    raise ValueError(f"{where}: nested more than {_MAX_DEPTH} levels deep, which the engine could not read again")


def convert_vectors(vector: Any, schema: VectorSchema, where: str) -> edge.Vector:
    """Check and convert the vectors of one point: one unnamed vector, or a dict of named ones."""
    if isinstance(vector, dict):
        return {name: schema.to_edge(named, name, where) for name, named in vector.items()}
    if DEFAULT_VECTOR_NAME not in schema.dense:
        raise ValueError(
            "Wrong input: Not existing vector name error: the collection has no unnamed vector; "
            f"{where} may name one of {[*schema.dense, *sorted(schema.sparse)]}"
        )
    return schema.to_edge(vector, DEFAULT_VECTOR_NAME, where)  # type: ignore[return-value]


def convert_point(point: models.PointStruct, schema: VectorSchema) -> edge.Point:
    """Check and convert one point."""
    where = f"point {point.id}"
    point_id = convert_id(point.id)
    vectors = convert_vectors(point.vector, schema, where)
    payload = point.payload or None
    if is_json(payload, f"payload of {where}"):
        try:
            return edge.Point(point_id, vectors, payload)
        except (TypeError, ValueError):
            pass  # a key that is no string, or NaN
    return edge.Point(point_id, vectors, json_payload(payload, f"payload of {where}"))


def iterate_points(points: Any) -> Iterator[models.PointStruct]:
    """Iterate over the points of a list or a batch."""
    if isinstance(points, models.Batch):
        yield from _points_of_batch(points)
    elif isinstance(points, (list, tuple)):
        yield from points
    else:
        raise ValueError(f"Unsupported type: {type(points)}; give a list of PointStruct, or a Batch")  # noqa: TRY004


def _points_of_batch(batch: models.Batch) -> Iterator[models.PointStruct]:
    vectors: Any = batch.vectors if isinstance(batch.vectors, dict) else {DEFAULT_VECTOR_NAME: batch.vectors}
    columns = {f"vectors {name!r}": column for name, column in vectors.items()}
    if batch.payloads is not None:
        columns["payloads"] = batch.payloads
    for what, column in columns.items():
        if len(column) != len(batch.ids):
            raise ValueError(f"Batch has {len(batch.ids)} ids and {len(column)} {what}")
    for row, point_id in enumerate(batch.ids):
        yield models.PointStruct.model_construct(
            id=point_id,
            vector={name: column[row] for name, column in vectors.items()},
            payload=None if batch.payloads is None else batch.payloads[row],
        )


def convert_points(points: Any, schema: VectorSchema) -> list[edge.Point]:
    """Check and convert all points of a write."""
    converted = [convert_point(point, schema) for point in iterate_points(points)]
    if not converted:
        raise ValueError("Empty update request")
    return converted


def convert_update_mode(mode: models.UpdateMode | None) -> edge.UpdateMode | None:
    """Convert the mode that says which points an upsert inserts or updates."""
    return _UPDATE_MODES[mode]

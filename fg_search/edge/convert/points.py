"""Points of ``qdrant_client.models`` to points of Qdrant Edge, and results back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as edge
from pydantic_core import to_jsonable_python
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is that of fastembed

from fg_search.edge.instances import filled
from fg_search.edge.vectors import DEFAULT_VECTOR_NAME, VectorSchema

_UPDATE_MODES = {
    models.UpdateMode.UPSERT: edge.UpdateMode.Upsert,
    models.UpdateMode.INSERT_ONLY: edge.UpdateMode.InsertOnly,
    models.UpdateMode.UPDATE_ONLY: edge.UpdateMode.UpdateOnly,
    None: None,
}
_MAX_ID = 2**64 - 1


# --- to the engine ---------------------------------------------------------------------------------------


def convert_id(point_id: Any) -> edge.PointId:
    """Check a point id: an unsigned 64-bit integer, a UUID, or a UUID's text."""
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
    """Whether a point could have this id."""
    try:
        convert_id(value)
    except (TypeError, ValueError):
        return False
    return True


def convert_ids(point_ids: Iterable[Any]) -> list[edge.PointId]:
    """Check several point ids."""
    return [convert_id(point_id) for point_id in point_ids]


def _json_value(value: Any) -> Any:
    """What JSON has for a value that is none of its own: text for a date, numbers for an array."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else to_jsonable_python(value)


_NESTED = frozenset((dict, list, tuple))
_DEEPEST = 100  # levels of a payload: some twenty more, and the engine cannot read its own log


def json_payload(payload: Any, where: str) -> Any:
    """Return a payload or metadata as plain JSON values: dates and UUIDs become text, as on the server.

    Raises:
        ValueError: It holds what JSON does not know, NaN and infinity included, or is nested too deep.
    """
    try:
        text = json.dumps(payload, allow_nan=False, ensure_ascii=False, default=_json_value)
        value = json.loads(text.encode())  # half of a surrogate pair is no text for the engine
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON: {error}") from error
    check_depth(value, where)
    return value


def check_depth(value: Any, where: str) -> None:
    """Refuse a payload that the engine would write to its log and not be able to read again.

    Raises:
        ValueError: It is nested too deep.
    """
    level = [value] if type(value) in _NESTED else []
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for one in level:
            parts = one.values() if type(one) is dict else one
            if not _NESTED.isdisjoint(map(type, parts)):  # a list of numbers is done with at once
                below += [part for part in parts if type(part) in _NESTED]
        level = below
        if not level:
            return
    raise ValueError(f"{where}: nested more than {_DEEPEST} levels deep, which the engine could not read again")


def convert_vectors(vector: Any, schema: VectorSchema, where: str) -> edge.Vector:
    """Check and convert the vectors of one point: one unnamed vector, or a dict of named ones."""
    if isinstance(vector, dict):
        return {name: schema.to_edge(one, name, where) for name, one in vector.items()}
    if DEFAULT_VECTOR_NAME not in schema.dense:
        raise ValueError(
            f"Wrong input: Unnamed vectors are not allowed when a collection has named vectors; "
            f"{where} must name one of {[*schema.dense, *sorted(schema.sparse)]}"
        )
    return schema.to_edge(vector, DEFAULT_VECTOR_NAME, where)  # type: ignore[return-value]


def convert_point(point: models.PointStruct, schema: VectorSchema) -> edge.Point:
    """Check and convert one point."""
    where = f"point {point.id}"
    point_id = convert_id(point.id)
    vectors = convert_vectors(point.vector, schema, where)
    payload = point.payload or None
    check_depth(payload, f"payload of {where}")
    try:
        return edge.Point(point_id, vectors, payload)
    except (TypeError, ValueError):
        # the engine takes JSON values only; so that it need not be checked twice, others are the exception
        return edge.Point(point_id, vectors, json_payload(payload, f"payload of {where}"))


def points_of(points: Any) -> Iterator[models.PointStruct]:
    """Iterate over the points of either form that an upsert accepts."""
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
    """Check and convert all points of a write, before any of them is written."""
    converted = [convert_point(point, schema) for point in points_of(points)]
    if not converted:
        raise ValueError("Empty update request")
    return converted


def convert_update_mode(mode: models.UpdateMode | None) -> edge.UpdateMode | None:
    """Convert what happens to points that exist, or do not."""
    return _UPDATE_MODES[mode]


def _check_selector(selector: Any, argument: str, accepted: str) -> bool | None:
    """Whether a selector asks for everything or nothing; None if it names what it wants."""
    if selector is None or isinstance(selector, bool):
        return bool(selector)
    if isinstance(selector, str):
        raise ValueError(f"{argument} must be {accepted}, got a str: {selector!r}")  # noqa: TRY004  as local mode
    return None


def convert_with_payload(selector: Any) -> edge.WithPayloadType:
    """Convert which payload keys a result brings; an empty list brings an empty payload."""
    everything = _check_selector(selector, "with_payload", "a bool, a list of payload keys or a PayloadSelector")
    if everything is not None:
        return everything
    if isinstance(selector, models.PayloadSelectorExclude):
        return edge.PayloadSelector.Exclude(selector.exclude)
    if isinstance(selector, models.PayloadSelectorInclude):
        return edge.PayloadSelector.Include(selector.include)
    return list(selector)


def convert_with_vectors(selector: Any) -> edge.WithVectorType:
    """Convert which vectors a result brings."""
    everything = _check_selector(selector, "with_vectors", "a bool or a list of vector names")
    return list(selector) if everything is None else everything


# --- back from the engine --------------------------------------------------------------------------------


def id_from_edge(point_id: edge.PointId) -> int | str:
    """Return an id as qdrant-client does: integers, and UUIDs as text."""
    return point_id if type(point_id) is int else str(point_id)


def vector_from_edge(vector: Any) -> Any:
    """Return one vector as qdrant-client does."""
    if type(vector) is edge.SparseVector:
        return filled(models.SparseVector, {"indices": vector.indices, "values": vector.values})
    return vector


def _vectors_from_edge(vectors: Any) -> Any:
    if isinstance(vectors, dict):
        return {name: vector_from_edge(vector) for name, vector in vectors.items()}
    return vectors


def _selected(vectors: Any, selector: edge.WithVectorType) -> Any:
    """The vectors that were asked for: a diversified search (MMR) brings those that it compared, too."""
    if isinstance(selector, list) and isinstance(vectors, dict):
        vectors = {name: vectors[name] for name in selector if name in vectors}
    return _vectors_from_edge(vectors)


def response_from_edge(hits: Sequence[edge.ScoredPoint], with_vectors: edge.WithVectorType) -> QueryResponse:
    """Convert the hits of one query."""
    points = []
    for hit in hits:
        point_id = hit.id
        values = {
            "id": point_id if type(point_id) is int else str(point_id),
            "version": hit.version,
            "score": hit.score,
            "payload": hit.payload,
            "vector": None if with_vectors is False else _selected(hit.vector, with_vectors),
            "shard_key": None,
            "order_value": hit.order_value,
        }
        points.append(filled(models.ScoredPoint, values))
    return filled(QueryResponse, {"points": points})


def record_from_edge(record: edge.Record) -> models.Record:
    """Convert one stored point."""
    values = {
        "id": id_from_edge(record.id),
        "payload": record.payload,
        "vector": _vectors_from_edge(record.vector),
        "shard_key": None,
        "order_value": record.order_value,
    }
    return filled(models.Record, values)

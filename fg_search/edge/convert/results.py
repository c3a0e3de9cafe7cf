"""Results of Qdrant Edge as ``qdrant_client.models``, and the selectors that say what a result includes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is fastembed's

from fg_search.edge.instances import all_filled, filled


def _refuse_text(selector: Any, argument: str, accepted: str) -> None:
    if isinstance(selector, str):
        raise ValueError(f"{argument} must be {accepted}, got a str: {selector!r}")  # noqa: TRY004  # as in local mode


def convert_with_payload(selector: Any) -> edge.WithPayloadType:
    """Convert the selector of payload keys; an empty list selects an empty payload."""
    if selector is None or isinstance(selector, bool):
        return bool(selector)
    _refuse_text(selector, "with_payload", "a bool, a list of payload keys or a PayloadSelector")
    if isinstance(selector, models.PayloadSelectorExclude):
        return edge.PayloadSelector.Exclude(selector.exclude)
    if isinstance(selector, models.PayloadSelectorInclude):
        return edge.PayloadSelector.Include(selector.include)
    return list(selector)


def convert_with_vectors(selector: Any) -> edge.WithVectorType:
    """Convert the selector of vectors."""
    if selector is None or isinstance(selector, bool):
        return bool(selector)
    _refuse_text(selector, "with_vectors", "a bool or a list of vector names")
    return list(selector)


def id_from_edge(point_id: edge.PointId) -> int | str:
    """Convert a point id; UUIDs become strings."""
    return point_id if type(point_id) is int else str(point_id)


def vector_from_edge(vector: Any) -> Any:
    """Convert one vector."""
    if type(vector) is edge.SparseVector:
        return filled(models.SparseVector, {"indices": vector.indices, "values": vector.values})
    return vector


def _vectors_from_edge(vectors: Any) -> Any:
    if isinstance(vectors, dict):
        return {name: vector_from_edge(vector) for name, vector in vectors.items()}
    return vectors


def _selected(vectors: Any, selector: edge.WithVectorType) -> Any:
    """Keep the requested vectors: a diversified search (MMR) also returns those that it compared."""
    if isinstance(selector, list) and isinstance(vectors, dict):
        vectors = {name: vectors[name] for name in selector if name in vectors}
    return _vectors_from_edge(vectors)


def response_from_edge(
    hits: Sequence[edge.ScoredPoint],
    with_vectors: edge.WithVectorType,
    contents: Mapping[edge.PointId, edge.Record] | None = None,
) -> QueryResponse:
    """Convert the hits of one query.

    Args:
        hits: Hits, best first.
        with_vectors: Converted selector.
        contents: Payload and vectors by id, of hits that lack them; a hit that was deleted meanwhile is left out.
    """
    rows = []
    for hit in hits:
        point_id = hit.id
        content = hit if contents is None else contents.get(point_id)
        if content is None:
            continue
        rows.append(
            {
                "id": point_id if type(point_id) is int else str(point_id),
                "version": hit.version,
                "score": hit.score,
                "payload": content.payload,
                "vector": None if with_vectors is False else _selected(content.vector, with_vectors),
                "shard_key": None,
                "order_value": hit.order_value,
            }
        )
    return filled(QueryResponse, {"points": all_filled(models.ScoredPoint, rows)})


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

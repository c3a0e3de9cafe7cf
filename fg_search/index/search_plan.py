"""Requests of one query, which have the engine exclude and rank points, and the hits of its response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from qdrant_client import models

from fg_search.edge.instances import construct
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import Hit
from fg_search.layout.group_summaries import agreement, code_names
from fg_search.layout.keys import BASE_VECTOR, CONFIDENCE_KEY, FAMILIARITY_KEY, FEATURES_VECTOR, PAYLOAD_KEY

Ranking: TypeAlias = Literal["features", "base"]
"""A ranking that the engine computes: by one vector."""

Row: TypeAlias = tuple[Mapping[str, Any], float, float]
"""Payload, score and ranking score of a point."""

_EXACT = models.SearchParams(exact=True)


def plan(
    query: QueryVectors,
    ranking: Ranking,
    scope: models.Filter | None,
    limit: int,
    offset: int = 0,
    with_payload: bool | Sequence[str] = True,
    *,
    exact: bool = False,
) -> models.QueryRequest:
    """Make the engine's request for the points nearest to a query.

    Args:
        query: Vectors of the query.
        ranking: Vector to rank by.
        scope: Filter for the points that the search considers.
        limit: Number of points.
        offset: Number of points to skip.
        with_payload: Whether to read payloads, or which keys of them.
        exact: Whether the engine must not approximate, by a graph or by quantized vectors.
    """
    by_features = {"query": query.features, "using": FEATURES_VECTOR}
    nearest = by_features if ranking == "features" else {"query": query.base.tolist(), "using": BASE_VECTOR}
    page = {"filter": scope, "limit": limit, "offset": offset or None, "with_payload": with_payload}
    return construct(models.QueryRequest, **nearest, **page, **({"params": _EXACT} if exact else {}))


def to_hits(rows: Iterable[Row], query: QueryVectors) -> tuple[Hit, ...]:
    """Convert points, with their scores, to hits."""
    codes = code_names(query.codes)
    hits = []
    for stored, score, ranking_score in rows:
        payload = dict(stored)
        features = payload.pop(PAYLOAD_KEY)
        hits.append(
            {
                "id": features["id"],
                "score": score,
                "ranking_score": ranking_score,
                "confidence": features["confidence"],
                "familiarity": features.get("familiarity"),
                "label": features.get("label"),
                "text": features["text"],
                "agreement": agreement(codes, features["codes"]),
                "payload": payload,
            }
        )
    return Hit.of_each(hits)


def least_conditions(options: SearchOptions) -> list[models.FieldCondition]:
    """Conditions that exclude points which are not confident or not familiar enough."""
    least = {CONFIDENCE_KEY: options.min_confidence, FAMILIARITY_KEY: options.min_familiarity}
    return [_at_least(key, value) for key, value in least.items() if value is not None]


@lru_cache(maxsize=64)
def _at_least(key: str, value: float) -> models.FieldCondition:
    return models.FieldCondition(key=key, range=models.Range(gte=value))

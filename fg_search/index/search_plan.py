"""Request of one query, which has the engine exclude, down-weight and rank points, and the hits of its response."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import eq
from typing import Any

from qdrant_client import models

from fg_search.edge.instances import construct
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_results import Hit
from fg_search.layout.keys import BASE_VECTOR, CONFIDENCE_KEY, FEATURES_VECTOR, PAYLOAD_KEY

# The engine's formula re-scores the candidates of a first search. As score · confidence^w ≤ score, a point beyond the
# candidates can only be missed if its score is below all of theirs. The hits depend on the number of candidates. It
# grows in few steps, so that the first pages are pages of one and the same list.
_CANDIDATES_PER_HIT = 10
_MIN_RESCORED = 200
_MIN_FUSED = 200


def plan(
    query: QueryVectors, options: SearchOptions, rank_by: RankBy, scope: models.Filter | None
) -> models.QueryRequest:
    """Make the engine's request for a query.

    Args:
        query: Vectors of the query.
        options: Options of the search. Their filter is ignored, as it is part of ``scope``.
        rank_by: Ranking other than ``"auto"``.
        scope: Filter for the points that the search considers.
    """
    weighted = options.confidence_weight > 0
    needed = options.limit + options.offset
    wanted = _in_steps(_MIN_RESCORED, _CANDIDATES_PER_HIT * needed) if weighted else needed
    ranked = _ranking(query, rank_by, scope, wanted)
    if weighted:
        ranked = {"prefetch": construct(models.Prefetch, **ranked), "query": _down_weighting(options.confidence_weight)}
    page = {"limit": options.limit, "with_payload": True, "offset": options.offset or None}
    return construct(models.QueryRequest, **{**ranked, **page})


def to_hits(points: Sequence[models.ScoredPoint], query: QueryVectors, options: SearchOptions) -> tuple[Hit, ...]:
    """Convert the engine's points to hits."""
    codes, weight = query.codes, options.confidence_weight
    rows = []
    for point in points:
        payload = dict(point.payload or {})
        features = payload.pop(PAYLOAD_KEY)
        score, confidence = point.score, features["confidence"]
        rows.append(
            {
                "id": features["id"],
                "score": score / confidence**weight if weight else score,
                "weighted_score": score,
                "confidence": confidence,
                "label": features.get("label"),
                "text": features["text"],
                "agreement": tuple(map(eq, codes, features["codes"])),
                "payload": payload,
            }
        )
    return Hit.of_each(rows)


def min_confidence_condition(options: SearchOptions) -> models.FieldCondition | None:
    """Condition that excludes points which are not confident enough."""
    if options.min_confidence is None:
        return None
    return _at_least(options.min_confidence)


def _ranking(query: QueryVectors, rank_by: RankBy, query_filter: models.Filter | None, limit: int) -> dict[str, Any]:
    common: dict[str, Any] = {"filter": query_filter, "limit": limit}
    features = {**common, "query": query.features, "using": FEATURES_VECTOR}
    if rank_by == "features":
        return features
    base = {**common, "query": query.base.tolist(), "using": BASE_VECTOR}
    if rank_by == "base":
        return base
    fused = {"limit": _in_steps(_MIN_FUSED, limit)}
    return {
        "prefetch": [construct(models.Prefetch, **{**branch, **fused}) for branch in (features, base)],
        "query": models.FusionQuery(fusion=models.Fusion.RRF),
        "limit": limit,
    }


def _in_steps(least: int, wanted: int) -> int:
    """First of ``least``, ten times as many, a hundred times as many, … that is at least ``wanted``."""
    count = least
    while count < wanted:
        count *= 10
    return count


@lru_cache(maxsize=64)
def _at_least(confidence: float) -> models.FieldCondition:
    return models.FieldCondition(key=CONFIDENCE_KEY, range=models.Range(gte=confidence))


@lru_cache(maxsize=64)
def _down_weighting(weight: float) -> models.FormulaQuery:
    power = models.PowExpression(pow=models.PowParams(base=CONFIDENCE_KEY, exponent=weight))
    return models.FormulaQuery(formula=models.MultExpression(mult=["$score", power]))

"""The request that has the engine exclude, down-weight and rank, and its answer as hits."""

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

# The engine's formula re-scores the candidates of a first search. With score · confidence^w ≤ score, a point
# beyond the candidates can only be missed if its score is below all of theirs. What is found depends on their number,
# so it grows in few steps: the first pages are pages of one and the same list.
_CANDIDATES_PER_HIT = 10


_LEAST_RESCORED = 200


_LEAST_FUSED = 200


def plan(
    query: QueryVectors, options: SearchOptions, rank_by: RankBy, scope: models.Filter | None
) -> models.QueryRequest:
    """The request that has the engine exclude, down-weight and rank.

    Args:
        query: Its vectors.
        options: Of the search; the filter in them is part of ``scope``.
        rank_by: Not ``"auto"``.
        scope: Filter for the points that are searched.
    """
    weighted = options.confidence_weight > 0
    needed = options.limit + options.offset
    wanted = _in_steps(_LEAST_RESCORED, _CANDIDATES_PER_HIT * needed) if weighted else needed
    ranked = _ranking(query, rank_by, scope, wanted)
    if weighted:
        ranked = {"prefetch": construct(models.Prefetch, **ranked), "query": _down_weighting(options.confidence_weight)}
    page = {"limit": options.limit, "with_payload": True, "offset": options.offset or None}
    return construct(models.QueryRequest, **{**ranked, **page})


def to_hits(points: Sequence[models.ScoredPoint], query: QueryVectors, options: SearchOptions) -> tuple[Hit, ...]:
    """What the engine returned, as hits."""
    codes, weight = query.codes, options.confidence_weight
    hits = []
    for point in points:
        payload = dict(point.payload or {})
        features = payload.pop(PAYLOAD_KEY)
        score, confidence = point.score, features["confidence"]
        hits.append(
            Hit(
                features["id"],
                score / confidence**weight if weight else score,
                score,
                confidence,
                features.get("label"),
                features["text"],
                tuple(map(eq, codes, features["codes"])),
                payload,
            )
        )
    return tuple(hits)


def min_confidence_condition(options: SearchOptions) -> models.FieldCondition | None:
    """Leaves out the points that are not confident enough."""
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
    fused = {"limit": _in_steps(_LEAST_FUSED, limit)}
    return {
        "prefetch": [construct(models.Prefetch, **{**one, **fused}) for one in (features, base)],
        "query": models.FusionQuery(fusion=models.Fusion.RRF),
        "limit": limit,
    }


def _in_steps(least: int, wanted: int) -> int:
    """The first of ``least``, ten times that, a hundred times … that is enough."""
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

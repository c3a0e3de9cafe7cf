"""One order of equal scores in fusions and formulas below another query.

There the order decides: which points of equal scores a prefetch passes on, and which ranks a fusion gives them. The
engine takes them as they come, which differs from call to call. Such a prefetch is therefore searched first, and if the
order matters it is replaced by one that gives the same points the same scores or ranks.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from qdrant_client import models

from fg_search.edge.convert.queries import DEFAULT_LIMIT, prefetches_of

Search = Callable[[models.QueryRequest], Sequence[models.ScoredPoint]]
_Node = TypeVar("_Node", models.QueryRequest, models.Prefetch)
_MERGES = (models.FusionQuery, models.RrfQuery, models.FormulaQuery)
_MANTISSA = 24  # bits of a 32-bit float


def joined(outer: models.Filter | None, own: models.Filter | None) -> models.Filter | None:
    """Return the filter of a prefetch: that of the query above it applies too."""
    if outer is None or own is None:
        return own if outer is None else outer
    return models.Filter(must=[outer, own])


def as_request(prefetch: models.Prefetch, outer: models.Filter | None, **changes: Any) -> models.QueryRequest:
    """Return a prefetch as a query of its own."""
    given = {name: getattr(prefetch, name) for name in type(prefetch).model_fields}
    return models.QueryRequest.model_construct(**{**given, "filter": joined(outer, prefetch.filter), **changes})


def is_nested(request: models.QueryRequest | models.Prefetch) -> bool:
    """Whether a fusion or a formula is below another query."""
    return any(isinstance(inner.query, _MERGES) or is_nested(inner) for inner in prefetches_of(request))


def settle(request: _Node, search: Search, outer: models.Filter | None = None) -> _Node:
    """Replace prefetches whose equal scores would be resolved by chance.

    Args:
        request: Query or prefetch.
        search: Function that answers a request, with equal scores ordered by id.
        outer: Filter of the query above it.
    """
    own = joined(outer, request.filter)
    prefetches = [
        _settled(settle(prefetch, search, own), search, own, _by_rank(request.query))
        for prefetch in prefetches_of(request)
    ]
    return request.model_copy(update={"prefetch": prefetches or None})


def _by_rank(query: Any) -> bool:
    return isinstance(query, models.RrfQuery) or (
        isinstance(query, models.FusionQuery) and query.fusion == models.Fusion.RRF
    )


def _settled(prefetch: models.Prefetch, search: Search, outer: models.Filter | None, by_rank: bool) -> models.Prefetch:
    limit = DEFAULT_LIMIT if prefetch.limit is None else prefetch.limit
    if limit < 1 or not isinstance(prefetch.query, _MERGES):
        return prefetch
    hits = search(as_request(prefetch, outer, limit=limit + 1))
    scores = [hit.score for hit in hits[:limit]]
    is_cut = len(hits) > limit and hits[limit].score == scores[-1]
    if not is_cut and not (by_rank and len(set(scores)) < len(scores)):
        return prefetch
    if by_rank:
        scores = [float(limit - rank) for rank in range(len(scores))]
    return _given({hit.id: score for hit, score in zip(hits, scores, strict=False)})


def _given(scores: dict[Any, float]) -> models.Prefetch:
    """Return a prefetch that finds given points with given scores.

    The formula adds up the binary digits of the scores, each for the points that have it: a few dozen terms, and exact.
    """
    digits: defaultdict[float, list[Any]] = defaultdict(list)
    for point_id, score in scores.items():
        mantissa, exponent = math.frexp(score)
        bits = int(abs(mantissa) * 2**_MANTISSA)
        for bit in range(_MANTISSA):
            if bits >> bit & 1:
                digits[math.copysign(math.ldexp(1.0, exponent - _MANTISSA + bit), score)].append(point_id)
    terms: list[models.Expression] = [0.0]
    terms += [
        models.MultExpression(mult=[digit, models.HasIdCondition(has_id=points)])
        for digit, points in sorted(digits.items(), key=lambda term: -abs(term[0]))
    ]
    points = models.Filter(must=[models.HasIdCondition(has_id=list(scores))])
    return models.Prefetch(
        query=models.FormulaQuery(formula=models.SumExpression(sum=terms)),
        prefetch=models.Prefetch(filter=points, limit=len(scores)),
        limit=len(scores),
    )

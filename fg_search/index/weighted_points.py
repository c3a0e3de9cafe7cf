"""Points ranked by score and confidence in the embedded engine, which has one shard and one order of equal scores.

The engine's formula weighs the candidates of a first search. As ``score · confidence^w`` is at most the score, no other
point can be among the best once the last of them weighs more than the score at which the candidates end. Otherwise more
candidates are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from qdrant_client import models

from fg_search.edge.instances import construct
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_plan import Ranking, plan
from fg_search.index.state import IndexState
from fg_search.layout.keys import CONFIDENCE_KEY

_LEAST = 200  # candidates
_MORE = 10  # times as many, if so many are not enough
_MOST = 20_000


async def weighted_by_engine(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    ranking: Ranking,
    scope: models.Filter | None,
    weight: float,
    needed: int,
) -> list[list[models.ScoredPoint]]:
    """Best points of several queries with their payloads. Their scores are weighted.

    Args:
        state: The index, in the embedded engine.
        vectors: Vectors of the queries.
        ranking: Vector to rank by.
        scope: Filter for the points that the search considers.
        weight: Exponent of the confidence.
        needed: Number of points for each query.
    """
    best: dict[int, list[models.ScoredPoint]] = {}
    left, count = list(range(len(vectors))), max(_LEAST, needed)
    while left:
        requests = []
        for i in left:
            nearest = plan(vectors[i], ranking, scope, count, with_payload=False)
            prefetch = models.Prefetch(query=nearest.query, using=nearest.using, filter=nearest.filter, limit=count)
            weighted = {"prefetch": prefetch, "query": _weighting(weight), "limit": needed, "with_payload": True}
            requests.append(construct(models.QueryRequest, **weighted))
            requests.append(plan(vectors[i], ranking, scope, 1, count - 1, with_payload=False))
        responses = iter(await state.engine.query_batch_points(state.collection, requests))
        open_ = []
        for i in left:
            best[i], last = next(responses).points, next(responses).points
            is_exact = not last or (len(best[i]) == needed and best[i][-1].score > last[0].score)
            if not is_exact and count < _MOST:
                open_.append(i)
        left, count = open_, count * _MORE
    return [best[i] for i in range(len(vectors))]


@lru_cache(maxsize=64)
def _weighting(weight: float) -> models.FormulaQuery:
    power = models.PowExpression(pow=models.PowParams(base=CONFIDENCE_KEY, exponent=weight))
    return models.FormulaQuery(formula=models.MultExpression(mult=["$score", power]))

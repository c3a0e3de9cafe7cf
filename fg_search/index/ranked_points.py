"""Points ranked by both vectors, or by score and confidence: by what the engine found for each vector alone.

An engine could fuse and weight itself. But a server evaluates what is below a formula, and groups, in each shard by
itself, where ranks are others, and it orders equal scores at will, which decide ranks. Here the same points have the
same scores in one shard, in many, and in a folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from fg_search.engine.port import PointId
from fg_search.index.following import check_model
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_plan import Ranking, plan
from fg_search.index.state import IndexState
from fg_search.layout.keys import CONFIDENCE_KEY, MODEL_KEY
from fg_search.layout.points import features_of, id_of, payload_of

_KEYS = (CONFIDENCE_KEY, MODEL_KEY)
_CANDIDATES_PER_HIT = 10
_LEAST = 200  # candidates for each vector
_MOST = 20_000  # candidates, among which a weight looks for the best
_RANK_OFFSET = 2  # of reciprocal-rank fusion: 1 / (2 + rank), ranks from 0, as in Qdrant


@dataclass(frozen=True, slots=True)
class RankedPoint:
    """A point with its scores.

    Attributes:
        id: Engine's id.
        score: Similarity, or fused rank score.
        weighted_score: ``score · confidence^confidence_weight``.
        payload: The part of its payload that was read.
    """

    id: PointId
    score: float
    weighted_score: float
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Ranked:
    """Points ranked for one query.

    Attributes:
        points: Points, best first.
        is_all: Whether there are no more.
    """

    points: list[RankedPoint]
    is_all: bool


async def rank(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    options: SearchOptions,
    rank_by: RankBy,
    scope: models.Filter | None,
    *,
    keys: Sequence[str] = (),
    candidates: int = 0,
) -> list[Ranked]:
    """Rank the points of several queries.

    Args:
        state: The index.
        vectors: Vectors of the queries.
        options: Options of the search. Their filter is ignored, as it is part of ``scope``.
        rank_by: Ranking other than ``"auto"``.
        scope: Filter for the points that the search considers.
        keys: Keys of the payload to read.
        candidates: Least number of candidates for each vector.

    Raises:
        StrangersError: If points of another encoder are among them.
    """
    needed = options.offset + options.limit
    weight = options.confidence_weight
    rankings = _rankings(rank_by)
    count = in_steps(max(needed * _CANDIDATES_PER_HIT if weight and len(rankings) == 1 else needed, candidates))
    results: dict[int, Ranked] = {}
    left = list(range(len(vectors)))
    while left:
        requests = [
            plan(vectors[i], ranking, scope, count, with_payload=[*_KEYS, *keys]) for i in left for ranking in rankings
        ]
        responses = iter(await state.engine.query_batch_points(state.collection, requests))
        for i in left:
            lists = [next(responses).points for _ in rankings]
            check_model(state, [point for points in lists for point in points])
            results[i] = _ranked(lists, weight, count)
        if not weight or len(rankings) > 1 or count >= _MOST:
            break
        left = [i for i in left if not _is_exact(results[i], needed)]
        count *= _CANDIDATES_PER_HIT
    return [results[i] for i in range(len(vectors))]


def in_steps(wanted: int) -> int:
    """Number of candidates, which grows in few steps, so that the first pages are pages of one and the same list."""
    count = _LEAST
    while count < wanted:
        count *= 10
    return count


def _rankings(rank_by: RankBy) -> Sequence[Ranking]:
    return ("features", "base") if rank_by == "both" else ("base",) if rank_by == "base" else ("features",)


def _ranked(lists: Sequence[Sequence[models.ScoredPoint]], weight: float, count: int) -> Ranked:
    found = {id_of(point): point for points in lists for point in points}
    if len(lists) == 1:
        scores = {id_of(point): point.score for point in lists[0]}
    else:
        scores = dict.fromkeys(found, 0.0)
        for points in lists:
            for position, point in enumerate(points):
                scores[id_of(point)] += 1 / (_RANK_OFFSET + position)
    ranked = []
    for point_id, stored in found.items():
        weighted = scores[point_id] * features_of(stored)["confidence"] ** weight
        ranked.append(RankedPoint(point_id, scores[point_id], weighted, payload_of(stored)))
    ranked.sort(key=lambda point: (-point.weighted_score, isinstance(point.id, str), point.id))
    return Ranked(ranked, all(len(points) < count for points in lists))


def _is_exact(ranked: Ranked, needed: int) -> bool:
    """Whether no point beyond the candidates can be among the best: ``score · confidence^w`` is at most the score."""
    if ranked.is_all:
        return True
    beyond = max(0.0, min(point.score for point in ranked.points))
    return ranked.points[needed - 1].weighted_score > beyond

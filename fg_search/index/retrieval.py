"""Hits of encoded queries, fetched from the engine for many queries at once."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.errors import EmptyIndexError
from fg_search.index.candidates import RankedPoint
from fg_search.index.familiarity import check_familiarity
from fg_search.index.few_conditions import in_scope
from fg_search.index.following import check_model
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.ranked_points import best_points
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_plan import Ranking, plan, to_hits
from fg_search.index.search_results import Hit
from fg_search.index.state import IndexState
from fg_search.layout.points import payload_of

QUERIES_PER_REQUEST = 128


async def find_hits(
    state: IndexState, vectors: Sequence[QueryVectors], options: SearchOptions, rank_by: RankBy
) -> list[tuple[Hit, ...]]:
    """Hits of each query, all fetched together.

    Raises:
        ModelMismatchError: If another process re-encoded the index since it was opened.
    """

    async def find(scope: models.Filter | None) -> list[tuple[Hit, ...]]:
        return await _find_hits(state, vectors, options, rank_by, scope)

    return await in_scope(state, options, find)


async def _find_hits(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    options: SearchOptions,
    rank_by: RankBy,
    scope: models.Filter | None,
) -> list[tuple[Hit, ...]]:
    if rank_by != "both" and not options.is_weighted:
        ranking: Ranking = "base" if rank_by == "base" else "features"
        requests = [plan(query, ranking, scope, options.limit, options.offset) for query in vectors]
        responses = await state.engine.query_batch_points(state.collection, requests)
        check_model(state, [point for response in responses for point in response.points])
        return [
            to_hits([(payload_of(point), point.score, point.score) for point in response.points], query)
            for query, response in zip(vectors, responses, strict=True)
        ]
    best = await best_points(state, vectors, options, rank_by, scope)
    return [ranked_hits(points[options.offset :], query) for points, query in zip(best, vectors, strict=True)]


def ranked_hits(points: Sequence[RankedPoint], query: QueryVectors) -> tuple[Hit, ...]:
    """Hits of ranked points whose payloads were read."""
    return to_hits([(point.payload, point.score, point.ranking_score) for point in points], query)


def request_chunks(positions: Sequence[int]) -> list[Sequence[int]]:
    """Cut positions of queries into chunks of as many as one request takes."""
    return list(pages(positions, QUERIES_PER_REQUEST))


def ranking(state: IndexState, rank_by: RankBy) -> RankBy:
    """Resolve ``"auto"``: as the index was calibrated, if it was, otherwise by how the head was trained.

    Raises:
        ValueError: If the index has no base embeddings to rank by.
    """
    if rank_by == "auto" and state.calibration is not None:
        return state.calibration.rank_by
    return uncalibrated_ranking(state, rank_by)


def uncalibrated_ranking(state: IndexState, rank_by: RankBy) -> RankBy:
    """Resolve ``"auto"`` whatever calibration there is.

    With labels or attributes both vectors rank. Unsupervised heads do not out-rank the base embeddings; they serve
    confidence.

    Raises:
        ValueError: If the index has no base embeddings to rank by.
    """
    if rank_by == "auto":
        if not state.metadata.has_base:
            return "features"
        return "base" if state.metadata.supervision in ("clusters", "pairs") else "both"
    if rank_by != "features" and not state.metadata.has_base:
        raise ValueError(f"{state.name} was made without base vectors, so rank_by={rank_by!r} is not possible")
    return rank_by


async def check_findable(state: IndexState, options: SearchOptions) -> None:
    """Check, after a search without hits, that the index has what it searched for.

    Raises:
        EmptyIndexError: If it has no items.
        NotScoredError: If they were to be familiar, and none has a familiarity.
    """
    await check_not_empty(state)
    if options.min_familiarity is not None:
        await check_familiarity(state)


async def check_not_empty(state: IndexState) -> None:
    """Check that the index has items.

    Raises:
        EmptyIndexError: If it has none.
    """
    if not await state.engine.count(state.collection, state.scope()):
        if state.metadata.source is not None:
            raise EmptyIndexError(f"{state.name} is empty; write points with your own client, and call index.sync()")
        raise EmptyIndexError(f"{state.name} is empty; fill it with index.add(…) or `fg-search index`")

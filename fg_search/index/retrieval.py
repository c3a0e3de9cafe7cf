"""Hits of encoded queries, fetched from the engine for many queries at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.errors import EmptyIndexError
from fg_search.index.following import check_model
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.ranked_points import RankedPoint, rank
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_plan import Ranking, min_confidence_condition, plan, to_hits
from fg_search.index.search_results import Hit
from fg_search.index.set_aside import NOT_SET_ASIDE
from fg_search.index.state import IndexState
from fg_search.layout.points import id_of, payload_of

QUERIES_PER_REQUEST = 128


async def find_hits(
    state: IndexState, vectors: Sequence[QueryVectors], options: SearchOptions, rank_by: RankBy
) -> list[tuple[Hit, ...]]:
    """Hits of each query, all fetched together.

    Raises:
        ModelMismatchError: If another process re-encoded the index since it was opened.
    """
    scope = search_scope(state, options)
    if rank_by != "both" and not options.confidence_weight:
        ranking: Ranking = "base" if rank_by == "base" else "features"
        requests = [plan(query, ranking, scope, options.limit, options.offset) for query in vectors]
        responses = await state.engine.query_batch_points(state.collection, requests)
        check_model(state, [point for response in responses for point in response.points])
        return [
            to_hits([(payload_of(point), point.score, point.score) for point in response.points], query)
            for query, response in zip(vectors, responses, strict=True)
        ]
    ranked = await rank(state, vectors, options, rank_by, scope)
    chosen = [found.points[options.offset : options.offset + options.limit] for found in ranked]
    payloads = await read_payloads(state, [point for points in chosen for point in points])
    return [ranked_hits(points, payloads, query) for points, query in zip(chosen, vectors, strict=True)]


async def read_payloads(state: IndexState, points: Sequence[RankedPoint]) -> dict[PointId, dict[str, Any]]:
    """Payloads of ranked points. One that was deleted meanwhile is left out.

    Raises:
        ModelMismatchError: If another process re-encoded the index since it was opened.
    """
    payloads: dict[PointId, dict[str, Any]] = {}
    for page in pages(list(dict.fromkeys(point.id for point in points))):
        records = await state.engine.retrieve(state.collection, page)
        check_model(state, records)
        payloads |= {id_of(record): payload_of(record) for record in records}
    return payloads


def ranked_hits(
    points: Sequence[RankedPoint], payloads: Mapping[PointId, Mapping[str, Any]], query: QueryVectors
) -> tuple[Hit, ...]:
    """Hits of ranked points whose payloads were read."""
    rows = [(payloads[point.id], point.score, point.weighted_score) for point in points if point.id in payloads]
    return to_hits(rows, query)


def request_chunks(positions: Sequence[int]) -> list[Sequence[int]]:
    """Cut positions of queries into chunks of as many as one request takes."""
    return list(pages(positions, QUERIES_PER_REQUEST))


def search_scope(state: IndexState, options: SearchOptions) -> models.Filter | None:
    """Filter for the points that a search considers."""
    not_set_aside = None if state.metadata.set_aside is None else NOT_SET_ASIDE
    return state.scope(not_set_aside, min_confidence_condition(options), options.query_filter)


def ranking(state: IndexState, rank_by: RankBy) -> RankBy:
    """Resolve ``"auto"``. Unsupervised heads do not out-rank the base embeddings; they serve confidence.

    Raises:
        ValueError: If the index has no base embeddings to rank by.
    """
    if rank_by == "auto":
        return "base" if state.metadata.supervision in ("clusters", "pairs") and state.metadata.has_base else "features"
    if rank_by != "features" and not state.metadata.has_base:
        raise ValueError(f"{state.name} was made without base vectors, so rank_by={rank_by!r} is not possible")
    return rank_by


async def check_not_empty(state: IndexState) -> None:
    """Check that the index has items.

    Raises:
        EmptyIndexError: If it has none.
    """
    if not await state.engine.count(state.collection, state.scope()):
        raise EmptyIndexError(f"{state.name} is empty; fill it with index.add(…) or `fg-search index`")

"""Hits of encoded queries, fetched from the engine for many queries at once."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.errors import EmptyIndexError
from fg_search.index.following import StrangersError
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_plan import min_confidence_condition, plan, to_hits
from fg_search.index.search_results import Hit
from fg_search.index.set_aside import NOT_SET_ASIDE
from fg_search.index.state import IndexState
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.layout.points import payload_of

QUERIES_PER_REQUEST = 128


async def find_hits(
    state: IndexState, vectors: Sequence[QueryVectors], options: SearchOptions, rank_by: RankBy
) -> list[tuple[Hit, ...]]:
    """Hits of each query, all fetched with one request.

    Raises:
        ModelMismatchError: If another process re-encoded the index since it was opened.
    """
    scope = search_scope(state, options)
    requests = [plan(query, options, rank_by, scope) for query in vectors]
    responses = await state.engine.query_batch_points(state.collection, requests)
    check_model(state, [point for response in responses for point in response.points])
    return [to_hits(response.points, query, options) for query, response in zip(vectors, responses, strict=True)]


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


def check_model(state: IndexState, points: Sequence[models.ScoredPoint]) -> None:
    """Check that the points found were embedded by the encoder that embedded the query.

    Raises:
        StrangersError: If not. Another process may have re-encoded the index since it was opened.
    """
    fingerprint = state.metadata.fingerprint
    models_found = {(features := payload_of(point).get(PAYLOAD_KEY)) and features["model"] for point in points}
    if models_found - {fingerprint}:
        raise StrangersError(str(state.was_re_encoded()))

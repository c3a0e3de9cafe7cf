"""Searching with a log, or without: the answers are the same, and with one uncertain queries are kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy.typing as npt

from fg_search.index.abstention import settle
from fg_search.index.query_vectors import Queries, Query, encode_queries
from fg_search.index.search import group, search
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import GroupedResult, SearchResult
from fg_search.index.state import IndexState
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.queries.entries import Logging, NearestItem
from fg_search.queries.log import Asked, write_queries
from fg_search.review.decisions import now

_LOG = logging.getLogger(__name__)


async def search_texts(
    state: IndexState,
    queries: Sequence[Query],
    options: SearchOptions,
    embeddings: FeatureEmbeddings | None,
    which: Logging,
    *,
    batch_size: int = 64,
    show_progress: bool | None = False,
) -> list[SearchResult]:
    """Results of queries, of which those are logged; other arguments as of :func:`encode_queries`.

    The best hit of a query is logged even where it is held back, so that with a log every query is searched.
    """
    encoded = await encode_queries(state, queries, embeddings, batch_size=batch_size, show_progress=show_progress)
    if which == "none":
        return await search(state, encoded, options)
    found = await search(state, encoded, replace(options, on_uncertain="flag"))
    await _log(state, encoded, found, options, which)
    return settle(found, options)


async def search_groups(
    state: IndexState,
    query: Query,
    options: SearchOptions,
    group_by: str,
    group_size: int,
    embedding: FeatureEmbeddings | None,
    which: Logging,
) -> GroupedResult:
    """The hits of one query by the value of a payload field, as the engine groups them, and the log."""
    encoded = await encode_queries(state, [query], embedding, batch_size=64)
    if which == "none":
        return await group(state, encoded, options, group_by, group_size)
    found = await group(state, encoded, replace(options, on_uncertain="flag"), group_by, group_size)
    await _log(state, encoded, [found.result], options, which)
    (result,) = settle([found.result], options)
    return GroupedResult(found.groups if result.hits else (), result)


async def _log(
    state: IndexState, queries: Queries, found: Sequence[SearchResult], options: SearchOptions, which: Logging
) -> None:
    """Write queries to the log. An answer is worth more than its entry: what fails here is told by a warning."""
    if options.offset:  # a further page of a question that was logged with its first one
        return
    time = now()
    asked = [
        _asked(result, vectors.base, time, options)
        for result, vectors in zip(found, queries.vectors, strict=True)
        if which == "all" or result.uncertain or result.decision == "abstain"
    ]
    if not asked:
        return
    try:
        await write_queries(state, asked)
    except Exception as error:
        _LOG.warning("the log of %s lacks queries (%d) that were answered: %s", state.name, len(asked), error)


def _asked(result: SearchResult, base: npt.ArrayLike, time: str, options: SearchOptions) -> Asked:
    is_held_back = result.uncertain and options.on_uncertain != "flag"
    top = result.hits[0] if result.hits else None
    return Asked(
        text=result.query,
        base=base,
        time=time,
        decision="abstain" if is_held_back else result.decision,
        uncertain=result.uncertain,
        reason=result.reason,
        query_confidence=result.query_confidence,
        confidence=result.confidence,
        nearest=None if top is None else NearestItem(top.id, top.label, top.score),
    )

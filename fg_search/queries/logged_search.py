"""Search with or without a log of queries. The log changes no answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy.typing as npt

from fg_search.index.abstention import decision_on, settle
from fg_search.index.query_vectors import Queries, Query, encode_queries
from fg_search.index.search import flagged, flagged_groups, group, search, settle_groups
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import GroupedResult, SearchResult
from fg_search.index.state import GivenEmbeddings, IndexState
from fg_search.index.tracing import span
from fg_search.layout.logs import now
from fg_search.queries.entries import Logging, NearestItem
from fg_search.queries.log import AskedQuery, write_queries
from fg_search.validation import is_blank, plain_text

_LOG = logging.getLogger(__name__)


async def search_texts(
    state: IndexState,
    queries: Sequence[Query],
    options: SearchOptions,
    embeddings: GivenEmbeddings,
    which: Logging,
    *,
    batch_size: int | None = None,
    show_progress: bool | None = False,
) -> list[SearchResult]:
    """Search for queries, and log some of them.

    The log keeps the best hit of a query even if the result holds it back. So with a log, every query is searched for.

    Args:
        state: The index.
        queries: Texts, or lists of phrasings of one question.
        options: Options of the search.
        embeddings: Embeddings of all phrasings in order. By default they are encoded.
        which: Queries to log.
        batch_size: Number of texts the base model encodes at once.
        show_progress: Draw a progress bar.
    """
    with span("encode", queries=len(queries), model=state.metadata.model_name):
        encoded = await encode_queries(state, queries, embeddings, batch_size=batch_size, show_progress=show_progress)
    if which == "none":
        return await search(state, encoded, options)
    found = await flagged(state, encoded, options)
    await _log(state, encoded, found, options, which)
    return settle(found, options)


async def search_groups(
    state: IndexState,
    query: Query,
    options: SearchOptions,
    group_by: str,
    group_size: int,
    embeddings: GivenEmbeddings,
    which: Logging,
) -> GroupedResult:
    """Search for one query with hits grouped by the value of a payload field, and log it if asked to."""
    with span("encode", queries=1, model=state.metadata.model_name):
        encoded = await encode_queries(state, [query], embeddings, batch_size=None)
    if which == "none":
        return await group(state, encoded, options, group_by, group_size)
    found = await flagged_groups(state, encoded, options, group_by, group_size)
    await _log(state, encoded, [found.result], options, which)
    return settle_groups(found, options)


async def report_missing(state: IndexState, query: Query, note: str | None) -> None:
    """Enter a query into the log as one without an answer, see :meth:`fg_search.ConfidenceIndex.report_missing`."""
    encoded = await encode_queries(state, [query], None, batch_size=None)
    options = SearchOptions(limit=1)
    (found,) = await flagged(state, encoded, options)
    said = "" if note is None or is_blank(note) else f": {plain_text(note.strip())}"
    unanswered = replace(found, decision="abstain", uncertain=True, reason=f"reported as missing{said}")
    await write_queries(state, [_asked(unanswered, encoded.vectors[0].base, now(), options, sampled=False)])


async def _log(
    state: IndexState, queries: Queries, found: Sequence[SearchResult], options: SearchOptions, which: Logging
) -> None:
    """Write queries to the log. A failure is only a warning, as an answer is worth more than its entry."""
    if options.offset:  # a further page of a query that was logged with its first page
        return
    time = now()
    asked = [
        _asked(result, vectors.base, time, options, sampled=which == "all")
        for result, vectors in zip(found, queries.vectors, strict=True)
        if which == "all" or result.uncertain or result.decision == "abstain"
    ]
    if not asked:
        return
    try:
        await write_queries(state, asked)
    except Exception as error:
        _LOG.warning("the log of %s lacks queries (%d) that were answered: %s", state.name, len(asked), error)


def _asked(
    result: SearchResult, base: npt.ArrayLike, time: str, options: SearchOptions, *, sampled: bool
) -> AskedQuery:
    top = result.hits[0] if result.hits else None
    return AskedQuery(
        text=result.query,
        base=base,
        time=time,
        decision=decision_on(result, options),
        uncertain=result.uncertain,
        reason=result.reason,
        query_confidence=result.query_confidence,
        confidence=result.confidence,
        evidence=result.evidence,
        nearest=None if top is None else NearestItem(top.id, top.label, top.score),
        sampled=sampled,
    )

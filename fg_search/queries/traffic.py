"""A sample of the traffic: queries that are given, or the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import numpy as np

from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.index.adaptation import Sample, adapt_to_sample, adaptable, shift_of_sample
from fg_search.index.calibration import Calibration
from fg_search.index.query_vectors import Queries, Query, encode_queries, query_vectors
from fg_search.index.state import GivenEmbeddings, IndexState
from fg_search.queries.embeddings import base_embeddings
from fg_search.queries.entries import LoggedQuery
from fg_search.queries.log import read_queries


async def adapt_to_traffic(
    state: IndexState,
    queries: Sequence[Query] | None,
    since: datetime | None,
    embeddings: GivenEmbeddings,
    *,
    batch_size: int | None,
    show_progress: bool | None,
) -> Calibration:
    """Estimate the share of unanswerable queries among those given or in the log, and keep the calibration for it.

    Raises:
        NotCalibratedError: If the index has no calibration.
        ValueError: If there are too few queries, or ``since`` has no time zone.
    """
    calibration = await adaptable(state)
    sample = await _sample(state, queries, since, embeddings, batch_size, show_progress)
    return await adapt_to_sample(state, calibration, sample)


async def check_traffic(
    state: IndexState,
    queries: Sequence[Query] | None,
    since: datetime | None,
    embeddings: GivenEmbeddings,
    *,
    batch_size: int | None,
    show_progress: bool | None,
) -> TrafficShift:
    """Whether such queries differ from the judged ones in another way than by that share; nothing is kept.

    Raises:
        NotCalibratedError: If the index has no calibration.
        ValueError: If there are too few queries, or ``since`` has no time zone.
    """
    calibration = await adaptable(state)
    sample = await _sample(state, queries, since, embeddings, batch_size, show_progress)
    return await shift_of_sample(state, calibration, sample)


async def _sample(
    state: IndexState,
    queries: Sequence[Query] | None,
    since: datetime | None,
    embeddings: GivenEmbeddings,
    batch_size: int | None,
    show_progress: bool | None,
) -> Sample:
    """Queries that are given, of which equal ones are one that was asked more than once; else those of the log."""
    if queries is None:
        return await _of_log(state, since, batch_size)
    given = await encode_queries(state, queries, embeddings, batch_size=batch_size, show_progress=show_progress)
    first: dict[str, int] = {}
    counts = np.bincount([first.setdefault(text, len(first)) for text in given.texts]).astype(np.float64)
    vectors = dict(zip(reversed(given.texts), reversed(given.vectors), strict=True))
    return Sample(Queries(list(first), [vectors[text] for text in first]), counts)


async def _of_log(state: IndexState, since: datetime | None, batch_size: int | None) -> Sample:
    """The queries that were logged while all were: the uncertain ones alone are no sample of the traffic."""
    queries = [query for query in await read_queries(state) if query.sampled and _is_late(query, since)]
    if not queries:
        raise ValueError(
            f"the log of {state.name} holds no queries of a time when all were logged, and the uncertain ones alone "
            "are no sample of the traffic: log all (index.log_queries('all') or `fg-search serve --adapt-every 60`), "
            "give queries, or state the share: expected_unanswerable=0.2"
        )
    base = await base_embeddings(state, queries, batch_size)
    embeddings = await state.engine.work(partial(state.features, base, "query"))
    encoded = Queries([query.text for query in queries], query_vectors(embeddings))
    return Sample(encoded, np.array([query.sampled for query in queries], dtype=np.float64))


def _is_late(query: LoggedQuery, since: datetime | None) -> bool:
    if since is None:
        return True
    if since.tzinfo is None:
        raise ValueError(f"since must have a time zone, got {since}")
    return datetime.fromisoformat(query.last) >= since

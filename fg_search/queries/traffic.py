"""The log as a sample of the traffic: a calibration follows the share of queries that have no answer."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import numpy as np

from fg_search.index.adaptation import adapt_to_encoded, adaptable
from fg_search.index.calibration import Calibration
from fg_search.index.query_vectors import Queries, query_vectors
from fg_search.index.state import IndexState
from fg_search.queries.embeddings import base_embeddings
from fg_search.queries.entries import LoggedQuery
from fg_search.queries.log import read_queries


async def adapt_to_log(state: IndexState, since: datetime | None, *, batch_size: int | None) -> Calibration:
    """Estimate the share of unanswerable queries from the log, and keep the calibration for that share.

    Only queries count that were logged while all queries were: the uncertain ones alone are no sample of the traffic.

    Raises:
        NotCalibratedError: If the index has no calibration.
        ValueError: If the log holds too few such queries, or ``since`` has no time zone.
    """
    calibration = await adaptable(state)
    queries = [query for query in await read_queries(state) if query.sampled and _is_late(query, since)]
    if not queries:
        raise ValueError(
            f"the log of {state.name} holds no queries of a time when all were logged, and the uncertain ones alone "
            "are no sample of the traffic: log all (index.log_queries('all') or `fg-search serve --adapt-every 60`), "
            "give queries, or state the share: expected_unanswerable=0.2"
        )
    base = await base_embeddings(state, queries, batch_size)
    embeddings = await state.engine.work(partial(state.encoder.features, base))
    encoded = Queries([query.text for query in queries], query_vectors(embeddings))
    counts = np.array([query.sampled for query in queries], dtype=np.float64)
    return await adapt_to_encoded(state, calibration, encoded, counts)


def _is_late(query: LoggedQuery, since: datetime | None) -> bool:
    if since is None:
        return True
    if since.tzinfo is None:
        raise ValueError(f"since must have a time zone, got {since}")
    return datetime.fromisoformat(query.last) >= since

"""Samples of the traffic: queries that are given, or the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np

from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.index.adaptation import Sample, adapt_to_samples, check_whole, present_calibration, shift_of_samples
from fg_search.index.calibration import Calibration
from fg_search.index.query_vectors import Queries, Query, encode_queries, query_vectors
from fg_search.index.state import GivenEmbeddings, IndexState
from fg_search.queries.embeddings import base_embeddings
from fg_search.queries.entries import LoggedQuery
from fg_search.queries.log import read_queries_of_all
from fg_search.validation import check_list


@dataclass(frozen=True)
class Traffic:
    """What to take for the traffic, as :meth:`fg_search.ConfidenceIndex.adapt` is told.

    Attributes:
        queries: Queries; by default those of the log.
        tenants: Tenant of each of them, in an index with tenants of which none was chosen.
        since: Earliest time of queries of the log.
        embeddings: Embeddings of the queries.
        batch_size: Number of texts the base model encodes at once.
        show_progress: Draw a progress bar.
    """

    queries: Sequence[Query] | None
    tenants: Sequence[str] | None
    since: datetime | None
    embeddings: GivenEmbeddings
    batch_size: int | None
    show_progress: bool | None

    def __post_init__(self) -> None:
        if self.queries is not None and self.since is not None:
            raise ValueError("since chooses queries from the log; leave it out where queries are given")
        if self.queries is None and self.tenants is not None:
            raise ValueError("the log knows the tenants of its queries; leave tenants out, or give queries")


async def adapt_to_traffic(state: IndexState, traffic: Traffic, reviewer: str) -> Calibration:
    """Estimate the share of unanswerable queries among those given or in the log, and keep the calibration for it.

    Raises:
        NotCalibratedError: If the index has no calibration.
        ValueError: If a tenant was chosen, there are too few queries, or ``since`` has no time zone.
    """
    check_whole(state)
    calibration = await present_calibration(state)
    return await adapt_to_samples(state, calibration, await _samples(state, traffic), reviewer)


async def check_traffic(state: IndexState, traffic: Traffic) -> TrafficShift:
    """Whether such queries differ from the judged ones in another way than by that share; nothing is kept.

    Raises:
        NotCalibratedError: If the index has no calibration.
        ValueError: If there are too few queries, or ``since`` has no time zone.
    """
    calibration = await present_calibration(state)
    return await shift_of_samples(state, calibration, await _samples(state, traffic))


async def _samples(state: IndexState, traffic: Traffic) -> list[Sample]:
    """Queries that are given, of which equal ones are one that was asked more than once; else those of the log."""
    given = traffic.queries
    if given is None:
        return await _of_log(state, traffic)
    check_list(given, "queries", ordered=True)
    if not len(given):
        raise ValueError("queries is empty; give some hundreds, or leave it out to take those of the log")
    tenants = _tenants(state, traffic, len(given))
    encoded = await encode_queries(
        state, given, traffic.embeddings, batch_size=traffic.batch_size, show_progress=traffic.show_progress
    )
    rows: dict[str | None, dict[str, list[int]]] = {}
    for row, (tenant, text) in enumerate(zip(tenants, encoded.texts, strict=True)):
        rows.setdefault(tenant, {}).setdefault(text, []).append(row)
    return [
        Sample(
            Queries(list(of_text), [encoded.vectors[same[0]] for same in of_text.values()]),
            np.array([len(same) for same in of_text.values()], dtype=np.float64),
            tenant,
        )
        for tenant, of_text in rows.items()
    ]


def _tenants(state: IndexState, traffic: Traffic, count: int) -> Sequence[str | None]:
    """Tenant of each query."""
    if traffic.tenants is None:
        if state.metadata.settings.tenant_key is not None and state.chosen_tenant is None:
            raise ValueError(f"{state.name} has tenants; say of which each query is: tenants=[…]")
        return [state.chosen_tenant] * count
    if state.chosen_tenant is not None:
        raise ValueError(f"the tenant {state.chosen_tenant!r} was chosen already; give tenants to the index of all")
    check_list(traffic.tenants, "tenants", ordered=True)
    if len(traffic.tenants) != count:
        raise ValueError(f"tenants has {len(traffic.tenants)} items, queries {count}; give one for each query")
    return traffic.tenants


async def _of_log(state: IndexState, traffic: Traffic) -> list[Sample]:
    """The queries that were logged while all were: the uncertain ones alone are no sample of the traffic."""
    found = []
    for tenant, logged in (await read_queries_of_all(state)).items():
        queries = [query for query in logged if query.sampled and _is_late(query, traffic.since)]
        if not queries:
            continue
        base = await base_embeddings(state.of(tenant), queries, traffic.batch_size)
        embeddings = await state.engine.work(partial(state.features, base, "query"))
        encoded = Queries([query.text for query in queries], query_vectors(embeddings))
        found.append(Sample(encoded, np.array([query.sampled for query in queries], dtype=np.float64), tenant))
    if not found:
        raise ValueError(
            f"the log of {state.name} holds no queries of a time when all were logged, and the uncertain ones alone "
            "are no sample of the traffic: log all (index.log_queries('all') or `fg-search serve --adapt-every 60`), "
            "give queries, or state the share: expected_unanswerable=0.2"
        )
    return found


def _is_late(query: LoggedQuery, since: datetime | None) -> bool:
    if since is None:
        return True
    if since.tzinfo is None:
        raise ValueError(f"since must have a time zone, got {since}")
    return datetime.fromisoformat(query.last) >= since

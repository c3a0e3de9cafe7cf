"""Adaptation of a calibration to the traffic: to the share of queries that have no answer, and what else differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

import numpy as np
import numpy.typing as npt

from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.errors import NotCalibratedError
from fg_search.index.calibration import Calibration
from fg_search.index.quality_history import QualityEntry, noted
from fg_search.index.query_vectors import Queries
from fg_search.index.relevance import keep, kept_calibration
from fg_search.index.result_evidence import evidence_if_any, joined
from fg_search.index.retrieval import check_findable
from fg_search.index.search_options import SearchOptions
from fg_search.index.state import IndexState
from fg_search.layout.keys import ADAPTATION_KEY


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample of the traffic of one tenant, or of an index without tenants, that nobody judged.

    Attributes:
        queries: Different queries.
        counts: ``(m,)`` float64 number of times that each was asked.
        tenant: The tenant among whose items they were searched for.
    """

    queries: Queries
    counts: npt.NDArray[np.float64]
    tenant: str | None = None


async def adapt_to_samples(
    state: IndexState, calibration: Calibration, samples: Sequence[Sample], reviewer: str
) -> Calibration:
    """Estimate the share of unanswerable queries from samples, and keep the calibration for that share."""
    features, counts = await _features(state, calibration, samples)
    work = partial(calibration.adapted, features, counts=counts, at=datetime.now(timezone.utc))
    return await _keep(state, await state.engine.work(work), reviewer)


async def shift_of_samples(state: IndexState, calibration: Calibration, samples: Sequence[Sample]) -> TrafficShift:
    """Whether samples differ from the judged queries in another way than by that share."""
    features, counts = await _features(state, calibration, samples)
    return await state.engine.work(partial(calibration.promise.shift, features, counts=counts))


async def adapt_to_share(state: IndexState, share: float, reviewer: str) -> Calibration:
    """Keep the calibration for a share of unanswerable queries that is known."""
    check_whole(state)
    calibration = await present_calibration(state)
    work = partial(calibration.adapted, expected_unanswerable=share, at=datetime.now(timezone.utc))
    return await _keep(state, await state.engine.work(work), reviewer)


async def _features(
    state: IndexState, calibration: Calibration, samples: Sequence[Sample]
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Features of the queries that have hits, and how often each was asked."""
    options = SearchOptions(
        rank_by=calibration.rank_by,
        min_confidence=calibration.min_confidence,
        confidence_weight=calibration.confidence_weight,
        min_familiarity=calibration.min_familiarity,
        familiarity_weight=calibration.familiarity_weight,
    )
    tables, counts = [], []
    for sample in samples:
        of_tenant = state.of(sample.tenant)
        found, features = await evidence_if_any(of_tenant, sample.queries, options, calibration.relevant_by)
        if features:
            tables.append(features)
            counts.append(sample.counts[[bool(hits) for hits in found]])
    if not tables:
        for sample in samples:
            await check_findable(state.of(sample.tenant), options)
        raise ValueError("no query has a hit: are there items that pass the filters of the calibration?")
    return joined(tables), np.concatenate(counts)


def check_whole(state: IndexState) -> None:
    """Check that no tenant was chosen: one calibration holds for all, and follows the traffic of all.

    Raises:
        ValueError: If one was.
    """
    if state.chosen_tenant is not None:
        raise ValueError(
            f"the calibration of {state.name} follows the traffic of all tenants, and {state.chosen_tenant!r} is one; "
            "adapt the index itself: index.adapt(), or `fg-search adapt` without --tenant"
        )


async def present_calibration(state: IndexState) -> Calibration:
    """The index's calibration as it is now: somebody else may have calibrated it since it was opened here.

    Raises:
        NotCalibratedError: If there is none.
    """
    calibration = await kept_calibration(state)
    if calibration is None:
        raise NotCalibratedError(
            f"{state.name} has no calibration that could follow the traffic; calibrate it once on judged queries: "
            "index.calibrate(held_out_queries, relevant=labels_or_ids) or `fg-search calibrate`"
        )
    return calibration


async def _keep(state: IndexState, adapted: Calibration, reviewer: str) -> Calibration:
    entry = await state.engine.work(lambda: QualityEntry.of_adaptation(adapted, reviewer))
    followed = {ADAPTATION_KEY: adapted.to_metadata()[ADAPTATION_KEY]}
    await keep(state, {**followed, **await noted(state, entry)})
    return adapted

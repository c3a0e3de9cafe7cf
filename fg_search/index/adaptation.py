"""Adaptation of a calibration to the traffic: to the share of queries that have no answer, and what else differs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

import numpy as np
import numpy.typing as npt

from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.errors import NotCalibratedError
from fg_search.index.calibration import Calibration
from fg_search.index.query_vectors import Queries
from fg_search.index.relevance import keep
from fg_search.index.result_evidence import evidence
from fg_search.index.search_options import SearchOptions
from fg_search.index.state import IndexState
from fg_search.layout.keys import ADAPTATION_KEY


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample of the traffic that nobody judged.

    Attributes:
        queries: Different queries.
        counts: ``(m,)`` float64 number of times that each was asked.
    """

    queries: Queries
    counts: npt.NDArray[np.float64]


async def adapt_to_sample(state: IndexState, calibration: Calibration, sample: Sample) -> Calibration:
    """Estimate the share of unanswerable queries from a sample, and keep the calibration for that share."""
    features, counts = await _features(state, calibration, sample)
    work = partial(calibration.adapted, features, counts=counts, at=datetime.now(timezone.utc))
    return await _keep(state, await state.engine.work(work))


async def shift_of_sample(state: IndexState, calibration: Calibration, sample: Sample) -> TrafficShift:
    """Whether a sample differs from the judged queries in another way than by that share."""
    features, counts = await _features(state, calibration, sample)
    return await state.engine.work(partial(calibration.promise.shift, features, counts=counts))


async def adapt_to_share(state: IndexState, share: float) -> Calibration:
    """Keep the calibration for a share of unanswerable queries that is known."""
    calibration = await adaptable(state)
    work = partial(calibration.adapted, expected_unanswerable=share, at=datetime.now(timezone.utc))
    return await _keep(state, await state.engine.work(work))


async def _features(
    state: IndexState, calibration: Calibration, sample: Sample
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Features of the queries that have hits, and how often each was asked."""
    options = SearchOptions(
        rank_by=calibration.rank_by,
        min_confidence=calibration.min_confidence,
        confidence_weight=calibration.confidence_weight,
        min_familiarity=calibration.min_familiarity,
        familiarity_weight=calibration.familiarity_weight,
    )
    found, features = await evidence(state, sample.queries, options, calibration.relevant_by)
    return features, sample.counts[[bool(hits) for hits in found]]


async def adaptable(state: IndexState) -> Calibration:
    """The index's calibration as it is now: somebody else may have calibrated it since it was opened here.

    Raises:
        NotCalibratedError: If there is none.
    """
    info = await state.engine.get_collection(state.collection)
    calibration = Calibration.of_metadata(info.config.metadata, state.metadata.fingerprint)
    if calibration is None:
        raise NotCalibratedError(
            f"{state.name} has no calibration that could follow the traffic; calibrate it once on judged queries: "
            "index.calibrate(held_out_queries, relevant=labels_or_ids) or `fg-search calibrate`"
        )
    return calibration


async def _keep(state: IndexState, adapted: Calibration) -> Calibration:
    await keep(state, {ADAPTATION_KEY: adapted.to_metadata()[ADAPTATION_KEY]})
    return adapted

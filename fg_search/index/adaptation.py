"""Adaptation of a calibration to the traffic: to the share of queries that have no answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from fg_search.errors import NotCalibratedError
from fg_search.index.calibration import Calibration
from fg_search.index.query_vectors import Queries, Query, encode_queries
from fg_search.index.relevance import keep
from fg_search.index.result_evidence import evidence
from fg_search.index.search_options import SearchOptions
from fg_search.index.state import IndexState
from fg_search.layout.keys import ADAPTATION_KEY
from fg_search.model.embeddings import FeatureEmbeddings


async def adapt_to_queries(
    state: IndexState,
    queries: Sequence[Query],
    embeddings: FeatureEmbeddings | None,
    *,
    batch_size: int | None,
    show_progress: bool | None,
) -> Calibration:
    """Estimate the share of unanswerable queries from unjudged ones, and keep the calibration for that share."""
    calibration = await adaptable(state)
    encoded = await encode_queries(state, queries, embeddings, batch_size=batch_size, show_progress=show_progress)
    return await adapt_to_encoded(state, calibration, encoded, None)


async def adapt_to_encoded(
    state: IndexState, calibration: Calibration, queries: Queries, counts: npt.NDArray[np.float64] | None
) -> Calibration:
    """The same for encoded queries, with the number of times that each was asked."""
    options = SearchOptions(
        rank_by=calibration.rank_by,
        min_confidence=calibration.min_confidence,
        confidence_weight=calibration.confidence_weight,
        min_familiarity=calibration.min_familiarity,
        familiarity_weight=calibration.familiarity_weight,
    )
    found, features = await evidence(state, queries, options, calibration.relevant_by)
    asked = None if counts is None else counts[[bool(hits) for hits in found]]
    return await _keep(state, await state.engine.work(partial(calibration.adapted, features, counts=asked)))


async def adapt_to_share(state: IndexState, share: float) -> Calibration:
    """Keep the calibration for a share of unanswerable queries that is known."""
    calibration = await adaptable(state)
    return await _keep(state, await state.engine.work(partial(calibration.adapted, expected_unanswerable=share)))


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

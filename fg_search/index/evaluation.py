"""Evaluation of an index on judged queries: how good its answers are, and whether it knows when they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fg_search.evaluation import SelectiveReport, brier_score, expected_calibration_error, selective_report
from fg_search.ids import UserId
from fg_search.index.calibration import RelevantBy
from fg_search.index.held_out import held_out
from fg_search.index.query_vectors import Query, encode_queries
from fg_search.index.relevance import JudgedQueries, Relevant, judge
from fg_search.index.retrieval import ranking
from fg_search.index.search_options import SearchOptions
from fg_search.index.state import IndexState
from fg_search.model.embeddings import FeatureEmbeddings

TARGETS = (0.9, 0.95, 0.99)


@dataclass(frozen=True)
class ReachedPrecision:
    """Coverage and precision that a target precision gives on the evaluated queries.

    Attributes:
        target: Target precision.
        threshold: Queries with at least this confidence are answered. ``None`` if no threshold can promise the target.
        coverage: Share of the queries that are answered, in [0, 1].
        precision: Share of right answers among the answered queries, ``nan`` if none is answered.
    """

    target: float
    threshold: float | None
    coverage: float
    precision: float


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The n evaluated queries one by one, as :mod:`fg_search.plots` draws them.

    Attributes:
        rankings: ``(n,)`` floats by the names of :attr:`IndexEvaluation.reports`. Higher means surer.
        correct: ``(n,)`` booleans, whether the top hit is right.
        in_scope: ``(n,)`` booleans, whether the index has a right answer.
        wanted: ``(n,)`` right labels or ids, ``None`` where there is none or more than one.
        found: ``(n,)`` labels or ids of the top hits, ``None`` where there is no hit or the top hit has no label.
    """

    rankings: dict[str, npt.NDArray[np.float64]]
    correct: npt.NDArray[np.bool_]
    in_scope: npt.NDArray[np.bool_]
    wanted: Sequence[UserId | None]
    found: Sequence[UserId | None]


@dataclass(frozen=True)
class IndexEvaluation:
    """Evaluation of an index on judged queries. Two evaluations are equal if their figures are.

    Attributes:
        relevant_by: ``"label"`` or ``"id"``, by which hits were judged.
        reports: Report for each number that can rank the answers: ``"score"``, ``"query confidence"`` and, if the
            index is calibrated for these searches, ``"confidence"``.
        ece: Expected calibration error of the confidence, ``None`` without a calibration.
        brier: Brier score of the confidence, ``None`` without a calibration.
        precisions: Results of some target precisions, empty without a calibration.
        outcomes: Outcomes query by query.
    """

    relevant_by: RelevantBy
    reports: dict[str, SelectiveReport]
    ece: float | None
    brier: float | None
    precisions: tuple[ReachedPrecision, ...]
    outcomes: Outcomes = field(repr=False, compare=False)


class _Evaluates(Protocol):
    def evaluate(self, queries: Sequence[Query], relevant: Sequence[Relevant], **options: Any) -> IndexEvaluation:
        """Measure the index."""


def evaluate(
    index: _Evaluates, queries: Sequence[Query], relevant: Sequence[Relevant], **options: Any
) -> IndexEvaluation:
    """Measure an index on queries with known answers, see :meth:`fg_search.ConfidenceIndex.evaluate`."""
    return index.evaluate(queries, relevant, **options)


async def evaluate_on(
    state: IndexState,
    queries: Sequence[Query],
    relevant: Sequence[Relevant],
    relevant_by: Literal["auto", "label", "id"],
    options: SearchOptions,
    embeddings: FeatureEmbeddings | None,
    *,
    relevant_within: int,
    batch_size: int | None,
    show_progress: bool | None,
) -> IndexEvaluation:
    """Evaluate the index, see :meth:`fg_search.ConfidenceIndex.evaluate`."""
    queries, relevant, embeddings = held_out(state, queries, relevant, embeddings)
    encoded = await encode_queries(state, queries, embeddings, batch_size=batch_size, show_progress=show_progress)
    judged = await judge(state, encoded, relevant, relevant_by, options, within=relevant_within)
    return _measure(state, judged, options, relevant_within)


def _measure(state: IndexState, judged: JudgedQueries, options: SearchOptions, within: int) -> IndexEvaluation:
    rankings = {"score": judged.score, "query confidence": judged.query_confidence}
    calibration = state.calibration
    fits = calibration is not None and calibration.fits(options, ranking(state, options.rank_by))
    if calibration is None or not fits or calibration.relevant_within != within:
        outcomes = _outcomes(rankings, judged)
        return IndexEvaluation(judged.relevant_by, _reports(outcomes), None, None, (), outcomes)
    confidence = np.zeros(len(judged.correct))
    confidence[judged.has_hit] = calibration.confidences(judged.features)
    precisions = []
    groups = [calibration.group_of(label, state.chosen_tenant) for label in judged.labels]
    for target in TARGETS:
        threshold = calibration.threshold(target).threshold
        answered = confidence >= calibration.least(target, groups)
        right = judged.correct[answered]
        precisions.append(
            ReachedPrecision(
                target, threshold, float(answered.mean()), float(right.mean()) if len(right) else float("nan")
            )
        )
    outcomes = _outcomes({"confidence": confidence, **rankings}, judged)
    return IndexEvaluation(
        judged.relevant_by,
        _reports(outcomes),
        expected_calibration_error(confidence, judged.correct),
        brier_score(confidence, judged.correct),
        tuple(precisions),
        outcomes,
    )


def _outcomes(rankings: dict[str, npt.NDArray[np.float64]], judged: JudgedQueries) -> Outcomes:
    return Outcomes(rankings, judged.correct, judged.in_scope, judged.wanted, judged.found)


def _reports(outcomes: Outcomes) -> dict[str, SelectiveReport]:
    return {
        name: selective_report(values, outcomes.correct, outcomes.in_scope)
        for name, values in outcomes.rankings.items()
    }

"""All metrics of search with abstention in one report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.bootstrap import Interval, bootstrap_interval
from fg_search.evaluation.out_of_scope import fpr_at_tpr, out_of_scope_auroc
from fg_search.evaluation.selective import (
    abstention_nauc,
    aurc,
    auroc,
    average_precision,
    coverage_at_precision,
    excess_aurc,
)
from fg_search.validation import check_booleans, check_outcomes


@dataclass(frozen=True)
class SelectiveReport:
    """Metrics of search with abstention; see the function of the same name for each.

    Attributes:
        queries: Number of queries.
        in_scope: Number of in-scope queries, which ``recall_at_1`` is over; everything else is over all queries.
        recall_at_1: Share of in-scope queries whose top hit is right; NaN without in-scope queries.
        auroc: AUROC of the confidence for right against wrong answers.
        average_precision: Average precision of the confidence for right answers.
        aurc: Area under the risk-coverage curve; lower is better.
        excess_aurc: AURC above that of a perfect ranking; lower is better.
        coverage_at_95: Coverage at 95 % precision.
        coverage_at_99: Coverage at 99 % precision.
        abstention_nauc: Normalised area under the abstention curve.
        out_of_scope_auroc: AUROC of the confidence for in-scope against out-of-scope queries; NaN without both kinds.
        fpr_at_95_tpr: Share of out-of-scope queries above the threshold that 95 % of in-scope queries reach; lower is
            better, NaN without both kinds.
    """

    queries: int
    in_scope: int
    recall_at_1: float
    auroc: float
    average_precision: float
    aurc: float
    excess_aurc: float
    coverage_at_95: float
    coverage_at_99: float
    abstention_nauc: float
    out_of_scope_auroc: float
    fpr_at_95_tpr: float


@dataclass(frozen=True)
class SelectiveIntervals:
    """Bootstrap confidence intervals of the metrics of :class:`SelectiveReport` that rank answers.

    Attributes:
        auroc: Interval of the AUROC.
        aurc: Interval of the area under the risk-coverage curve.
        abstention_nauc: Interval of the normalised area under the abstention curve.
    """

    auroc: Interval
    aurc: Interval
    abstention_nauc: Interval


def selective_report(confidence: npt.ArrayLike, correct: npt.ArrayLike, in_scope: npt.ArrayLike) -> SelectiveReport:
    """Compute every metric for the top hits of n queries.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        correct: ``(n,)`` booleans, whether the top hit is right; always false for an out-of-scope query.
        in_scope: ``(n,)`` booleans, whether the corpus can answer each query.

    Raises:
        ValueError: If lengths differ or are zero, a confidence is not finite, or an out-of-scope query is marked right.
    """
    right, inside = check_booleans(correct, name="correct"), check_booleans(in_scope, name="in_scope")
    if right.shape != inside.shape:
        raise ValueError(f"correct has {len(right)} items, in_scope has {len(inside)}")
    if (right & ~inside).any():
        raise ValueError(f"correct[{int((right & ~inside).argmax())}] is true, but the query is out of scope")
    return SelectiveReport(
        queries=len(right),
        in_scope=int(inside.sum()),
        recall_at_1=float(right[inside].mean()) if inside.any() else float("nan"),
        auroc=auroc(confidence, right),
        average_precision=average_precision(confidence, right),
        aurc=aurc(confidence, right),
        excess_aurc=excess_aurc(confidence, right),
        coverage_at_95=coverage_at_precision(confidence, right, 0.95),
        coverage_at_99=coverage_at_precision(confidence, right, 0.99),
        abstention_nauc=abstention_nauc(confidence, right.astype(np.float64)),
        out_of_scope_auroc=out_of_scope_auroc(confidence, inside),
        fpr_at_95_tpr=fpr_at_tpr(confidence, inside),
    )


def selective_intervals(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, resamples: int = 500, seed: int = 0
) -> SelectiveIntervals:
    """Compute 95 % bootstrap confidence intervals (:func:`bootstrap_interval`) for the top hits of n queries.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        correct: ``(n,)`` booleans, whether the top hit is right.
        resamples: Number of resamples, at least 1.
        seed: Random seed.

    Raises:
        ValueError: If lengths differ or are zero, a confidence is not finite, or a number is out of range.
    """
    scores, right = check_outcomes(confidence, correct)

    def interval(metric: Callable[..., float]) -> Interval:
        return bootstrap_interval(metric, scores, right, resamples=resamples, seed=seed)

    return SelectiveIntervals(interval(auroc), interval(aurc), interval(abstention_nauc))

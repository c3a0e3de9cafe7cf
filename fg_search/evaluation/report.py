"""All metrics of search with abstention in one report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.out_of_scope import fpr_at_tpr, out_of_scope_auroc
from fg_search.evaluation.selective import (
    abstention_nauc,
    aurc,
    auroc,
    average_precision,
    coverage_at_precision,
    excess_aurc,
)
from fg_search.validation import check_booleans


@dataclass(frozen=True)
class SelectiveReport:
    """Metrics of search with abstention; see the function of the same name for each.

    Attributes:
        queries: Number of queries.
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

"""All figures of a search with abstention, in one object."""

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
    """Quality of search with abstention; each figure is explained by the function of its name.

    Attributes:
        queries: Number of queries.
        recall_at_1: Share of the in-scope queries whose top hit is right.
        auroc: Probability that a right answer has a higher confidence than a wrong one.
        average_precision: Of confidence for correctness.
        aurc: Area under the risk-coverage curve; lower is better.
        excess_aurc: The same above a perfect ranking.
        coverage_at_95: Share of queries answered at 95 % precision.
        coverage_at_99: Share of queries answered at 99 % precision.
        abstention_nauc: Normalised area under the abstention curve.
        out_of_scope_auroc: In-scope against out-of-scope queries; NaN if all are of one kind, as the next.
        fpr_at_95_tpr: Out-of-scope queries that pass where 95 % of the in-scope queries pass.
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
    """Judge the top hits of a set of queries by the number that ranks them.

    Args:
        confidence: ``(n,)`` finite numbers, higher is surer.
        correct: ``(n,)`` booleans, whether the top hit is right; an out-of-scope query is always wrong.
        in_scope: ``(n,)`` booleans, whether there was a right answer to find.

    Raises:
        ValueError: If lengths differ or are zero, or an out-of-scope query is said to be right.
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

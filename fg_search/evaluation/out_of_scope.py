"""Out-of-scope detection: separating queries that the corpus can answer from those that it cannot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.selective import auroc
from fg_search.validation import check_outcomes


def out_of_scope_auroc(confidence: npt.ArrayLike, in_scope: npt.ArrayLike) -> float:
    """Probability that an in-scope query has a higher confidence than an out-of-scope one (Hendrycks & Gimpel, 2017).

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        in_scope: ``(n,)`` booleans, whether the corpus can answer each query.

    Returns:
        A number in [0, 1]; NaN if all queries are in scope or all are out of scope.

    Raises:
        ValueError: If lengths differ or are zero, or a confidence is not finite.
    """
    return auroc(confidence, in_scope)


def fpr_at_tpr(confidence: npt.ArrayLike, in_scope: npt.ArrayLike, tpr: float = 0.95) -> float:
    """False-positive rate at a true-positive rate, FPR@95TPR by default (Liang, Li & Srikant, 2018).

    It is the share of out-of-scope queries above the threshold that a share ``tpr`` of the in-scope queries reaches.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        in_scope: ``(n,)`` booleans, whether the corpus can answer each query.
        tpr: True-positive rate, in (0, 1].

    Returns:
        A number in [0, 1], lower is better; NaN if all queries are in scope or all are out of scope.

    Raises:
        ValueError: If lengths differ or are zero, a confidence is not finite, or ``tpr`` is out of range.
    """
    scores, inside = check_outcomes(confidence, in_scope)
    if not 0 < tpr <= 1:
        raise ValueError(f"tpr must be greater than 0 and at most 1, got {tpr}")
    if inside.all() or not inside.any():
        return float("nan")
    ranked = np.sort(scores[inside])[::-1]
    threshold = ranked[int(np.ceil(tpr * len(ranked) - 1e-9)) - 1]  # 1e-9: .95 · 20 must not round up to 20
    return float((scores[~inside] >= threshold).mean())

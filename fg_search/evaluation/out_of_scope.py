"""Telling queries that the corpus can answer from those that it cannot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.selective import auroc
from fg_search.validation import check_outcomes


def out_of_scope_auroc(confidence: npt.ArrayLike, in_scope: npt.ArrayLike) -> float:
    """Probability that an in-scope query has a higher confidence than an out-of-scope one (Hendrycks & Gimpel, 2017).

    Args:
        confidence: ``(n,)`` finite numbers, higher is surer.
        in_scope: ``(n,)`` booleans.

    Returns:
        A number in [0, 1]; NaN if there are queries of one kind only.
    """
    return auroc(confidence, in_scope)


def fpr_at_tpr(confidence: npt.ArrayLike, in_scope: npt.ArrayLike, tpr: float = 0.95) -> float:
    """Share of the out-of-scope queries that pass a threshold which ``tpr`` of the in-scope queries pass.

    Hendrycks & Gimpel (2017), Liang, Li & Srikant (2018): FPR@95TPR.

    Returns:
        A number in [0, 1], lower is better; NaN if there are queries of one kind only.
    """
    scores, inside = check_outcomes(confidence, in_scope)
    if not 0 < tpr <= 1:
        raise ValueError(f"tpr must be greater than 0 and at most 1, got {tpr}")
    if inside.all() or not inside.any():
        return float("nan")
    ranked = np.sort(scores[inside])[::-1]
    threshold = ranked[int(np.ceil(tpr * len(ranked) - 1e-9)) - 1]  # 1e-9: .95 · 20 is 19 and not a trifle more
    return float((scores[~inside] >= threshold).mean())

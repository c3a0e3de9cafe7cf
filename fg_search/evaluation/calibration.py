"""Whether a probability means what it says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.validation import check_outcomes


def expected_calibration_error(probability: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 15) -> float:
    """Mean distance between what was promised and what came true, over bins of equal width (Guo et al., 2017).

    Args:
        probability: ``(n,)`` numbers in [0, 1], the promised chance of being right.
        correct: ``(n,)`` booleans.
        bins: Number of bins of [0, 1].

    Returns:
        A number in [0, 1], lower is better.
    """
    promised, right = _check_probability(probability, correct)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    # bins are (a, b] as in the paper; 0 joins the first
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    which = np.searchsorted(inner, promised, side="left")
    gap = np.bincount(which, weights=right - promised, minlength=bins)
    return float(np.abs(gap).sum() / len(promised))


def brier_score(probability: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Mean squared distance of the promised chance from what came true, 1 or 0 (Brier, 1950).

    Returns:
        A number in [0, 1], lower is better.
    """
    from sklearn.metrics import brier_score_loss

    promised, right = _check_probability(probability, correct)
    return float(brier_score_loss(right, promised, labels=[False, True]))


def _check_probability(
    probability: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    promised, right = check_outcomes(probability, correct)
    outside = np.flatnonzero((promised < 0) | (promised > 1))
    if len(outside):
        raise ValueError(f"probability[{outside[0]}] is {promised[outside[0]]:g}, outside 0 to 1; calibrate it first")
    return promised, right

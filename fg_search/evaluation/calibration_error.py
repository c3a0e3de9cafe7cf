"""Calibration error: how far predicted probabilities are from observed frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.proportions import wilson_interval
from fg_search.validation import check_count, check_outcomes


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram: the answers whose predicted probability is in (low, high].

    Attributes:
        low: Lower end, excluded; the first bin also contains 0.
        high: Upper end, included.
        queries: Number of queries in the bin.
        promised: Mean predicted probability of being right, in [0, 1].
        right: Share of right answers, in [0, 1].
        interval: 95 % confidence interval of ``right`` (:func:`wilson_interval`).
    """

    low: float
    high: float
    queries: int
    promised: float
    right: float
    interval: tuple[float, float]


def reliability_bins(probability: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 10) -> list[ReliabilityBin]:
    """Data of a reliability diagram with bins of equal width (Niculescu-Mizil & Caruana, 2005).

    Args:
        probability: ``(n,)`` predicted probabilities of being right, in [0, 1].
        correct: ``(n,)`` booleans, whether each answer is right.
        bins: Number of bins of [0, 1], at least 1.

    Returns:
        The non-empty bins, from low to high.

    Raises:
        ValueError: If lengths differ or are zero, or a number is out of range.
    """
    promised, right = _check_probability(probability, correct)
    which = _bins(promised, bins)
    found = []
    for i in np.unique(which):
        members = which == i
        count, share = int(members.sum()), float(right[members].mean())
        found.append(
            ReliabilityBin(
                float(i / bins),
                float((i + 1) / bins),
                count,
                float(promised[members].mean()),
                share,
                wilson_interval(share, count),
            )
        )
    return found


def expected_calibration_error(probability: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 15) -> float:
    """Expected calibration error over bins of equal width (Guo et al., 2017).

    It is the difference between mean predicted probability and accuracy of each bin, averaged over all answers.

    Args:
        probability: ``(n,)`` predicted probabilities of being right, in [0, 1].
        correct: ``(n,)`` booleans, whether each answer is right.
        bins: Number of bins of [0, 1], at least 1.

    Returns:
        A number in [0, 1], lower is better.

    Raises:
        ValueError: If lengths differ or are zero, or a number is out of range.
    """
    promised, right = _check_probability(probability, correct)
    gap = np.bincount(_bins(promised, bins), weights=right - promised)
    return float(np.abs(gap).sum() / len(promised))


def brier_score(probability: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Mean squared difference between predicted probability and outcome, 1 or 0 (Brier, 1950).

    Args:
        probability: ``(n,)`` predicted probabilities of being right, in [0, 1].
        correct: ``(n,)`` booleans, whether each answer is right.

    Returns:
        A number in [0, 1], lower is better.

    Raises:
        ValueError: If lengths differ or are zero, or a probability is out of range.
    """
    from sklearn.metrics import brier_score_loss

    promised, right = _check_probability(probability, correct)
    return float(brier_score_loss(right, promised, labels=[False, True]))


def _bins(promised: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.int64]:
    """Bin ``(n,)`` of each probability; bins are (a, b] as in Guo et al., and 0 belongs to the first."""
    check_count(bins, name="bins")
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], promised, side="left")


def _check_probability(
    probability: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    promised, right = check_outcomes(probability, correct)
    outside = np.flatnonzero((promised < 0) | (promised > 1))
    if len(outside):
        raise ValueError(f"probability[{outside[0]}] is {promised[outside[0]]:g}, outside 0 to 1; calibrate it first")
    return promised, right

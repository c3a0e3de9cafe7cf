"""Whether a probability means what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.validation import check_count, check_outcomes

_Z = 1.96  # of a normal distribution, for an interval of 95 %


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose promised chance to be right lies in one interval.

    Attributes:
        low: Of the interval, which holds what is greater than this (the first one also 0).
        high: Of the interval, which holds this, too.
        queries: How many.
        promised: Their mean chance to be right.
        right: Share of them that was right.
        interval: 95 % interval of that share (:func:`wilson_interval`).
    """

    low: float
    high: float
    queries: int
    promised: float
    right: float
    interval: tuple[float, float]


def reliability_bins(probability: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 10) -> list[ReliabilityBin]:
    """Promised and observed shares of right answers, by intervals of equal width: a reliability diagram's numbers.

    Niculescu-Mizil & Caruana (2005).

    Args:
        probability: ``(n,)`` numbers in [0, 1], the promised chance of being right.
        correct: ``(n,)`` booleans.
        bins: Number of intervals of [0, 1].

    Returns:
        From low to high; empty intervals are left out.
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
    """Mean distance between what was promised and what came true, over bins of equal width (Guo et al., 2017).

    Args:
        probability: ``(n,)`` numbers in [0, 1], the promised chance of being right.
        correct: ``(n,)`` booleans.
        bins: Number of bins of [0, 1].

    Returns:
        A number in [0, 1], lower is better.
    """
    promised, right = _check_probability(probability, correct)
    gap = np.bincount(_bins(promised, bins), weights=right - promised)
    return float(np.abs(gap).sum() / len(promised))


def brier_score(probability: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Mean squared distance of the promised chance from what came true, 1 or 0 (Brier, 1950).

    Returns:
        A number in [0, 1], lower is better.
    """
    from sklearn.metrics import brier_score_loss

    promised, right = _check_probability(probability, correct)
    return float(brier_score_loss(right, promised, labels=[False, True]))


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share in [0, 1] that was seen among ``count`` (Wilson, 1927)."""
    square = _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z * ((share * (1 - share) + square / (4 * count)) / count) ** 0.5 / (1 + square / count)
    # of 0 and 1 an end of the interval is the share itself, which rounding would miss
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def _bins(promised: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.int64]:
    """In which of ``bins`` intervals of [0, 1] each lies: (a, b] as Guo et al. have them; 0 joins the first."""
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

"""What the judged queries of a calibration tell, as numbers to draw and to read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Z = 1.96  # of a normal distribution, for an interval of 95 %


@dataclass(frozen=True)
class ReliabilityBin:
    """The queries whose promised chance to be right lies in one interval.

    Attributes:
        low: Of the interval.
        high: Of the interval.
        queries: How many.
        promised: Their mean chance to be right.
        right: Share of them that was right.
        interval: 95 % interval of that share (Wilson, 1927).
    """

    low: float
    high: float
    queries: int
    promised: float
    right: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class CurvePoint:
    """What answering the surest queries costs.

    Attributes:
        coverage: Share of the queries that are answered.
        risk: Share of wrong answers among these.
        threshold: The least confidence of these.
    """

    coverage: float
    risk: float
    threshold: float


def reliability(
    confidence: npt.NDArray[np.float32], correct: npt.NDArray[np.bool_], bins: int = 10
) -> list[ReliabilityBin]:
    """Promised and observed shares of right answers, by intervals of equal width; empty ones are left out.

    Args:
        confidence: ``(n,)`` promised chances in [0, 1].
        correct: ``(n,)`` whether the answer was right.
        bins: Number of intervals.
    """
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    found = []
    for i in range(bins):
        members = which == i
        count = int(members.sum())
        if count:
            right = float(correct[members].mean())
            promised = float(confidence[members].mean())
            found.append(ReliabilityBin(i / bins, (i + 1) / bins, count, promised, right, wilson(right, count)))
    return found


def risk_coverage(confidence: npt.NDArray[np.float32], correct: npt.NDArray[np.bool_]) -> list[CurvePoint]:
    """The risk at each coverage that a threshold can have: queries of equal confidence are answered together.

    Args:
        confidence: ``(n,)`` numbers.
        correct: ``(n,)`` whether the answer was right.
    """
    values, block = np.unique(-confidence, return_inverse=True)
    answered = np.cumsum(np.bincount(block))
    errors = np.cumsum(np.bincount(block, weights=~correct))
    return [
        CurvePoint(float(count / len(correct)), float(wrong / count), float(-value))
        for count, wrong, value in zip(answered, errors, values, strict=True)
    ]


def at_coverages(curve: list[CurvePoint], steps: int = 10) -> list[CurvePoint]:
    """The points of a curve nearest above each tenth of coverage, for a table."""
    chosen: dict[float, CurvePoint] = {}
    for step in range(1, steps + 1):
        point = next(point for point in curve if point.coverage >= step / steps - 1e-9)
        chosen[point.coverage] = point
    return list(chosen.values())


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share that was seen among ``count`` (Wilson, 1927)."""
    square = _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z * ((share * (1 - share) + square / (4 * count)) / count) ** 0.5 / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)

"""Metrics of selective prediction: how well confidence ranks right answers above wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.validation import check_outcomes

_ABSTENTION_RATES = np.linspace(0, 1, 11)[:-1]


@dataclass(frozen=True)
class CurvePoint:
    """A point of a risk-coverage curve.

    Attributes:
        coverage: Share of queries that are answered, in (0, 1].
        risk: Selective risk: share of wrong answers among the answered queries, in [0, 1].
        threshold: Lowest confidence among the answered queries.
    """

    coverage: float
    risk: float
    threshold: float


def auroc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Probability that a right answer has a higher confidence than a wrong one; ties count half.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        correct: ``(n,)`` booleans, whether each answer is right.

    Returns:
        A number in [0, 1], .5 for an uninformative confidence; NaN if all answers are right or all are wrong.

    Raises:
        ValueError: If lengths differ or are zero, or a confidence is not finite.
    """
    from scipy.stats import rankdata

    scores, right = check_outcomes(confidence, correct)
    count = int(right.sum())
    pairs = count * (len(right) - count)
    if not pairs:
        return float("nan")
    # the statistic of Mann & Whitney (1947); as by scikit-learn, in a third of the time, which resamples need
    return float((rankdata(scores)[right].sum() - count * (count + 1) / 2) / pairs)


def average_precision(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Area under the precision-recall curve of the confidence for right answers, as a step function.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        correct: ``(n,)`` booleans, whether each answer is right.

    Returns:
        A number in [0, 1]; the share of right answers for an uninformative confidence. NaN if no answer is right.

    Raises:
        ValueError: If lengths differ or are zero, or a confidence is not finite.
    """
    from sklearn.metrics import average_precision_score

    scores, right = check_outcomes(confidence, correct)
    return float(average_precision_score(right, scores)) if right.any() else float("nan")


def risk_coverage_curve(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> list[CurvePoint]:
    """Risk-coverage curve (El-Yaniv & Wiener, 2010): one point per threshold.

    Answers with the same confidence share a point, because no threshold separates them.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        correct: ``(n,)`` booleans, whether each answer is right.

    Returns:
        Points from the lowest coverage to full coverage.

    Raises:
        ValueError: If lengths differ or are zero, or a confidence is not finite.
    """
    values, errors, sizes = _errors_by_confidence(confidence, correct)
    answered, wrong = np.cumsum(sizes), np.cumsum(errors)
    return [
        CurvePoint(float(count / answered[-1]), float(errors_there / count), float(value))
        for count, errors_there, value in zip(answered, wrong, values, strict=True)
    ]


def at_coverages(curve: Sequence[CurvePoint], steps: int = 10) -> list[CurvePoint]:
    """Sample a risk-coverage curve for a table.

    Args:
        curve: Points by increasing coverage.
        steps: Number of equal steps of coverage, at least 1.

    Returns:
        The first point at or above each step, without duplicates.
    """
    chosen: dict[float, CurvePoint] = {}
    for step in range(1, steps + 1):
        point = next(point for point in curve if point.coverage >= step / steps - 1e-9)
        chosen[point.coverage] = point
    return list(chosen.values())


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Area under the risk-coverage curve (Geifman, Uziel & El-Yaniv, 2019).

    It is the mean over k of the error rate among the k most confident answers; ties are averaged over random orders.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        correct: ``(n,)`` booleans, whether each answer is right.

    Returns:
        A number in [0, 1], lower is better.

    Raises:
        ValueError: If lengths differ or are zero, or a confidence is not finite.
    """
    _, errors, sizes = _errors_by_confidence(confidence, correct)
    spread = np.repeat(errors / sizes, sizes)
    return float((np.cumsum(spread) / np.arange(1, len(spread) + 1)).mean())


def excess_aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """AURC minus that of a perfect ranking of the same answers (Geifman, Uziel & El-Yaniv, 2019).

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        correct: ``(n,)`` booleans, whether each answer is right.

    Returns:
        A number in [0, 1), lower is better; 0 if every right answer ranks above every wrong one.

    Raises:
        ValueError: If lengths differ or are zero, or a confidence is not finite.
    """
    _, right = check_outcomes(confidence, correct)
    return aurc(confidence, correct) - aurc(right, right)


def coverage_at_precision(confidence: npt.ArrayLike, correct: npt.ArrayLike, precision: float) -> float:
    """Largest coverage of a threshold at which the precision is at least ``precision``.

    Answers with the same confidence are answered together. The result describes these data and guarantees nothing for
    new queries; use :func:`fg_search.confidence.threshold_for_precision` for that.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        correct: ``(n,)`` booleans, whether each answer is right.
        precision: Precision to reach, in [0, 1].

    Returns:
        A number in [0, 1]; 0 if no threshold reaches the precision.

    Raises:
        ValueError: If lengths differ or are zero, or a confidence is not finite.
    """
    _, errors, sizes = _errors_by_confidence(confidence, correct)
    answered = np.cumsum(sizes)
    enough = np.flatnonzero(1 - np.cumsum(errors) / answered >= precision)
    return float(answered[enough[-1]] / answered[-1]) if len(enough) else 0.0


def abstention_nauc(confidence: npt.ArrayLike, quality: npt.ArrayLike) -> float:
    """Normalised area under the abstention curve, as reported by MTEB (Gisserot-Boukhlef et al., 2024).

    The curve is the mean quality of the answered queries at abstention rates 0, .1, …, .9. Its area is normalised so
    that random abstention scores 0 and abstaining from the worst answers first scores 1. With the score of the top hit
    as confidence and correctness as quality, it is MTEB's ``nAUC_P@1_max``; equal confidences stay in the given order,
    as there.

    Args:
        confidence: ``(n,)`` finite numbers, higher is more confident.
        quality: ``(n,)`` finite numbers, the metric of each query, for example correctness, reciprocal rank or nDCG.

    Returns:
        A number of at most 1, negative if worse than random abstention; NaN if all answers are equally good.

    Raises:
        ValueError: If lengths differ or are zero, or a number is not finite.
    """
    scores, gain = np.asarray(confidence, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    if scores.shape != gain.shape or scores.ndim != 1 or not len(scores):
        raise ValueError(f"confidence and quality must be two equally long lists, got {scores.shape} and {gain.shape}")
    if not (np.isfinite(scores).all() and np.isfinite(gain).all()):
        raise ValueError("confidence and quality must be finite numbers")
    if gain.min() == gain.max():
        return float("nan")
    flat = gain.mean()
    oracle = _area(_abstention_curve(gain, gain))
    return float((_area(_abstention_curve(scores, gain)) - flat) / (oracle - flat))


def _area(curve: npt.NDArray[np.float64]) -> float:
    """Mean height of a curve with points at equal steps, by the trapezoidal rule."""
    return float(((curve[1:] + curve[:-1]) / 2).mean())


def _abstention_curve(scores: npt.NDArray[np.float64], quality: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean quality of the answered queries at each abstention rate."""
    sorted_quality = quality[np.argsort(scores, kind="stable")]
    dropped = [min(round(rate * len(scores)), len(scores) - 1) for rate in _ABSTENTION_RATES]
    return np.array([sorted_quality[first:].mean() for first in dropped])


def _errors_by_confidence(
    confidence: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distinct confidences, highest first, with the number of errors and of answers at each."""
    scores, right = check_outcomes(confidence, correct)
    negated, block, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    return -negated, np.bincount(block, weights=~right).astype(np.int64), sizes

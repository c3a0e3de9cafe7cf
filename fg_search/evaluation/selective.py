"""How well a confidence ranks what is right above what is wrong: selective prediction, search with abstention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.validation import check_outcomes

_ABSTENTION_RATES = np.linspace(0, 1, 11)[:-1]


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


def auroc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Probability that a right answer has a higher confidence than a wrong one; ties count half.

    Args:
        confidence: ``(n,)`` finite numbers, higher is surer.
        correct: ``(n,)`` booleans.

    Returns:
        A number in [0, 1], .5 for a confidence that says nothing; NaN if all answers are right, or all wrong.
    """
    from sklearn.metrics import roc_auc_score

    scores, right = check_outcomes(confidence, correct)
    if right.all() or not right.any():
        return float("nan")
    return float(roc_auc_score(right, scores))


def average_precision(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Area under the precision-recall curve of confidence for correctness, as a step function.

    Returns:
        A number in [0, 1]; the share of right answers for a confidence that says nothing. NaN if none is right.
    """
    from sklearn.metrics import average_precision_score

    scores, right = check_outcomes(confidence, correct)
    return float(average_precision_score(right, scores)) if right.any() else float("nan")


def risk_coverage_curve(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> list[CurvePoint]:
    """The risk at each coverage that a threshold can have: items of equal confidence are answered together.

    El-Yaniv & Wiener (2010).

    Args:
        confidence: ``(n,)`` finite numbers, higher is surer.
        correct: ``(n,)`` booleans.

    Returns:
        From the surest answers alone to all.
    """
    values, errors, sizes = _errors_by_confidence(confidence, correct)
    answered, wrong = np.cumsum(sizes), np.cumsum(errors)
    return [
        CurvePoint(float(count / answered[-1]), float(errors_there / count), float(value))
        for count, errors_there, value in zip(answered, wrong, values, strict=True)
    ]


def at_coverages(curve: Sequence[CurvePoint], steps: int = 10) -> list[CurvePoint]:
    """The points of a curve nearest above each tenth of coverage, for a table."""
    chosen: dict[float, CurvePoint] = {}
    for step in range(1, steps + 1):
        point = next(point for point in curve if point.coverage >= step / steps - 1e-9)
        chosen[point.coverage] = point
    return list(chosen.values())


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Area under the risk-coverage curve: the mean over k of the error rate among the k most confident.

    Geifman, Uziel & El-Yaniv (2019). Items of equal confidence are taken in random order (the expectation).

    Returns:
        A number in [0, 1], lower is better.
    """
    _, errors, sizes = _errors_by_confidence(confidence, correct)
    spread = np.repeat(errors / sizes, sizes)
    return float((np.cumsum(spread) / np.arange(1, len(spread) + 1)).mean())


def excess_aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """AURC above that of a perfect ranking of the same answers (Geifman, Uziel & El-Yaniv, 2019).

    Returns:
        A number in [0, 1), 0 for a confidence that puts every right answer above every wrong one.
    """
    _, right = check_outcomes(confidence, correct)
    return aurc(confidence, correct) - aurc(right, right)


def coverage_at_precision(confidence: npt.ArrayLike, correct: npt.ArrayLike, precision: float) -> float:
    """Largest share of items above a threshold such that at least ``precision`` of them are right.

    Items of equal confidence stand or fall together. It describes the data at hand; it is no guarantee (see
    :func:`fg_search.confidence.threshold_for_precision`).
    """
    _, errors, sizes = _errors_by_confidence(confidence, correct)
    answered = np.cumsum(sizes)
    enough = np.flatnonzero(1 - np.cumsum(errors) / answered >= precision)
    return float(answered[enough[-1]] / answered[-1]) if len(enough) else 0.0


def abstention_nauc(confidence: npt.ArrayLike, quality: npt.ArrayLike) -> float:
    """Normalised area under the abstention curve, as mteb reports it (Gisserot-Boukhlef et al., 2024).

    The mean quality of what is answered, at abstention rates 0, .1 … .9, as an area between that of abstaining at
    random (0) and that of abstaining from the worst answers first (1).

    Args:
        confidence: ``(n,)`` finite numbers, higher is surer.
        quality: ``(n,)`` numbers, the metric of each query: whether the answer is right, a reciprocal rank, an nDCG.

    Returns:
        At most 1; negative if worse than at random. NaN if all answers are equally good.

    Raises:
        ValueError: If the lists are not equally long or a number is not finite.
    """
    from sklearn.metrics import auc

    scores, gain = np.asarray(confidence, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    if scores.shape != gain.shape or scores.ndim != 1 or not len(scores):
        raise ValueError(f"confidence and quality must be two equally long lists, got {scores.shape} and {gain.shape}")
    if not (np.isfinite(scores).all() and np.isfinite(gain).all()):
        raise ValueError("confidence and quality must be finite numbers")
    flat = gain.mean() * (_ABSTENTION_RATES[-1] - _ABSTENTION_RATES[0])
    oracle = auc(_ABSTENTION_RATES, _abstention_curve(gain, gain))
    if np.isclose(oracle, flat):
        return float("nan")
    return float((auc(_ABSTENTION_RATES, _abstention_curve(scores, gain)) - flat) / (oracle - flat))


def _abstention_curve(scores: npt.NDArray[np.float64], quality: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean quality of the surest answers at each abstention rate."""
    sorted_quality = quality[np.argsort(scores, kind="stable")]
    dropped = [min(round(rate * len(scores)), len(scores) - 1) for rate in _ABSTENTION_RATES]
    return np.array([sorted_quality[first:].mean() for first in dropped])


def _errors_by_confidence(
    confidence: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each distinct confidence, the highest first, and the errors and items that have it."""
    scores, right = check_outcomes(confidence, correct)
    negated, block, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    return -negated, np.bincount(block, weights=~right).astype(np.int64), sizes

"""How well a confidence ranks what is right above what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SelectiveReport:
    """Quality of search with abstention.

    Attributes:
        queries: Number of queries.
        recall_at_1: Share of the in-scope queries whose top hit is right.
        auroc: Probability that a right answer has a higher confidence than a wrong one.
        aurc: Area under the risk-coverage curve; lower is better.
        coverage_at_95: Share of queries answered at 95 % precision.
        coverage_at_99: Share of queries answered at 99 % precision.
    """

    queries: int
    recall_at_1: float
    auroc: float
    aurc: float
    coverage_at_95: float
    coverage_at_99: float


def selective_report(confidence: npt.ArrayLike, correct: npt.ArrayLike, in_scope: npt.ArrayLike) -> SelectiveReport:
    """Judge the top hits of a set of queries by the number that ranks them.

    Args:
        confidence: ``(n,)`` numbers, higher is surer.
        correct: ``(n,)`` booleans, whether the top hit is right; an out-of-scope query is always wrong.
        in_scope: ``(n,)`` booleans, whether there was a right answer to find.
    """
    from sklearn.metrics import roc_auc_score

    scores = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct, dtype=bool)
    return SelectiveReport(
        queries=len(right),
        recall_at_1=float(right[np.asarray(in_scope, dtype=bool)].mean()),
        auroc=float(roc_auc_score(right, scores)),
        aurc=aurc(scores, right),
        coverage_at_95=coverage_at_precision(scores, right, 0.95),
        coverage_at_99=coverage_at_precision(scores, right, 0.99),
    )


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Area under the risk-coverage curve: the mean over k of the error rate among the k most confident.

    Geifman, Uziel & El-Yaniv (2019). Items of equal confidence are taken in random order (the expectation).
    """
    errors, sizes = _errors_by_confidence(confidence, correct)
    spread = np.repeat(errors / sizes, sizes)
    return float((np.cumsum(spread) / np.arange(1, len(spread) + 1)).mean())


def coverage_at_precision(confidence: npt.ArrayLike, correct: npt.ArrayLike, precision: float) -> float:
    """Largest share of items above a threshold such that at least ``precision`` of them are right.

    Items of equal confidence stand or fall together. It describes the data at hand; it is no guarantee.
    """
    errors, sizes = _errors_by_confidence(confidence, correct)
    answered = np.cumsum(sizes)
    enough = np.flatnonzero(1 - np.cumsum(errors) / answered >= precision)
    return float(answered[enough[-1]] / answered[-1]) if len(enough) else 0.0


def _errors_by_confidence(
    confidence: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Errors and items at each distinct confidence, the highest first."""
    scores = np.asarray(confidence, dtype=np.float64)
    wrong = ~np.asarray(correct, dtype=bool)
    if scores.shape != wrong.shape or scores.ndim != 1 or not len(scores):
        raise ValueError(f"confidence and correct must be two equally long lists, got {scores.shape} and {wrong.shape}")
    if np.isnan(scores).any():
        raise ValueError(f"confidence[{int(np.isnan(scores).argmax())}] is NaN")
    _, block, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    return np.bincount(block, weights=wrong).astype(np.int64), sizes

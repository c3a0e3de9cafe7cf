"""Scorers that find the items worth a review, as pure functions on arrays: no storage, no torch."""

import warnings
from typing import Any

from fg_search.review.issues.conflicts import conflicting_copies
from fg_search.review.issues.confusion import ConfusedLabels, confused_labels, confused_pairs
from fg_search.review.issues.diversity import spread_copies
from fg_search.review.issues.duplicates import NEAR_DUPLICATE, normalised_text, same_text
from fg_search.review.issues.label_errors import LabelIssues, LabelScorer, find_label_issues, fit_label_scorer
from fg_search.review.issues.neighbours import Neighbours, agreeing_and_contradicting, nearest
from fg_search.review.issues.noise import NoiseEstimate, estimate_noise
from fg_search.review.issues.outliers import are_outliers, outlier_scores
from fg_search.review.issues.reasons import (
    ambiguity_reason,
    confusion_reason,
    contradiction_reason,
    duplicate_reason,
    outlier_reason,
    same_text_reason,
    too_few_reason,
)

__all__ = [
    "NEAR_DUPLICATE",
    "ConfusedLabels",
    "LabelIssues",
    "LabelScorer",
    "Neighbours",
    "NoiseEstimate",
    "agreeing_and_contradicting",
    "ambiguity_reason",
    "are_outliers",
    "conflicting_copies",
    "confused_labels",
    "confused_pairs",
    "confusion_reason",
    "contradiction_reason",
    "duplicate_reason",
    "estimate_noise",
    "find_label_issues",
    "fit_label_scorer",
    "nearest",
    "normalised_text",
    "outlier_reason",
    "outlier_scores",
    "same_text",
    "same_text_reason",
    "spread_copies",
    "too_few_reason",
]

_RENAMED = {
    "LabelJudge": "LabelScorer",
    "LabelJudgements": "LabelIssues",
    "fit_label_judge": "fit_label_scorer",
    "judge_labels": "find_label_issues",
}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _RENAMED[name]
    warnings.warn(
        f"{__name__}.{name} is now {new}; the old name goes with the next release", DeprecationWarning, stacklevel=2
    )
    return globals()[new]

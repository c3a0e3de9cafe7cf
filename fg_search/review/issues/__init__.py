"""What is worth a person's look, as pure functions on arrays: no storage, no torch."""

from fg_search.review.issues.conflicts import conflicting_copies
from fg_search.review.issues.confusion import ConfusedLabels, confused_labels, confused_pairs
from fg_search.review.issues.diversity import spread_copies
from fg_search.review.issues.duplicates import NEAR_DUPLICATE, normalised_text, same_text
from fg_search.review.issues.label_errors import LabelJudge, LabelJudgements, fit_label_judge, judge_labels
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
)

__all__ = [
    "NEAR_DUPLICATE",
    "ConfusedLabels",
    "LabelJudge",
    "LabelJudgements",
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
    "fit_label_judge",
    "judge_labels",
    "nearest",
    "normalised_text",
    "outlier_reason",
    "outlier_scores",
    "same_text",
    "same_text_reason",
    "spread_copies",
]

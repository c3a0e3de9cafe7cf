"""What is worth a person's look, as pure functions on arrays: no storage, no torch."""

from fg_search.review.conflicts import conflicting_copies
from fg_search.review.confusion import ConfusedLabels, confused_labels, confused_pairs
from fg_search.review.diversity import spread_copies
from fg_search.review.duplicates import NEAR_DUPLICATE, normalised_text, same_text
from fg_search.review.labels import LabelJudge, LabelJudgements, fit_label_judge, judge_labels
from fg_search.review.neighbours import Neighbours, agreeing_and_contradicting, nearest
from fg_search.review.noise import NoiseEstimate, estimate_noise
from fg_search.review.outliers import are_outliers, outlier_scores
from fg_search.review.reasons import (
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

"""What is worth a person's look, as pure functions on arrays: no storage, no torch."""

from fg_search.review.confusion import ConfusedLabels, confused_labels
from fg_search.review.diversity import spread_copies
from fg_search.review.duplicates import NEAR_DUPLICATE, DuplicatePair, near_duplicates, normalised_text, same_text
from fg_search.review.labels import LabelJudge, LabelJudgements, fit_label_judge, judge_labels
from fg_search.review.neighbours import Neighbours, agreeing_and_contradicting, nearest
from fg_search.review.noise import NoiseEstimate, estimate_noise
from fg_search.review.outliers import outlier_scores
from fg_search.review.reasons import (
    ambiguity_reason,
    confusion_reason,
    contradiction_reason,
    duplicate_reason,
    noise_reason,
    outlier_reason,
)

__all__ = [
    "NEAR_DUPLICATE",
    "ConfusedLabels",
    "DuplicatePair",
    "LabelJudge",
    "LabelJudgements",
    "Neighbours",
    "NoiseEstimate",
    "agreeing_and_contradicting",
    "ambiguity_reason",
    "confused_labels",
    "confusion_reason",
    "contradiction_reason",
    "duplicate_reason",
    "estimate_noise",
    "fit_label_judge",
    "judge_labels",
    "near_duplicates",
    "nearest",
    "noise_reason",
    "normalised_text",
    "outlier_reason",
    "outlier_scores",
    "same_text",
    "spread_copies",
]

"""Confidence: measures of an embedding, probability that a result is right, thresholds with a precision guarantee."""

from fg_search.confidence.answerability import answerability, best_label_similarity
from fg_search.confidence.calibrator import Calibrator
from fg_search.confidence.familiarity import FamiliarityScale
from fg_search.confidence.measures import collision, confidence, group_confidence, margin, normalised_entropy
from fg_search.confidence.result_features import EVIDENCE_HITS, result_features
from fg_search.confidence.thresholds import PrecisionThreshold, threshold_for_precision

__all__ = [
    "EVIDENCE_HITS",
    "Calibrator",
    "FamiliarityScale",
    "PrecisionThreshold",
    "answerability",
    "best_label_similarity",
    "collision",
    "confidence",
    "group_confidence",
    "margin",
    "normalised_entropy",
    "result_features",
    "threshold_for_precision",
]

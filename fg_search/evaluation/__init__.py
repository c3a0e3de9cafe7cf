"""Metrics for search with abstention, each with its reference."""

from fg_search.evaluation.agreement import Agreement, agreement
from fg_search.evaluation.bootstrap import Interval, bootstrap_interval
from fg_search.evaluation.calibration_error import (
    ReliabilityBin,
    brier_score,
    expected_calibration_error,
    reliability_bins,
)
from fg_search.evaluation.out_of_scope import fpr_at_tpr, out_of_scope_auroc
from fg_search.evaluation.proportions import Proportion, wilson_interval
from fg_search.evaluation.reached_precision import ReachedPrecision
from fg_search.evaluation.report import SelectiveIntervals, SelectiveReport, selective_intervals, selective_report
from fg_search.evaluation.retrieval import r_auroc, recall_at_k
from fg_search.evaluation.selective import (
    CurvePoint,
    abstention_nauc,
    at_coverages,
    aurc,
    auroc,
    average_precision,
    coverage_at_precision,
    excess_aurc,
    risk_coverage_curve,
)
from fg_search.evaluation.slices import Slice, foremost, slices_of

__all__ = [
    "Agreement",
    "CurvePoint",
    "Interval",
    "Proportion",
    "ReachedPrecision",
    "ReliabilityBin",
    "SelectiveIntervals",
    "SelectiveReport",
    "Slice",
    "abstention_nauc",
    "agreement",
    "at_coverages",
    "aurc",
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "brier_score",
    "coverage_at_precision",
    "excess_aurc",
    "expected_calibration_error",
    "foremost",
    "fpr_at_tpr",
    "out_of_scope_auroc",
    "r_auroc",
    "recall_at_k",
    "reliability_bins",
    "risk_coverage_curve",
    "selective_intervals",
    "selective_report",
    "slices_of",
    "wilson_interval",
]

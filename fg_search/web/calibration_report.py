"""How well an index is calibrated, as the Health view shows it."""

from __future__ import annotations

from dataclasses import dataclass

from fg_search.confidence.group_promise import GroupPromise, PromiseBy
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.evaluation import (
    CurvePoint,
    ReliabilityBin,
    at_coverages,
    aurc,
    brier_score,
    expected_calibration_error,
    reliability_bins,
    risk_coverage_curve,
)
from fg_search.index.calibration import TARGETS, Calibration
from fg_search.report import charts

_USUAL = 0.95


@dataclass(frozen=True)
class GroupReport:
    """Labels or tenants that fall short of a precision.

    Attributes:
        by: ``"label"`` or ``"tenant"``.
        target: The strictest precision, up to 95 %, that all answers together are promised; otherwise 95 %.
        groups: Number of groups.
        short: Those that fall short, the least precise one first.
        not_promised: Number of groups of which too few queries were judged.
    """

    by: PromiseBy
    target: float
    groups: int
    short: list[GroupPromise]
    not_promised: int

    @classmethod
    def of(cls, calibration: Calibration) -> GroupReport | None:
        """What is promised by group, ``None`` if nothing is."""
        if calibration.promise_by is None:
            return None
        usual = [target for target in TARGETS if target <= _USUAL]
        target = max((target for target in usual if calibration.threshold(target)), default=_USUAL)
        rows = calibration.groups(target)
        short = [row for row in rows if row.falls_short]
        unknown = sum(row.threshold.basis == "not promised" for row in rows)
        return cls(calibration.promise_by, target, len(rows), short, unknown)


@dataclass(frozen=True)
class CalibrationReport:
    """Quality of a calibration on its judged queries, each judged by a model that was fitted without it.

    Attributes:
        queries: Number of judged queries.
        error: Expected calibration error.
        brier: Brier score.
        aurc: Area under the risk-coverage curve.
        bins: Bins of the reliability diagram.
        curve: Points of the risk-coverage curve at each tenth of coverage.
        reliability: The reliability diagram to draw.
        risk: The risk-coverage curve to draw.
        thresholds: Threshold for each of :data:`TARGETS`.
        groups: What is promised by label or tenant, ``None`` if nothing is.
    """

    queries: int
    error: float
    brier: float
    aurc: float
    bins: list[ReliabilityBin]
    curve: list[CurvePoint]
    reliability: charts.Reliability
    risk: charts.RiskCoverage
    thresholds: list[PrecisionThreshold]
    groups: GroupReport | None

    @classmethod
    def of(cls, calibration: Calibration) -> CalibrationReport:
        """Measure a calibration."""
        confidence, correct = calibration.promise.judged_confidence(), calibration.promise.judged.correct
        bins, curve = reliability_bins(confidence, correct), risk_coverage_curve(confidence, correct)
        return cls(
            queries=len(correct),
            error=expected_calibration_error(confidence, correct),
            brier=brier_score(confidence, correct),
            aurc=aurc(confidence, correct),
            bins=bins,
            curve=at_coverages(curve),
            reliability=charts.reliability(bins),
            risk=charts.risk_coverage(curve),
            thresholds=[calibration.threshold(target) for target in TARGETS],
            groups=GroupReport.of(calibration),
        )

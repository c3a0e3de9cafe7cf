"""The view Health: how confident the index is, and whether its confidence can be believed."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fg_search.confidence.threshold import PrecisionThreshold
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
from fg_search.index.calibration import Calibration
from fg_search.web import charts
from fg_search.web.site import Site
from fg_search.web.survey import confusions, duplicates

_TARGETS = (0.8, 0.9, 0.95, 0.99)
_PATIENCE = 3.0  # seconds that the page waits for the sample


@dataclass(frozen=True)
class Belief:
    """Whether the promised chances came true, on the queries that were kept for judging that.

    Attributes:
        queries: How many.
        error: Expected calibration error.
        brier: Brier score.
        aurc: Area under the risk-coverage curve.
        bins: Of the reliability diagram.
        curve: Of risk and coverage, at the tenths of coverage.
        reliability: To draw.
        risk: To draw.
        thresholds: What can be promised.
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

    @classmethod
    def of(cls, calibration: Calibration) -> Belief:
        """Look at a calibration."""
        confidence, correct = calibration.confidence, calibration.correct
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
            thresholds=[calibration.threshold(target) for target in _TARGETS],
        )


def router(site: Site) -> APIRouter:
    """The view."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/health")
    def health(request: Request) -> Response:
        info, calibration = site.index.info(), site.index.calibration
        sample = site.survey.sample.get(_PATIENCE)
        return site.page(
            request,
            "health.html",
            info=info,
            histogram=charts.histogram(info.confidence_histogram),
            belief=None if calibration is None else Belief.of(calibration),
            sample=sample,
            confusions=[] if sample is None else confusions(sample.labels, sample.suggested),
            duplicates=[] if sample is None else duplicates(sample),
        )

    return routes

"""The view Health: how confident the index is, and whether its confidence can be believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import NotScoredError
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
from fg_search.ids import UserId
from fg_search.index.calibration import Calibration
from fg_search.review.issues.confusion import ConfusedLabels
from fg_search.review.issues.duplicates import same_text
from fg_search.review.items import ReviewItem
from fg_search.web import charts
from fg_search.web.site import Site

T = TypeVar("T")

_TARGETS = (0.8, 0.9, 0.95, 0.99)
_LISTED = 20  # pairs of labels, texts, conflicts
_COPIES = 200  # items of which texts are made


@dataclass(frozen=True)
class Duplicates:
    """Items that say the same.

    Attributes:
        text: Of the first of them.
        ids: Of those that were looked at.
        labels: The different ones among theirs.
    """

    text: str
    ids: list[UserId]
    labels: list[str]

    @classmethod
    def among(cls, items: Sequence[ReviewItem]) -> list[Duplicates]:
        """Those of the list of duplicates, in its order."""
        return [
            cls(
                text=items[rows[0]].text,
                ids=[items[row].id for row in rows],
                labels=sorted({label for row in rows if (label := items[row].label) is not None}),
            )
            for rows in same_text([item.text for item in items])
        ]


@dataclass(frozen=True)
class Order:
    """What the lists of review say about the order that the data are in; what was not looked at yet is ``None``.

    Attributes:
        confused: Labels that are taken for one another.
        conflicting: Items beside a near-duplicate with another label, each pair once.
        duplicates: Items of the same text.
    """

    confused: list[ConfusedLabels] | None
    conflicting: list[ReviewItem] | None
    duplicates: list[Duplicates] | None

    @classmethod
    def of(cls, index: ConfidenceIndex) -> Order:
        """Ask the index."""
        duplicates = _if_scored(lambda: index.review(kind="duplicate", limit=_COPIES))
        conflicting = _if_scored(lambda: index.review(kind="conflicting", limit=2 * _LISTED))
        return cls(
            confused=_if_scored(lambda: index.confused_labels(_LISTED)),
            conflicting=None if conflicting is None else _each_once(conflicting)[:_LISTED],
            duplicates=None if duplicates is None else Duplicates.among(duplicates)[:_LISTED],
        )


def _if_scored(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except NotScoredError:
        return None


def _each_once(items: Sequence[ReviewItem]) -> list[ReviewItem]:
    pairs = {frozenset((item.id, item.contradicting[0].id)): item for item in reversed(items)}
    return list(reversed(pairs.values()))


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
        return site.page(
            request,
            "health.html",
            info=info,
            histogram=charts.histogram(info.confidence_histogram),
            belief=None if calibration is None else Belief.of(calibration),
            order=Order.of(site.index) if info.points else Order([], [], []),
        )

    return routes

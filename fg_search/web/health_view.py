"""The Health view: how confident the index is, whether its confidence is calibrated, and issues in its data."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fg_search.report import charts
from fg_search.web.calibration_report import CalibrationReport
from fg_search.web.data_issues import DataIssues
from fg_search.web.site import Site


def router(site: Site) -> APIRouter:
    """Route for the view."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/health")
    def health(request: Request) -> Response:
        info, calibration = site.index.info(), site.index.calibration
        return site.page(
            request,
            "health.html",
            info=info,
            histogram=charts.histogram(info.confidence_histogram),
            report=None if calibration is None else CalibrationReport.of(calibration),
            issues=DataIssues.read(site.index) if info.points else DataIssues([], [], []),
        )

    return routes

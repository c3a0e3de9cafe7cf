"""The Health view: how confident the index is, whether its confidence is calibrated, and issues in its data."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fg_search.report import charts
from fg_search.web.calibration_report import CalibrationReport
from fg_search.web.data_issues import DataIssues
from fg_search.web.history_view import ACTIONS
from fg_search.web.index_jobs import kinds_for, told
from fg_search.web.site import Site

_LATEST = 5  # entries of the history


def router(site: Site) -> APIRouter:
    """Route for the view."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/health")
    def health(request: Request) -> Response:
        return shown(site, request)

    return routes


def shown(site: Site, request: Request, *, refused: str | None = None) -> Response:
    """The view.

    Args:
        site: The index.
        request: Request that is answered.
        refused: Why judged queries were not taken, if they were not.
    """
    info, calibration, history = site.index.info(), site.index.calibration, site.index.history()[::-1]
    job = site.jobs.latest
    return site.page(
        request,
        "health.html",
        422 if refused else 200,
        info=info,
        job=job,
        job_kinds=kinds_for(site),
        job_task="" if job is None else told(job),
        refused=refused,
        entries=history[:_LATEST],
        more_history=len(history) > 1,
        actions=ACTIONS,
        histogram=charts.histogram(info.confidence_histogram),
        report=None if calibration is None else CalibrationReport.of(calibration),
        issues=DataIssues.read(site.index) if info.points else DataIssues([], [], []),
    )

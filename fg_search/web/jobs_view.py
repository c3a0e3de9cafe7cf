"""Forms that start and stop jobs; the Health view shows them."""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fg_search.records import RecordError
from fg_search.web import health_view
from fg_search.web.index_jobs import JobKind, start
from fg_search.web.judged_queries import Uploaded
from fg_search.web.site import FormFields, Site, form_fields

UPLOAD_PATH = "/health/jobs/judged"
_WITH_JUDGED: dict[str, JobKind] = {"calibrate": "calibrate", "evaluate": "evaluate"}
_WITHOUT: dict[str, JobKind] = {"estimate": "estimate", "score": "score", "refit": "refit"}


def router(site: Site) -> APIRouter:
    """Routes for the forms."""
    routes = APIRouter(include_in_schema=False)

    @routes.post("/health/jobs")
    def begin(fields: FormFields) -> Response:
        start(site, _chosen(_WITHOUT, fields.get("kind")), None)
        return _shown()

    @routes.post(UPLOAD_PATH)
    def begin_with_judged(request: Request, uploaded: Uploaded) -> Response:
        kind = _chosen(_WITH_JUDGED, uploaded.fields.get("kind"))
        try:
            judged = uploaded.judged()
        except RecordError as error:
            return health_view.shown(site, request, refused=str(error))
        start(site, kind, judged)
        return _shown()

    @routes.post("/health/jobs/stop", dependencies=[Depends(form_fields)])
    def stop() -> Response:
        site.jobs.stop()
        return _shown()

    return routes


def _chosen(kinds: dict[str, JobKind], kind: str | None) -> JobKind:
    if kind not in kinds:
        raise HTTPException(422, f"kind: one of {', '.join(kinds)} is expected")
    return kinds[kind]


def _shown() -> Response:
    return RedirectResponse("/health#jobs", 303)

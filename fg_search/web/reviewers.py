"""Who decides: each browser keeps the name of the person before it."""

from __future__ import annotations

from urllib.parse import quote, unquote

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fg_search.review.decisions import check_reviewer
from fg_search.web.login import local_path
from fg_search.web.site import FormFields, reviewer_now, set_cookie

REVIEWER_COOKIE = "fg_reviewer"
MAX_NAME = 60

_YEAR = 365 * 24 * 3600  # seconds


class Reviewers:
    """Middleware that notes for each request which name its browser keeps."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            reviewer_now.set(_kept(Request(scope).cookies.get(REVIEWER_COOKIE)))
        await self.app(scope, receive, send)


def router() -> APIRouter:
    """Route for the form in which a reviewer says who it is."""
    routes = APIRouter(include_in_schema=False)

    @routes.post("/reviewer")
    def name(request: Request, fields: FormFields) -> Response:
        given = fields.get("name", "").strip()
        response = RedirectResponse(local_path(fields.get("next", "/")), 303)
        if not given:
            response.delete_cookie(REVIEWER_COOKIE, path="/")
            return response
        if _kept(quote(given)) is None:
            raise HTTPException(422, f"name: at most {MAX_NAME} characters that can be read are expected")
        set_cookie(response, request, REVIEWER_COOKIE, quote(given), seconds=_YEAR)
        return response

    return routes


def _kept(cookie: str | None) -> str | None:
    """The name in a cookie, which anybody may have changed."""
    if cookie is None:
        return None
    name = unquote(cookie, errors="replace").strip()
    try:
        check_reviewer(name)
    except (TypeError, ValueError):
        return None
    return name if len(name) <= MAX_NAME and name.isprintable() else None

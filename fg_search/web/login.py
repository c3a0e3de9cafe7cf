"""Log in and out with the token, for browsers."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fg_search.web.security import LOGIN_PATH
from fg_search.web.site import FormFields, Site, form_fields, set_cookie
from fg_search.web.tokens import SESSION_COOKIE, same

_HOME = "/"


def router(site: Site, token: str) -> APIRouter:
    """Routes for logging in and out."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(LOGIN_PATH)
    def form(request: Request) -> Response:
        wanted = local_path(request.query_params.get("next", _HOME))
        return site.page(request, "login.html", wanted=wanted, problem=None)

    @routes.post(LOGIN_PATH)
    def log_in(request: Request, fields: FormFields) -> Response:
        wanted = local_path(fields.get("next", _HOME))
        if not same(token, fields.get("token", "").strip()):
            return site.page(request, "login.html", 403, wanted=wanted, problem="That is not the token.")
        response = RedirectResponse(wanted, 303)
        set_cookie(response, request, SESSION_COOKIE, site.signer.new_session())
        return response

    @routes.post("/logout", dependencies=[Depends(form_fields)])
    def log_out() -> Response:
        response = RedirectResponse(LOGIN_PATH, 303)
        response.delete_cookie(SESSION_COOKIE, path="/")
        return response

    return routes


def local_path(wanted: str) -> str:
    """A path on this server to redirect to after login; anything else becomes the start page."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_local else _HOME

"""Log in and out with the token, for browsers."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fg_search.web.guesses import Guesses, TooManyGuessesError
from fg_search.web.security import LOGIN_PATH
from fg_search.web.site import FormFields, Site, set_cookie
from fg_search.web.tokens import SESSION_COOKIE, Sessions

_HOME = "/"


def router(site: Site, guesses: Guesses, sessions: Sessions) -> APIRouter:
    """Routes for logging in and out."""
    routes = APIRouter(include_in_schema=False)

    def show(request: Request, wanted: str, problem: str | None, status: int = 200) -> Response:
        return site.page(request, "login.html", status, wanted=wanted, problem=problem)

    @routes.get(LOGIN_PATH)
    def form(request: Request) -> Response:
        return show(request, local_path(request.query_params.get("next", _HOME)), None)

    @routes.post(LOGIN_PATH)
    async def log_in(request: Request, fields: FormFields) -> Response:
        wanted = local_path(fields.get("next", _HOME))
        try:
            is_right = await guesses.is_right(fields.get("token", "").strip(), request.scope)
        except TooManyGuessesError as error:
            problem = f"There were too many wrong tokens. Try again in {error.seconds} seconds."
            response = show(request, wanted, problem, 429)
            response.headers["Retry-After"] = str(error.seconds)
            return response
        if not is_right:
            return show(request, wanted, "That is not the token.", 403)
        sessions.end(request.cookies.get(SESSION_COOKIE))
        response = RedirectResponse(wanted, 303)
        set_cookie(response, request, SESSION_COOKIE, sessions.start())
        return response

    @routes.post("/logout")
    def log_out(request: Request, _: FormFields) -> Response:
        sessions.end(request.cookies.get(SESSION_COOKIE))
        response = RedirectResponse(LOGIN_PATH, 303)
        response.delete_cookie(SESSION_COOKIE, path="/")
        return response

    return routes


def local_path(wanted: str) -> str:
    """A path on this server to redirect to after login; anything else becomes the start page."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_local else _HOME

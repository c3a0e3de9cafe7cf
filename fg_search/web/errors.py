"""Error responses: a page for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fg_search.errors import (
    DecisionConflictError,
    EmptyIndexError,
    FgSearchError,
    ItemNotFoundError,
    ModelMismatchError,
    NotCalibratedError,
    NothingLoggedError,
    NothingToUndoError,
    NotScoredError,
    StorageError,
)
from fg_search.web.jobs import JobRunningError
from fg_search.web.security import API_PATH
from fg_search.web.site import Site

_STATUS: dict[type[Exception], int] = {
    ItemNotFoundError: 404,
    EmptyIndexError: 409,
    ModelMismatchError: 409,
    NotCalibratedError: 409,
    NothingLoggedError: 409,
    NothingToUndoError: 409,
    DecisionConflictError: 409,
    NotScoredError: 409,
    JobRunningError: 409,
    StorageError: 503,
}


def install(app: FastAPI, site: Site, methods: Mapping[str, Collection[str]]) -> None:
    """Register the error handlers.

    Args:
        app: The application.
        site: What draws the page of an error.
        methods: The methods that each path answers to.
    """

    def answer(request: Request, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
        message = message.encode("utf-8", "backslashreplace").decode()  # half a character cannot be sent
        if request.scope["path"].startswith(f"{API_PATH}/"):
            return JSONResponse({"error": message}, status, headers)
        response = site.page(request, "error.html", status, title=_title(status), message=message)
        response.headers.update(headers or {})
        return response

    def library_error(request: Request, error: Exception) -> Response:
        return answer(request, status_of(error), str(error))

    def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  for the type checker
        message = "There is no such page." if error.status_code == HTTPStatus.NOT_FOUND else str(error.detail)
        headers = dict(error.headers or {})
        known = methods.get(request.scope["path"])
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and known is not None:
            headers["Allow"] = ", ".join(sorted(known))  # Starlette names those of one route alone
        return answer(request, error.status_code, message, headers)

    def validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  for the type checker
        problems = [f"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}" for problem in error.errors()]
        return answer(request, 422, "; ".join(problems))

    def unexpected_error(request: Request, _: Exception) -> Response:
        # the traceback is in the server's log; an internal message may reveal what users must not see
        return answer(request, 500, "Something unexpected went wrong; the server's log says what.")

    app.add_exception_handler(FgSearchError, library_error)
    app.add_exception_handler(ValueError, library_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(Exception, unexpected_error)


class ErrorBody(BaseModel):
    """An error message."""

    error: str


_READING = {
    401: "The token is missing or wrong.",
    404: "There is no such item, or no such address.",
    409: "The index is not ready for this, or somebody else has decided meanwhile.",
    413: "The request is too long.",
    421: "The server does not serve this host name.",
    422: "A value is invalid.",
    429: "Too many wrong tokens; the header Retry-After says when to try again.",
    500: "Something unexpected went wrong.",
    503: "The storage does not answer, or too many requests are waiting.",
}
_WRITING = {
    **_READING,
    400: "The body is not JSON.",
    403: "The request comes from another site.",
    415: "The body is not declared as application/json.",
}


def error_responses(*, takes_body: bool) -> dict[int | str, dict[str, Any]]:
    """What the schema says of the errors of a route."""
    described = _WRITING if takes_body else _READING
    return {status: {"model": ErrorBody, "description": described[status]} for status in sorted(described)}


def status_of(error: Exception) -> int:
    """HTTP status for an error raised by the library."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 422)


def _title(status: int) -> str:
    """What the page of an error is headed by: its name, unless that means nothing to people."""
    return "This cannot be done" if status == 422 else HTTPStatus(status).phrase

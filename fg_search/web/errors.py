"""Error responses: a page for people, JSON for programs."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
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
    NothingToUndoError,
    NotScoredError,
    StorageError,
)
from fg_search.web.security import API_PATH
from fg_search.web.site import Site

_STATUS: dict[type[Exception], int] = {
    ItemNotFoundError: 404,
    EmptyIndexError: 409,
    ModelMismatchError: 409,
    NotCalibratedError: 409,
    NothingToUndoError: 409,
    DecisionConflictError: 409,
    NotScoredError: 409,
    StorageError: 503,
}


def install(app: FastAPI, site: Site) -> None:
    """Register the error handlers."""

    def answer(request: Request, status: int, message: str) -> Response:
        if request.url.path.startswith(f"{API_PATH}/"):
            return JSONResponse({"error": message}, status)
        return site.page(request, "error.html", status, title=HTTPStatus(status).phrase, message=message)

    def library_error(request: Request, error: Exception) -> Response:
        return answer(request, status_of(error), str(error))

    def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  for the type checker
        message = "There is no such page." if error.status_code == HTTPStatus.NOT_FOUND else str(error.detail)
        return answer(request, error.status_code, message)

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


def status_of(error: Exception) -> int:
    """HTTP status for an error raised by the library."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 422)

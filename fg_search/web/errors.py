"""What went wrong, as a page for people or as JSON for programs."""

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
    """Have the application answer errors in these ways."""

    def answer(request: Request, status: int, message: str) -> Response:
        if request.url.path.startswith(f"{API_PATH}/"):
            return JSONResponse({"error": message}, status)
        return site.page(request, "error.html", status, title=HTTPStatus(status).phrase, message=message)

    def of_library(request: Request, error: Exception) -> Response:
        return answer(request, status_of(error), str(error))

    def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for it
        message = "There is no such page." if error.status_code == HTTPStatus.NOT_FOUND else str(error.detail)
        return answer(request, error.status_code, message)

    def of_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  registered for it
        found = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
        return answer(request, 422, "; ".join(found))

    def unexpected(request: Request, _: Exception) -> Response:
        # the server's log has the traceback; a message from deep inside may hold what is not for everybody
        return answer(request, 500, "Something unexpected went wrong; the server's log says what.")

    app.add_exception_handler(FgSearchError, of_library)
    app.add_exception_handler(ValueError, of_library)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(Exception, unexpected)


def status_of(error: Exception) -> int:
    """The HTTP status for an error of the library."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 422)

"""Probes of whoever runs the process: is it alive, and can it search?"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from fg_search.errors import FgSearchError
from fg_search.web.security import ALIVE_PATH, READY_PATH
from fg_search.web.site import Site


def router(site: Site) -> APIRouter:
    """Routes without a token, which tell nothing else."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(ALIVE_PATH)
    def alive() -> Response:
        return PlainTextResponse("alive\n")

    @routes.get(READY_PATH)
    def ready() -> Response:
        try:
            len(site.index)
        except (FgSearchError, OSError):
            return PlainTextResponse("the index does not answer\n", 503)
        return PlainTextResponse("ready\n")

    return routes

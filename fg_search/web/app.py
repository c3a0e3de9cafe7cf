"""The web application: views and API of one index, behind the security middleware."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import FgSearchError
from fg_search.review.decisions import check_reviewer
from fg_search.web import (
    api,
    audit_view,
    errors,
    features_view,
    health_view,
    history_view,
    items_api,
    items_view,
    jobs_api,
    jobs_view,
    labels_view,
    login,
    map_view,
    probes,
    queries_api,
    queries_view,
    review_view,
    reviewers,
    reviewers_view,
    search_view,
)
from fg_search.web.guesses import Guesses
from fg_search.web.item_list import ItemList
from fg_search.web.item_map import ItemMap
from fg_search.web.jobs import Jobs
from fg_search.web.pictures import Pictures
from fg_search.web.query_clusters import clusters_of
from fg_search.web.reviewers import Reviewers
from fg_search.web.security import (
    API_PATH,
    LOOPBACK_HOSTS,
    STATIC_PATH,
    BoundedBody,
    KnownHosts,
    SameSite,
    SecureHeaders,
    TokenNeeded,
)
from fg_search.web.site import Site
from fg_search.web.survey import Survey
from fg_search.web.tokens import Sessions, Signer, checked_token
from fg_search.web.turns import Turns

if TYPE_CHECKING:
    from fg_search.web.metrics import SearchMetrics

_BEARER = HTTPBearer(auto_error=False, description="The token.")  # says so in the schema; TokenNeeded checks it
_STATIC = Path(__file__).parent / "static"


def create_app(
    index: ConfidenceIndex,
    *,
    tenant: str | None = None,
    token: str | None = None,
    reviewer: str = "anonymous",
    allowed_hosts: Collection[str] | None = LOOPBACK_HOSTS,
    metrics: bool = False,
    images: str | os.PathLike[str] | None = None,
) -> PageApp:
    """Build the ASGI application with the page and the API of one index.

    Args:
        index: The index; the caller closes it.
        tenant: Tenant to serve, in an index with tenants.
        token: Token that users must present. Leave it out only if nobody but this machine reaches the address.
        reviewer: Name under which decisions are logged, unless somebody gives another one in the browser.
        allowed_hosts: Host names and addresses, without port, to accept requests for; ``None`` accepts all, which is
            safe only with a token.
        metrics: Whether to count searches for Prometheus, at ``/metrics``; needs the extra ``metrics``.
        images: Folder with the pictures of items, which payloads name relative to it as ``image``. No file outside is
            ever shown.

    Raises:
        FgSearchError: If the extra ``metrics`` is needed and not installed.
        ValueError: If the index has tenants and none is given, the token is too short, or the reviewer's name is empty.
    """
    token = None if token is None else checked_token(token)
    check_reviewer(reviewer)
    served = index if tenant is None else index.tenant(tenant)
    len(served)  # fails now if the tenant is missing
    counted = _metrics_of(served) if metrics else None
    pictures = None if images is None else Pictures(Path(images))
    survey, drawn = Survey(served, tenant), ItemMap(served, tenant)

    def ended() -> None:
        survey.forget()
        drawn.forget()
        clusters.forget()

    jobs = Jobs(ended)
    site = Site(served, tenant, reviewer, token is not None, signer := Signer(), survey, drawn, jobs, counted, pictures)
    guesses, sessions = None if token is None else Guesses(token), Sessions()
    clusters = clusters_of(site)
    items = ItemList(site, site.map.within)
    for_programs = [
        api.router(site),
        items_api.router(items),
        queries_api.router(site, clusters),
        jobs_api.router(site),
    ]
    for_people = [
        search_view.router(site),
        items_view.router(items),
        map_view.router(site),
        labels_view.router(site),
        review_view.router(site),
        reviewers_view.router(site),
        queries_view.router(site, clusters),
        audit_view.router(site),
        features_view.router(site),
        health_view.router(site),
        jobs_view.router(site),
        history_view.router(site),
        probes.router(site),
        *([] if pictures is None else [pictures.router()]),
        reviewers.router(),
        *([] if counted is None else [counted.router()]),
        *([] if guesses is None else [login.router(site, guesses, sessions)]),
    ]
    methods = _methods_by_path([*for_programs, *for_people])
    reading = {path for path, known in methods.items() if "POST" not in known}
    checks = [
        Middleware(KnownHosts, hosts=allowed_hosts),
        *([] if guesses is None else [Middleware(TokenNeeded, guesses=guesses, sessions=sessions)]),
        Middleware(SameSite, reading=reading),
        Middleware(BoundedBody, uploads=(jobs_view.UPLOAD_PATH, jobs_api.UPLOAD_PATH)),
        Middleware(Reviewers),
        Middleware(Turns),
    ]
    app = FastAPI(
        title="fg_search",
        description="Vector search that knows when it does not know.",
        version="1",
        openapi_url=f"{API_PATH}/openapi.json",
        docs_url=None,  # FastAPI's documentation pages load scripts from other sites
        redoc_url=None,
        middleware=checks,
        lifespan=_closing(jobs),
    )
    app.state.signer = signer
    errors.install(app, site, methods)
    for routes in for_people:
        app.include_router(routes)
    for routes in for_programs:
        app.include_router(routes, dependencies=[] if guesses is None else [Depends(_BEARER)])
    app.mount(STATIC_PATH, StaticFiles(directory=_STATIC, packages=[("fg_search.report", "static")]), name="static")
    return PageApp(SecureHeaders(app), jobs)  # headers outermost: responses to unexpected errors have them too


class PageApp:
    """The application, as :func:`create_app` makes it. It stands at the root of its host.

    A server that runs it stops the running job at its end. An application that it is mounted in does not, since ASGI
    frameworks keep their start and end to themselves: call :meth:`close` at its end, before the index is closed.
    """

    def __init__(self, app: ASGIApp, jobs: Jobs) -> None:
        self._app, self._jobs = app, jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request.

        Raises:
            FgSearchError: If it is mounted below a path.
        """
        if scope.get("root_path"):
            raise FgSearchError(
                f"the page stands at the root of its host, not below {scope['root_path']}; mount it by a host name, "
                "with starlette.routing.Host"
            )
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Ask the running job to stop, and wait for that, for up to half a minute."""
        self._jobs.close()


def _closing(jobs: Jobs) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What stops the running job before whoever runs the server closes the index."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await anyio.to_thread.run_sync(jobs.close)

    return lifespan


def _metrics_of(index: ConfidenceIndex) -> SearchMetrics:
    try:
        from fg_search.web.metrics import SearchMetrics
    except ModuleNotFoundError as error:
        raise FgSearchError(f"metrics need {error.name}; pip install 'fg-search[metrics]'") from None
    return SearchMetrics(index)


def _methods_by_path(routers: Iterable[APIRouter]) -> dict[str, set[str]]:
    """The methods that each path answers to; a path has one route for each method."""
    methods: dict[str, set[str]] = {}
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                methods.setdefault(route.path, set()).update(route.methods or ())
    return methods

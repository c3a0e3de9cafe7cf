"""The application: all views of one index, behind all checks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from fg_search.confidence_index import ConfidenceIndex
from fg_search.review.decisions import check_reviewer
from fg_search.web import api, errors, features_view, health_view, login, queries_view, review_view, search_view
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
from fg_search.web.tokens import Signer, checked_token

_STATIC = Path(__file__).parent / "static"


def create_app(
    index: ConfidenceIndex,
    *,
    tenant: str | None = None,
    token: str | None = None,
    reviewer: str = "anonymous",
    allowed_hosts: Collection[str] | None = LOOPBACK_HOSTS,
) -> ASGIApp:
    """The page and the API of one index, as an ASGI application.

    Args:
        index: It stays the caller's to close.
        tenant: Whose items, in an index with tenants.
        token: Without it nobody is asked for one: for addresses that only this machine reaches.
        reviewer: Who decides, for the log.
        allowed_hosts: Names and addresses, without port, that requests may be for; ``None`` for all, which is safe
            with a token only.

    Raises:
        ValueError: If the index has tenants and none is given, the token can be guessed, or the reviewer has no name.
    """
    token = None if token is None else checked_token(token)
    check_reviewer(reviewer)
    served = index if tenant is None else index.tenant(tenant)
    len(served)  # whether a tenant is missing is found out now
    site = Site(served, tenant, reviewer, token is not None, signer := Signer(), Survey(served, tenant))
    checks = [
        Middleware(KnownHosts, hosts=allowed_hosts),
        *([] if token is None else [Middleware(TokenNeeded, token=token, signer=signer)]),
        Middleware(SameSite),
        Middleware(BoundedBody),
    ]
    app = FastAPI(
        title="fg_search",
        description="Vector search that knows when it does not know.",
        version="1",
        openapi_url=f"{API_PATH}/openapi.json",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        middleware=checks,
    )
    app.state.signer = signer
    errors.install(app, site)
    clusters = queries_view.clusters_of(site)
    views = [
        search_view.router(site),
        review_view.router(site),
        queries_view.router(site, clusters),
        features_view.router(site),
        health_view.router(site),
    ]
    for routes in (
        *views,
        api.router(site),
        queries_view.api_router(site, clusters),
        *([] if token is None else [login.router(site, token)]),
    ):
        app.include_router(routes)
    app.mount(STATIC_PATH, StaticFiles(directory=_STATIC), name="static")
    return SecureHeaders(app)  # around everything, so that an answer to an unexpected error carries them too

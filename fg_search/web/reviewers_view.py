"""What each reviewer did, and how often two agree: a page beside the Review view."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fg_search.evaluation.agreement import MIN_ITEMS
from fg_search.review.reviewers import agreements, progress_by_reviewer
from fg_search.web.items_view import text_of
from fg_search.web.site import Site, link

_DIFFERING = 100  # items shown about which two reviewers differ


def router(site: Site) -> APIRouter:
    """Route for the page. It reads the whole log of decisions."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/review/reviewers")
    def reviewers(request: Request) -> Response:
        standing = site.index.decisions(standing=True)
        pairs = agreements(standing)
        return site.page(
            request,
            "reviewers.html",
            reviewers=progress_by_reviewer(standing, midnight()),
            pairs=pairs,
            differing=[link("/items", id=[text_of(one) for one in pair.differing[-_DIFFERING:]]) for pair in pairs],
            open=site.index.count_review(kind="differ") if pairs else 0,
            least=MIN_ITEMS,
            shown=_DIFFERING,
        )

    return routes


def midnight() -> datetime:
    """Beginning of the day, where the server is."""
    return datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)

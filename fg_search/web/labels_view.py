"""The Labels view: one row a label, with what is known of it."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fg_search.web.label_table import MAX_LABELS, ORDERS, LabelTable
from fg_search.web.query_clusters import read_log
from fg_search.web.site import Site

_PATIENCE = 1.0  # seconds to wait for what is computed in the background
_AGAIN = "3"  # seconds until the browser asks for it again


def router(site: Site) -> APIRouter:
    """Route for the view."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/labels")
    def labels(request: Request) -> Response:
        given = request.query_params.get("sort", "-items")
        order = given.removeprefix("-")
        if order not in ORDERS:
            raise HTTPException(
                422, f"sort: one of {', '.join(ORDERS)} is expected, with - in front for the greatest first"
            )
        placed = site.map.get(_PATIENCE) if len(site.index) else None
        table = LabelTable.read(site.index, site.tenant, placed, _asked(site))
        response = site.page(
            request,
            "labels.html",
            table=table,
            rows=table.sorted(order, descending=given.startswith("-")),
            sort=given,
            most=MAX_LABELS,
            has_queries=any(row.asked for row in table.rows),
            lacking=sum(row.missing > 0 for row in table.rows),
        )
        if not table.is_ready and table.rows:
            response.headers["Refresh"] = _AGAIN
        return response

    return routes


def _asked(site: Site) -> Counter[str]:
    """How often open queries were asked, by the label of their best hit."""
    asked: Counter[str] = Counter()
    for query in read_log(site):
        if query.is_open and query.nearest is not None and query.nearest.label is not None:
            asked[query.nearest.label] += query.count
    return asked

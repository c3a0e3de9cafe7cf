"""The Queries view: queries that got no confident answer, and the missing labels they suggest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fg_search.queries.entries import LoggedQuery, Resolution
from fg_search.web.parameters import MAX_DECIDED, MAX_LABEL, QueriesRequest, problems
from fg_search.web.query_clusters import Clusters, read_log
from fg_search.web.site import FormLists, Site, link

LISTED = 20  # open queries per page

_CLUSTERS = 20  # candidates shown
_EXAMPLES = 3  # queries shown of each candidate
_RECENT = 5  # decisions shown
_LABELS = 1000  # labels offered for completion
_PATIENCE = 3.0  # seconds to wait before the page says that clusters are still being computed
_AGAIN = "2"  # seconds until the browser reloads that page


@dataclass(frozen=True)
class Decided:
    """Queries that were decided together.

    Attributes:
        resolution: The decision.
        queries: The queries it was made on.
    """

    resolution: Resolution
    queries: Sequence[LoggedQuery]


def router(site: Site, clusters: Clusters) -> APIRouter:
    """Routes for the view and its forms."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/queries")
    def queries(request: Request) -> Response:
        log = read_log(site)
        waiting = [query for query in log if query.is_open]
        position = _position(request.query_params.get("skip"), len(waiting))
        found = clusters.get(_PATIENCE) if waiting else []
        response = site.page(
            request,
            "queries.html",
            candidates=None if found is None else found[:_CLUSTERS],
            more_candidates=0 if found is None else max(len(found) - _CLUSTERS, 0),
            queries=waiting[position : position + LISTED],
            position=position,
            open=len(waiting),
            answered=sum(query.resolution is None and not query.is_open for query in log),
            listed=LISTED,
            examples=_EXAMPLES,
            decided=_decided(log),
            labels=sorted(site.index.labels(_LABELS)),
            longest_label=MAX_LABEL,
            most=MAX_DECIDED,
        )
        if found is None:
            response.headers["Refresh"] = _AGAIN
        return response

    @routes.post("/queries/decide")
    def decide(fields: FormLists) -> Response:
        asked = _request(fields)
        site.decide_queries(asked.ids, asked.action, asked.label)
        return RedirectResponse(link("/queries", skip=_last(fields, "skip")) + "#main", 303)

    return routes


def _position(skip: str | None, count: int) -> int:
    """Position of the first query on the page, within a list that may have become shorter."""
    wanted = int(skip) if skip is not None and skip.isascii() and skip.isdigit() and len(skip) <= len(str(count)) else 0
    last = max(count - 1, 0)
    return min(wanted, last) // LISTED * LISTED


def _decided(log: Sequence[LoggedQuery]) -> list[Decided]:
    """The latest decisions, newest first."""
    together: dict[Resolution, list[LoggedQuery]] = {}
    for query in log:
        if query.resolution is not None:
            together.setdefault(query.resolution, []).append(query)
    latest = sorted(together, key=lambda resolution: resolution.time, reverse=True)[:_RECENT]
    return [Decided(resolution, together[resolution]) for resolution in latest]


def _last(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return fields.get(name, [""])[-1]


def _request(fields: Mapping[str, Sequence[str]]) -> QueriesRequest:
    action = _last(fields, "action")
    given: dict[str, Any] = {"ids": [*_last(fields, "ids").split(), *fields.get("query", ())], "action": action}
    if not given["ids"]:
        raise HTTPException(422, "Tick the queries that you decide about first.")
    if action == "add":
        given["label"] = _last(fields, "label")
    try:
        return QueriesRequest.model_validate(given)
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error

"""The view Queries: what was asked and got no sure answer, and which labels that suggests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fg_search.ids import UserId
from fg_search.queries.clusters import MissingLabel
from fg_search.queries.entries import LoggedQuery, QueryAction, Resolution
from fg_search.queries.log import MOST_QUERIES
from fg_search.web.background import Background
from fg_search.web.parameters import MAX_LABEL, MAX_LISTED, Label, problems
from fg_search.web.security import API_PATH
from fg_search.web.site import FormFields, Site, link

LISTED = 20  # open queries on a page
MOST_DECIDED = 1_000  # queries of one decision: more ids than fit into a request

_CLUSTERS = 20  # candidates on the page
_EXAMPLES = 3
_RECENT = 5
_LABELS = 1000  # offered at most
_LONGEST = 60.0  # seconds that a program waits for them
_PATIENCE = 3.0  # seconds until the page says that clusters are still being computed
_AGAIN = "2"  # seconds until the browser asks again


class QueriesRequest(BaseModel):
    """A decision about logged queries, as of ``ConfidenceIndex.decide_queries``."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[str], Field(min_length=1, max_length=MOST_DECIDED)]
    action: QueryAction
    label: Label | None = Field(None, description="Of the new items, for the action `add`.")


class NearestBody(BaseModel):
    """The best hit of a logged query."""

    id: UserId
    label: str | None
    score: float


class ResolutionBody(BaseModel):
    """What somebody decided about a logged query."""

    action: Literal["add", "dismiss"]
    label: str | None
    reviewer: str
    time: str


class QueryBody(BaseModel):
    """A logged query; what is said of its result is of the last time."""

    id: str
    text: str
    count: int = Field(description="How often it was asked.")
    first: str
    last: str
    decision: str = Field(description="`answer` or `abstain`.")
    uncertain: bool
    reason: str
    query_confidence: float
    confidence: float | None = Field(description="Calibrated chance that the best hit is right.")
    nearest: NearestBody | None = Field(description="The best hit, shown or held back.")
    resolution: ResolutionBody | None

    @classmethod
    def of(cls, query: LoggedQuery) -> QueryBody:
        """The same as JSON."""
        return cls.model_validate(asdict(query))


class MissingLabelBody(BaseModel):
    """Queries that ask for the same: a candidate for a label that the index does not have."""

    name: str = Field(description="A proposal.")
    terms: list[str]
    size: int = Field(description="How often its queries were asked in all.")
    cohesion: float
    nearest_label: str | None
    nearest_similarity: float | None
    queries: list[QueryBody] = Field(description="The most central first.")

    @classmethod
    def of(cls, label: MissingLabel) -> MissingLabelBody:
        """The same as JSON."""
        return cls.model_validate(asdict(label))


@dataclass(frozen=True)
class Decided:
    """Queries that were decided about together.

    Attributes:
        resolution: What was decided.
        queries: About which.
    """

    resolution: Resolution
    queries: Sequence[LoggedQuery]


Clusters = Background[list[MissingLabel]]


def clusters_of(site: Site) -> Clusters:
    """The candidates for missing labels, computed when the open queries have changed since."""
    return Background(site.index.missing_labels, lambda: _version(_log(site)))


def router(site: Site, clusters: Clusters) -> APIRouter:
    """The view, and what its forms are sent to."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/queries")
    def queries(request: Request) -> Response:
        log = _log(site)
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
            most=MOST_DECIDED,
        )
        if found is None:
            response.headers["Refresh"] = _AGAIN
        return response

    @routes.post("/queries/decide")
    def decide(fields: FormFields) -> Response:
        asked = _request(fields)
        site.decide_queries(asked.ids, asked.action, asked.label)
        return RedirectResponse(link("/queries", skip=fields.get("skip")) + "#main", 303)

    return routes


def api_router(site: Site, clusters: Clusters) -> APIRouter:
    """The same for programs."""
    routes = APIRouter(prefix=API_PATH, tags=["queries"])

    @routes.get("/queries", summary="Logged queries")
    def queries(
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 50,
        offset: Annotated[int, Query(ge=0, le=MOST_QUERIES)] = 0,
        only_open: bool = True,
    ) -> list[QueryBody]:
        """Queries that got no sure answer, the most frequent first."""
        return [QueryBody.of(one) for one in site.index.logged_queries(limit=limit, offset=offset, only_open=only_open)]

    @routes.get("/missing-labels", summary="Candidates for missing labels")
    def missing_labels() -> list[MissingLabelBody]:
        """Clusters of these queries, the most frequent first."""
        found = clusters.get(_LONGEST)
        if found is None:
            raise HTTPException(503, "The clusters are still being computed; ask again.")
        return [MissingLabelBody.of(one) for one in found]

    @routes.post("/queries/decisions", summary="Decide about logged queries", status_code=201)
    def decide(request: QueriesRequest) -> list[QueryBody]:
        """Make items of queries, dismiss them, or take either back."""
        return [QueryBody.of(one) for one in site.decide_queries(request.ids, request.action, request.label)]

    return routes


def _log(site: Site) -> list[LoggedQuery]:
    return site.index.logged_queries(limit=MOST_QUERIES, only_open=False)


def _version(log: Sequence[LoggedQuery]) -> tuple[tuple[str, int], ...]:
    return tuple((query.id, query.count) for query in log if query.is_open)


def _position(skip: str | None, count: int) -> int:
    """Where in the list one is; a list that got shorter ends earlier."""
    wanted = int(skip) if skip is not None and skip.isascii() and skip.isdigit() and len(skip) <= len(str(count)) else 0
    last = max(count - 1, 0)
    return min(wanted, last) // LISTED * LISTED


def _decided(log: Sequence[LoggedQuery]) -> list[Decided]:
    """The latest decisions, the latest first."""
    together: dict[Resolution, list[LoggedQuery]] = {}
    for query in log:
        if query.resolution is not None:
            together.setdefault(query.resolution, []).append(query)
    latest = sorted(together, key=lambda resolution: resolution.time, reverse=True)[:_RECENT]
    return [Decided(resolution, together[resolution]) for resolution in latest]


def _request(fields: Mapping[str, str]) -> QueriesRequest:
    action = fields.get("action")
    given: dict[str, Any] = {"ids": fields.get("ids", "").split(), "action": action}
    if action == "add":
        given["label"] = fields.get("label", "")
    try:
        return QueriesRequest.model_validate(given)
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error

"""The JSON API for logged queries and the missing labels they suggest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from fg_search.ids import UserId
from fg_search.queries.clusters import MissingLabel
from fg_search.queries.entries import LoggedQuery
from fg_search.queries.log import MOST_QUERIES
from fg_search.web.errors import error_responses
from fg_search.web.parameters import MAX_LISTED, QueriesRequest
from fg_search.web.query_clusters import Clusters
from fg_search.web.security import API_PATH
from fg_search.web.site import Site

_PATIENCE = 60.0  # seconds that a request waits for clusters


class NearestBody(BaseModel):
    """The best hit of a logged query."""

    id: UserId
    label: str | None
    score: float


class ResolutionBody(BaseModel):
    """The decision on a logged query."""

    action: Literal["add", "dismiss"]
    label: str | None
    reviewer: str
    time: str


class QueryBody(BaseModel):
    """A logged query. Its result is that of the last time it was asked."""

    id: str
    text: str
    count: int = Field(description="How often the query was asked.")
    first: str
    last: str
    decision: str = Field(description="`answer`, `abstain` or `clarify`.")
    uncertain: bool
    reason: str
    query_confidence: float
    confidence: float | None = Field(description="Calibrated probability that the best hit is right.")
    nearest: NearestBody | None = Field(description="The best hit, whether it was shown or not.")
    resolution: ResolutionBody | None

    @classmethod
    def of(cls, query: LoggedQuery) -> QueryBody:
        """Convert a logged query."""
        return cls.model_validate(asdict(query))


class MissingLabelBody(BaseModel):
    """A cluster of similar queries: a candidate for a label that the index lacks."""

    name: str = Field(description="Proposed name of the label.")
    terms: list[str]
    size: int = Field(description="How often the queries were asked in total.")
    cohesion: float
    nearest_label: str | None
    nearest_similarity: float | None
    queries: list[QueryBody] = Field(description="Queries of the cluster, the most central first.")

    @classmethod
    def of(cls, label: MissingLabel) -> MissingLabelBody:
        """Convert a candidate."""
        return cls.model_validate(asdict(label))


def router(site: Site, clusters: Clusters) -> APIRouter:
    """Routes for logged queries."""
    routes = APIRouter(prefix=API_PATH, tags=["queries"])
    reads, writes = error_responses(takes_body=False), error_responses(takes_body=True)

    @routes.get("/queries", summary="Logged queries", responses=reads)
    def queries(
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 50,
        offset: Annotated[int, Query(ge=0, le=MOST_QUERIES)] = 0,
        only_open: bool = True,
    ) -> list[QueryBody]:
        """Queries that got no confident answer, the most frequent first."""
        found = site.index.logged_queries(limit=limit, offset=offset, only_open=only_open)
        return [QueryBody.of(query) for query in found]

    @routes.get("/missing-labels", summary="Candidates for missing labels", responses=reads)
    def missing_labels() -> list[MissingLabelBody]:
        """Clusters of these queries, the most frequent first."""
        found = clusters.get(_PATIENCE)
        if found is None:
            raise HTTPException(503, "The clusters are still being computed; ask again.")
        return [MissingLabelBody.of(candidate) for candidate in found]

    @routes.post("/queries/decisions", summary="Decide on logged queries", status_code=201, responses=writes)
    def decide(request: QueriesRequest) -> list[QueryBody]:
        """Add queries as items, dismiss them, or undo either."""
        return [QueryBody.of(query) for query in site.decide_queries(request.ids, request.action, request.label)]

    return routes

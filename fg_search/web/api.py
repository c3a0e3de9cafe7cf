"""The JSON API: search and review for programs; ``/api/openapi.json`` describes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from fg_search.ids import UserId
from fg_search.index.search_results import SearchResult
from fg_search.review.decisions import ReviewDecision
from fg_search.review.items import ReviewItem
from fg_search.web.parameters import MAX_LISTED, DecisionRequest, ReviewRequest, SearchRequest, UndoRequest
from fg_search.web.security import API_PATH
from fg_search.web.site import Site


class HitBody(BaseModel):
    """One item that was found."""

    id: UserId
    score: float
    weighted_score: float = Field(description="What the hits are ordered by.")
    confidence: float = Field(description="Of the item's own embedding.")
    label: str | None
    text: str
    agreement: list[bool] = Field(description="For each group whether query and item have the same code.")
    payload: dict[str, Any]


class ResultBody(BaseModel):
    """The answer to a query."""

    query: str
    decision: str = Field(description="`answer` or `abstain`.")
    uncertain: bool
    reason: str
    confidence: float | None = Field(description="Calibrated chance that the first hit is right.")
    query_confidence: float
    hits: list[HitBody]

    @classmethod
    def of(cls, result: SearchResult) -> ResultBody:
        """The same as JSON."""
        return cls.model_validate(asdict(result))


class ExampleBody(BaseModel):
    """An item shown beside another one."""

    id: UserId
    text: str
    label: str | None
    similarity: float


class ItemBody(BaseModel):
    """An item to look at."""

    id: UserId
    text: str
    label: str | None
    kind: str
    score: float = Field(description="How urgent it is.")
    confidence: float
    group_confidence: list[float]
    reason: str
    payload: dict[str, Any]
    suggested_label: str | None
    suggested_probability: float | None
    agreeing: list[ExampleBody]
    contradicting: list[ExampleBody]

    @classmethod
    def of(cls, item: ReviewItem) -> ItemBody:
        """The same as JSON."""
        return cls.model_validate(asdict(item))


class DecisionBody(BaseModel):
    """An entry of the log of decisions."""

    number: int
    id: UserId
    action: str
    before: str | None = Field(description="The label before it.")
    after: str | None = Field(description="The label after it.")
    reviewer: str
    time: str
    undoes: int | None = Field(description="Number of the entry that an `undo` takes back.")
    failed: str | None = Field(description="Why it could not be carried out, if so.")

    @classmethod
    def of(cls, decision: ReviewDecision) -> DecisionBody:
        """The same as JSON, without what brings a deleted item back."""
        return cls.model_validate({name: getattr(decision, name) for name in cls.model_fields})


class ListRequest(ReviewRequest):
    """A list, and how much of it."""

    limit: int = Field(50, ge=1, le=MAX_LISTED, description="Items at most.")


class PairBody(BaseModel):
    """Two labels whose items are taken for one another."""

    first: str
    second: str
    first_as_second: int = Field(description="Items of the first label that read as the second.")
    second_as_first: int
    score: float


class ErrorBody(BaseModel):
    """What was wrong."""

    error: str


def router(site: Site) -> APIRouter:
    """Search, review, decide, undo, and the log."""
    routes = APIRouter(
        prefix=API_PATH,
        responses={code: {"model": ErrorBody} for code in (404, 409, 422)},
    )

    @routes.post("/search", summary="Search", tags=["search"])
    def search(request: SearchRequest) -> ResultBody:
        """Find items similar to a query, and decide whether to answer it."""
        return ResultBody.of(site.index.search(request.query, **request.options()))

    @routes.get("/review", summary="Items to review", tags=["review"])
    def review(wanted: Annotated[ListRequest, Query()]) -> list[ItemBody]:
        """Items that a person should look at, most urgent first."""
        return [ItemBody.of(item) for item in site.index.review(limit=wanted.limit, **wanted.options())]

    @routes.get("/confused-labels", summary="Labels taken for one another", tags=["review"])
    def confused_labels(limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 20) -> list[PairBody]:
        """Pairs of labels that should perhaps be one, the most confused first."""
        return [PairBody.model_validate(asdict(pair)) for pair in site.index.confused_labels(limit)]

    @routes.post("/decisions", summary="Decide about an item", tags=["review"], status_code=201)
    def decide(request: DecisionRequest) -> DecisionBody:
        """Accept the suggested label, keep the label, set another, delete the item, or leave it to somebody else."""
        return DecisionBody.of(site.decide(request))

    @routes.get("/decisions", summary="The log of decisions", tags=["review"])
    def decisions(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[DecisionBody]:
        """The latest decisions, the oldest of them first."""
        return [DecisionBody.of(entry) for entry in site.index.decisions(limit=limit)]

    @routes.post("/undo", summary="Take back a decision", tags=["review"])
    def undo(request: UndoRequest) -> DecisionBody:
        """Take back a decision that stands, the latest or that of a number; a deleted item comes back."""
        return DecisionBody.of(site.undo(request.number))

    return routes

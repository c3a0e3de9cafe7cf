"""The JSON API for search and review; its schema is at ``/api/openapi.json``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from fg_search.ids import UserId
from fg_search.index.search_results import Hit, LabelChoice, SearchResult
from fg_search.review.decisions import ReviewDecision
from fg_search.review.items import ReviewItem
from fg_search.review.review_options import ReviewOptions
from fg_search.web.errors import error_responses
from fg_search.web.item_filter import search_filter
from fg_search.web.parameters import MAX_LISTED, DecisionRequest, ReviewRequest, SearchRequest, UndoRequest
from fg_search.web.security import API_PATH
from fg_search.web.site import Site


class HitBody(BaseModel):
    """A hit of a search."""

    id: UserId
    score: float
    ranking_score: float = Field(
        description="What hits are ordered by: the score, or its mean with the base cosine, times confidence^weight "
        "and familiarity^weight."
    )
    weighted_score: float = Field(description="Old name of `ranking_score`.", deprecated=True)
    confidence: float = Field(description="Confidence of the item.")
    familiarity: float | None = Field(
        description="Share of the examples learned from that are less familiar than the item, if it is known."
    )
    label: str | None
    text: str
    agreement: list[bool] = Field(description="Whether query and item have the same code, by group.")
    payload: dict[str, Any]

    @classmethod
    def of(cls, hit: Hit) -> HitBody:
        """Convert a hit."""
        return cls.model_validate({**asdict(hit), "weighted_score": hit.ranking_score})


class ChoiceBody(BaseModel):
    """A label that an uncertain query may be about."""

    label: str
    probability: float = Field(description="How probable the label is, next to the others; they need not add up to 1.")
    example: HitBody = Field(description="The best hit with this label.")

    @classmethod
    def of(cls, choice: LabelChoice) -> ChoiceBody:
        """Convert a choice."""
        return cls(label=choice.label, probability=choice.probability, example=HitBody.of(choice.example))


class ResultBody(BaseModel):
    """The result of a search."""

    query: str
    decision: str = Field(description="`answer`, `abstain` or `clarify`.")
    uncertain: bool
    reason: str
    confidence: float | None = Field(description="Calibrated probability that the first hit is right.")
    threshold: float | None = Field(
        description="Lowest `confidence` to answer at the target precision, if one was asked for and can be promised."
    )
    unanswerable_share: float | None = Field(
        description="Share of the queries without an answer that `confidence` and `threshold` hold for, if it is known."
    )
    query_confidence: float
    query_familiarity: float | None = Field(
        description="Share of the examples learned from that are less familiar than the query, if it is known."
    )
    nearest: HitBody | None = Field(
        description="Item nearest to the query by base embeddings, with their cosine as its score, if `explain` asked "
        "for it."
    )
    choices: list[ChoiceBody] = Field(
        description="Labels that an uncertain query may be about, if `on_uncertain` was `clarify`."
    )
    hits: list[HitBody]
    evidence: tuple[float, float] | None = Field(
        description="The two numbers that `confidence` is made of: log odds that the query has an answer, and the "
        "probability that the first hit is right if it has one."
    )
    warnings: list[str] = Field([], description="What is to be told about conditions of `where` that no item can meet.")

    @classmethod
    def of(cls, result: SearchResult, warnings: list[str]) -> ResultBody:
        """Convert a search result."""
        hits = [HitBody.of(hit) for hit in result.hits]
        nearest = None if result.nearest is None else HitBody.of(result.nearest)
        choices = [ChoiceBody.of(choice) for choice in result.choices]
        return cls.model_validate(
            {**vars(result), "hits": hits, "nearest": nearest, "choices": choices, "warnings": warnings}
        )


class ExampleBody(BaseModel):
    """An item shown next to another one."""

    id: UserId
    text: str
    label: str | None
    similarity: float


class OpinionBody(BaseModel):
    """What a reviewer holds to be the right label."""

    reviewer: str
    label: str | None


class ItemBody(BaseModel):
    """An item to review."""

    id: UserId
    text: str
    label: str | None
    kind: str
    score: float = Field(description="How urgent the review is, 0 to 1.")
    confidence: float
    group_confidence: list[float]
    reason: str
    payload: dict[str, Any]
    suggested_label: str | None
    suggested_probability: float | None
    agreeing: list[ExampleBody]
    contradicting: list[ExampleBody]
    opinion_on: int | None = Field(description="For a second opinion: number of the decision that it is about.")
    opinions: list[OpinionBody] = Field(description="Where two differ: the first opinion and the second, which holds.")

    @classmethod
    def of(cls, item: ReviewItem) -> ItemBody:
        """Convert an item to review."""
        return cls.model_validate(asdict(item))


class DecisionBody(BaseModel):
    """An entry of the decision log."""

    number: int
    id: UserId
    action: str
    before: str | None = Field(description="Label before the decision.")
    after: str | None = Field(description="Label after the decision.")
    reviewer: str
    time: str
    undoes: int | None = Field(description="Number of the decision that an `undo` undoes.")
    opinion_on: int | None = Field(description="Number of the decision that this is a second opinion on.")
    failed: str | None = Field(description="Why the decision could not be carried out, if it failed.")

    @classmethod
    def of(cls, decision: ReviewDecision) -> DecisionBody:
        """Convert a decision, without the data that would restore a deleted item."""
        return cls.model_validate({name: getattr(decision, name) for name in cls.model_fields})


class ListRequest(ReviewRequest):
    """Which items to review, and how many."""

    limit: int = Field(ReviewOptions.limit, ge=1, le=MAX_LISTED, description="Maximum number of items.")


class PairBody(BaseModel):
    """Two labels that are confused."""

    first: str
    second: str
    first_as_second: int = Field(description="Number of items given the first label and predicted as the second.")
    second_as_first: int = Field(description="Number of items given the second label and predicted as the first.")
    score: float


def _reviewed(site: Site, wanted: ListRequest) -> list[ReviewItem]:
    return site.index.review(limit=wanted.limit, **wanted.options(site.reviewer))


def router(site: Site) -> APIRouter:
    """Routes for search, review, decisions and undo."""
    routes = APIRouter(prefix=API_PATH)
    reads, writes = error_responses(takes_body=False), error_responses(takes_body=True)

    @routes.post("/search", summary="Search", tags=["search"], responses=writes)
    def search(request: SearchRequest) -> ResultBody:
        """Find the items most similar to a query, and decide whether to answer it."""
        query_filter, told = search_filter(site.index, request.where)
        return ResultBody.of(site.search(request.query, query_filter=query_filter, **request.options()), told)

    @routes.get("/review", summary="Items to review", tags=["review"], responses=reads)
    def review(wanted: Annotated[ListRequest, Query()]) -> list[ItemBody]:
        """Items that a person should review, most urgent first."""
        return [ItemBody.of(item) for item in _reviewed(site, wanted)]

    @routes.get("/confused-labels", summary="Confused labels", tags=["review"], responses=reads)
    def confused_labels(limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 20) -> list[PairBody]:
        """Pairs of labels that perhaps should be merged, the most confused first."""
        return [PairBody.model_validate(asdict(pair)) for pair in site.index.confused_labels(limit)]

    @routes.post("/decisions", summary="Decide on an item", tags=["review"], status_code=201, responses=writes)
    def decide(request: DecisionRequest) -> DecisionBody:
        """Accept the suggested label, keep the label, set another, delete the item, or leave it to somebody else."""
        return DecisionBody.of(site.decide(request))

    @routes.get("/decisions", summary="Decision log", tags=["review"], responses=reads)
    def decisions(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[DecisionBody]:
        """The latest decisions, in the order they were made."""
        return [DecisionBody.of(entry) for entry in site.index.decisions(limit=limit)]

    @routes.post("/undo", summary="Undo a decision", tags=["review"], responses=writes)
    def undo(request: UndoRequest) -> DecisionBody:
        """Undo a decision, by default the latest one in effect. A deleted item is restored."""
        return DecisionBody.of(site.undo(request.number))

    return routes

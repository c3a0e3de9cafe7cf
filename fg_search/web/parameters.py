"""Requests that the page and the API accept.

Types, ranges and defaults of a search come from :mod:`fg_search.index.search_options`; only the limits that protect a
public server are set here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fg_search.index.search_options import Fraction, Limit, Offset, Precision, RankBy, SearchOptions, Weight
from fg_search.queries.audit import JudgeAction
from fg_search.queries.entries import QueryAction
from fg_search.review.items import Kind
from fg_search.review.review_options import ReviewOptions

MAX_QUERY = 2_000  # characters; an encoder truncates after a few hundred tokens
MAX_PHRASINGS = 8
MAX_HITS = 100
MAX_OFFSET = 1_000
MAX_LABEL = 200
MAX_ID = 1_000
MAX_LISTED = 200  # items to review
MAX_DECIDED = 1_000  # queries, or items, per decision; more ids would not fit into a request
MAX_CONDITIONS = 8  # on the payload
MAX_CONDITION = 500  # characters
MAX_PLACE = 2_000  # characters of a place in a list

WHERE = "Conditions on the payload, all of which hold, such as `colour=red`, `price<50`, `size!=XL`."

Where = list[Annotated[str, StringConstraints(max_length=MAX_CONDITION)]]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUERY)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_LABEL)]
ItemId = Annotated[int, Field(strict=True)] | Annotated[str, StringConstraints(strict=True, max_length=MAX_ID)]
DecisionNumber = Annotated[int, Field(ge=0, lt=2**53)]  # what JSON readers keep exactly; they are microseconds
Action = Literal["accept", "keep", "label", "delete", "unsure"]


class SearchRequest(BaseModel):
    """Options of a search, as in ``ConfidenceIndex.search``."""

    model_config = ConfigDict(extra="forbid")

    query: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_PHRASINGS)] = Field(
        description="A text, or several phrasings of one question."
    )
    limit: Limit = Field(SearchOptions.limit, le=MAX_HITS, description="Maximum number of hits.")
    offset: Offset = Field(SearchOptions.offset, le=MAX_OFFSET, description="Number of hits to skip.")
    min_confidence: Fraction | None = Field(SearchOptions.min_confidence, description="Exclude less confident items.")
    confidence_weight: Weight = Field(
        SearchOptions.confidence_weight, description="Order hits by score * confidence^weight."
    )
    min_familiarity: Fraction | None = Field(SearchOptions.min_familiarity, description="Exclude less familiar items.")
    familiarity_weight: Weight = Field(
        SearchOptions.familiarity_weight, description="Order hits by score * familiarity^weight."
    )
    target_precision: Precision | None = Field(
        SearchOptions.target_precision,
        description="Share of answers that must be right; needs a calibrated index.",
    )
    min_query_confidence: Fraction | None = Field(
        SearchOptions.min_query_confidence, description="Treat a query less confident than this as uncertain."
    )
    on_uncertain: Literal["flag", "abstain", "clarify"] = Field(
        "flag", description="What to do with an uncertain query. `clarify` needs `target_precision`."
    )
    label_miss: Precision = Field(
        SearchOptions.label_miss,
        description="Share of the uncertain queries with an answer whose right label `clarify` may miss.",
    )
    rank_by: RankBy = SearchOptions.rank_by
    explain: bool = Field(
        SearchOptions.explain, description="Also find the item nearest to the query by base embeddings."
    )
    where: Where = Field([], max_length=MAX_CONDITIONS, description=WHERE)

    def options(self) -> dict[str, Any]:
        """Keyword arguments for ``ConfidenceIndex.search``, but for the filter."""
        return self.model_dump(exclude={"query", "where"})


class ReviewRequest(BaseModel):
    """Which items to review, as in ``ConfidenceIndex.review``."""

    model_config = ConfigDict(extra="ignore")

    kind: Kind = ReviewOptions.kind
    label: Label | None = Field(default=ReviewOptions.label, description="Only items with this label.")
    suggested: Label | None = Field(
        default=ReviewOptions.suggested, description="Only items for which this label is suggested."
    )
    min_score: Fraction | None = Field(default=ReviewOptions.min_score, description="Only items at least this urgent.")
    diverse: bool = Field(default=ReviewOptions.diverse, description="Keep near-duplicates apart.")

    def options(self, reviewer: str) -> dict[str, Any]:
        """Keyword arguments for ``ConfidenceIndex.review``, as the reviewer asks for the list."""
        asked = {name: getattr(self, name) for name in ReviewRequest.model_fields}
        return asked | {"reviewer": reviewer if self.kind == "second" else None}


class ItemsRequest(BaseModel):
    """Which items to list, and in what order."""

    model_config = ConfigDict(extra="ignore")

    label: Label | None = Field(None, description="Only items with this label.")
    unlabelled: bool = Field(False, description="Only items without a label.")
    where: Where = Field([], max_length=MAX_CONDITIONS, description=WHERE)
    min_confidence: Fraction | None = None
    max_confidence: Fraction | None = None
    min_familiarity: Fraction | None = None
    max_familiarity: Fraction | None = None
    min_wrong: Fraction | None = Field(
        None, description="Only items whose label is wrong with at least this probability; needs scored labels."
    )
    decided: Literal["no", "yes", "accept", "keep", "label", "unsure"] | None = Field(
        None, description="Only items that a reviewer has decided about, or not, or in this way."
    )
    id: list[Annotated[str, StringConstraints(max_length=MAX_ID)]] = Field(
        [], max_length=MAX_DECIDED, description="Only these items; ids as JSON, or texts as they are."
    )
    region: Annotated[str, StringConstraints(pattern=r"^(-?\d(\.\d{1,5})?,){3}-?\d(\.\d{1,5})?$")] | None = Field(
        None, description="Only items within a rectangle of the map: left, top, right, bottom, each from 0 to 1."
    )
    sort: Literal[
        "id",
        "label",
        "-label",
        "confidence",
        "-confidence",
        "familiarity",
        "-familiarity",
        "wrong",
        "-wrong",
    ] = Field("id", description="What to order by; with `-`, the greatest first.")


class DecisionRequest(BaseModel):
    """A decision on an item, as in ``ConfidenceIndex.decide``."""

    model_config = ConfigDict(extra="forbid")

    id: ItemId
    action: Action
    label: Label | None = Field(None, description="New label, for the action `label`.")
    suggested: str | None = Field(
        None,
        description="For the action `accept`: the suggestion the reviewer saw. If it has changed, the decision is "
        "refused as a conflict.",
    )
    latest: DecisionNumber | None = Field(
        None,
        description="Number of the latest decision on this item that the reviewer saw, 0 for none. If there is a later "
        "one, the decision is refused as a conflict.",
    )
    opinion_on: DecisionNumber | None = Field(
        None, description="Number of another reviewer's decision, which this reviewer has not seen: a second opinion."
    )


class UndoRequest(BaseModel):
    """Which decision to undo, as in ``ConfidenceIndex.undo``."""

    model_config = ConfigDict(extra="forbid")

    number: DecisionNumber | None = Field(None, description="Number of the decision; the latest one by default.")


class JudgementRequest(BaseModel):
    """A judgement of an answer, as in ``ConfidenceIndex.judge_answer``, with what the reviewer saw."""

    model_config = ConfigDict(extra="forbid")

    query_id: Annotated[str, StringConstraints(max_length=MAX_ID)]
    item: ItemId
    label: str | None
    turn: DecisionNumber
    action: JudgeAction
    target: Precision


class QueriesRequest(BaseModel):
    """A decision on logged queries, as in ``ConfidenceIndex.decide_queries``."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[str], Field(min_length=1, max_length=MAX_DECIDED)]
    action: QueryAction
    label: Label | None = Field(None, description="Label of the new items, for the action `add`.")


def problems(error: ValidationError) -> list[str]:
    """One message per invalid field."""
    return [f"{_field(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_url=False)]


def _field(location: tuple[int | str, ...]) -> str:
    return str(location[0]).replace("_", " ") if location else "input"

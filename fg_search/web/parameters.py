"""What may be asked of the page and of the API, with its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fg_search.review.items import Kind

MAX_QUERY = 2_000  # characters; an encoder reads some hundreds of tokens and drops the rest
MAX_PHRASINGS = 8
MAX_HITS = 100
MAX_OFFSET = 1_000
MAX_LABEL = 200
MAX_ID = 1_000
MAX_LISTED = 200  # items to review

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUERY)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_LABEL)]
ItemId = Annotated[int, Field(strict=True)] | Annotated[str, StringConstraints(strict=True, max_length=MAX_ID)]
Number = Annotated[int, Field(ge=0, lt=2**63)]  # of an entry of the log
Deciding = Literal["accept", "keep", "label", "delete", "unsure"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class SearchRequest(BaseModel):
    """A search, with the words and the meaning of ``ConfidenceIndex.search``."""

    model_config = ConfigDict(extra="forbid")

    query: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_PHRASINGS)] = Field(
        description="A text, or several phrasings of one question."
    )
    limit: int = Field(10, ge=1, le=MAX_HITS, description="Hits at most.")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Hits to leave out before the first.")
    min_confidence: Fraction | None = Field(None, description="Exclude less confident items.")
    confidence_weight: float = Field(0, ge=0, le=100, description="Order by score * confidence^weight.")
    target_precision: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Share of right answers to reach; needs a calibrated index."
    )
    min_query_confidence: Fraction | None = Field(None, description="A query less confident than this is uncertain.")
    on_uncertain: Literal["flag", "abstain"] = Field("flag", description="What an uncertain query gets.")
    rank_by: Literal["auto", "features", "base", "both"] = "auto"

    def options(self) -> dict[str, Any]:
        """Arguments of ``ConfidenceIndex.search``, all but the query."""
        return self.model_dump(exclude={"query"})


class ReviewRequest(BaseModel):
    """A list to review, with the words and the meaning of ``ConfidenceIndex.review``."""

    model_config = ConfigDict(extra="ignore")

    kind: Kind = "ambiguous"
    label: Label | None = Field(default=None, description="Only items with this label.")
    suggested: Label | None = Field(default=None, description="Only items for which this label is suggested.")
    min_score: Fraction | None = Field(default=None, description="Only items at least this urgent.")
    diverse: bool = Field(default=False, description="No near-copies close to one another.")

    def options(self) -> dict[str, Any]:
        """Arguments of ``ConfidenceIndex.review``."""
        return {name: getattr(self, name) for name in ReviewRequest.model_fields}


class DecisionRequest(BaseModel):
    """A decision about an item, as of ``ConfidenceIndex.decide``."""

    model_config = ConfigDict(extra="forbid")

    id: ItemId
    action: Deciding
    label: Label | None = Field(None, description="For the action `label`.")
    suggested: str | None = Field(
        None, description="For the action `accept`: the suggestion that was seen; another one by now is a conflict."
    )
    latest: Number | None = Field(
        None,
        description="Number of the latest entry of the log about the item that was seen, 0 for none; a later one is a "
        "conflict.",
    )


class UndoRequest(BaseModel):
    """Which decision to take back, as of ``ConfidenceIndex.undo``."""

    model_config = ConfigDict(extra="forbid")

    number: Number | None = Field(None, description="Of the decision; the latest of all if it is left out.")


def problems(error: ValidationError) -> list[str]:
    """What was wrong, a line a field."""
    return [f"{_field(one['loc'])}: {one['msg']}" for one in error.errors(include_url=False)]


def _field(location: tuple[int | str, ...]) -> str:
    return str(location[0]).replace("_", " ") if location else "input"

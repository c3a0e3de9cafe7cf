"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from fg_search.ids import UserId

Decision = Literal["answer", "abstain"]


@dataclass(frozen=True)
class Hit:
    """One point that was found.

    Attributes:
        id: As the user gave it.
        score: Similarity to the query: FG similarity in [0, 1], base cosine in [-1, 1], or the fused rank score.
        weighted_score: What the hits are ordered by: ``score · confidence^confidence_weight``.
        confidence: Of the point's own embedding, in [1/K, 1].
        label: Of the point, or ``None``.
        text: Of the point.
        agreement: For each group whether query and point have the same most probable code.
        payload: The user's own.
    """

    id: UserId
    score: float
    weighted_score: float
    confidence: float
    label: str | None
    text: str
    agreement: tuple[bool, ...] = field(repr=False)
    payload: dict[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.weighted_score:.3f}  conf {self.confidence:.2f}  [{self.label or '-'}] {self.text}"


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        query: The text; several phrasings of one question are joined by ``" / "``.
        hits: Best first; empty if the decision is to abstain.
        query_confidence: Of the query's own embedding, in [1/K, 1].
        decision: ``"answer"`` or ``"abstain"``.
        uncertain: Whether one of the two confidences is below what was asked for.
        reason: A sentence on why it was decided so.
        confidence: Calibrated probability that the top hit is right, in [0, 1]; ``None`` if the index was not
            calibrated for this kind of search.
    """

    query: str
    hits: tuple[Hit, ...]
    query_confidence: float
    decision: Decision
    uncertain: bool
    reason: str
    confidence: float | None = None

    def __str__(self) -> str:
        lines = [self.query, f"  {self.decision}: {self.reason}"]
        return "\n".join([*lines, *(f"  {hit}" for hit in self.hits)])


@dataclass(frozen=True)
class HitGroup:
    """The hits that share a value of a payload field.

    Attributes:
        value: What they share.
        hits: Best first.
    """

    value: str | int
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class GroupedResult:
    """The answer to one query, its hits by the value of a payload field.

    Attributes:
        groups: The one with the best hit first; empty if the decision is to abstain.
        result: Everything else, with the hits of all groups.
    """

    groups: tuple[HitGroup, ...]
    result: SearchResult = field(repr=False)

    def __str__(self) -> str:
        lines = [self.result.query, f"  {self.result.decision}: {self.result.reason}"]
        for group in self.groups:
            lines += [f"  {group.value}", *(f"    {hit}" for hit in group.hits)]
        return "\n".join(lines)

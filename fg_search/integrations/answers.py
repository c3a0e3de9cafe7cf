"""What a program that acts on a search is told: an agent, over MCP or through a function."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field
from typing_extensions import Self

from fg_search.ids import UserId
from fg_search.index.search_results import Hit, LabelChoice, SearchResult
from fg_search.integrations.outcomes import Outcome, outcome

_ADVICE: dict[Outcome, str] = {
    "answer": "The hits answer the question.",
    "choices": "It is not clear which of the choices is meant. Ask which one.",
    "weak": "Something was found, but not surely enough: an answer from it may be wrong. Do not answer from it; ask "
    "for more detail, or say that there is no sure answer.",
    "nothing": "Nothing is known about this here. Say so; do not make up an answer.",
}
_UNPROMISED = "These are the best hits. Nothing is promised of them: check that they answer the question."


class FoundItem(BaseModel):
    """An item that was found."""

    id: UserId
    text: str
    label: str | None
    score: float = Field(description="What items are ordered by; only comparable within one answer.")
    payload: dict[str, Any] = Field(description="Further fields of the item.")

    @classmethod
    def of(cls, hit: Hit) -> Self:
        """Convert a hit."""
        return cls(id=hit.id, text=hit.text, label=hit.label, score=hit.ranking_score, payload=hit.payload)


class Choice(BaseModel):
    """A label that an unclear question may be about."""

    label: str
    probability: float = Field(description="How probable it is that this label is right, in [0, 1].")
    example: str = Field(description="Text of the best item with this label.")

    @classmethod
    def of(cls, choice: LabelChoice) -> Self:
        """Convert a choice."""
        return cls(label=choice.label, probability=choice.probability, example=choice.example.text)


class SearchAnswer(BaseModel):
    """The answer to a question, or why there is none. A failure is none of these: it is an error."""

    outcome: Outcome = Field(
        description="answer: the hits are the answer. choices: one of several things is meant. weak: something was "
        "found, but not surely enough to answer with it. nothing: nothing is known about this."
    )
    advice: str = Field(description="What to do with it.")
    decision: Literal["answer", "abstain", "clarify"] = Field(description="What the index has decided.")
    reason: str = Field(description="Why.")
    confidence: float | None = Field(
        description="Calibrated probability that the first hit is right, null if the index is not calibrated."
    )
    familiarity: float | None = Field(
        description="Share of what the index has learned from that is less familiar than the question, in [0, 1]."
    )
    promised_precision: float | None = Field(
        description="Share of such answers that are right, if that was asked for and is promised."
    )
    hits: list[FoundItem] = Field(description="The items found, best first; none if the index abstains.")
    nearest: FoundItem | None = Field(
        description="Where there are no hits: the item that is most like the question. It need not answer it."
    )
    choices: list[Choice] = Field(description="What may be meant, the most probable first.")

    @classmethod
    def of(cls, result: SearchResult, target_precision: float | None = None) -> Self:
        """Convert a result.

        Args:
            result: Result of a search; with ``explain=True`` it has the nearest item.
            target_precision: The precision that was asked for.
        """
        found = outcome(result)
        promised = target_precision if found == "answer" else None
        nearest = None if result.hits or result.nearest is None else FoundItem.of(result.nearest)
        return cls(
            outcome=found,
            advice=_UNPROMISED if found == "answer" and promised is None else _ADVICE[found],
            decision=result.decision,
            reason=result.reason,
            confidence=result.confidence,
            familiarity=result.query_familiarity,
            promised_precision=promised,
            hits=[FoundItem.of(hit) for hit in result.hits],
            nearest=nearest,
            choices=[Choice.of(choice) for choice in result.choices],
        )

"""What other libraries are told of a search: one set of metadata, and what was found, in one word."""

from __future__ import annotations

from typing import Any, Literal

from fg_search.confidence.answerability import HARDLY_ANSWERABLE
from fg_search.confidence.familiarity import UNFAMILIAR
from fg_search.index.search_results import Hit, SearchResult

Outcome = Literal["answer", "choices", "weak", "nothing"]
"""``"answer"``: the hits are the answer. ``"choices"``: one of several labels is meant. ``"weak"``: something was
found, but not surely enough. ``"nothing"``: the query is like nothing that is known."""

_SENTENCES = {
    "choices": "It is not clear which of several things is meant",
    "weak": "Something was found, but not surely enough to answer with it",
    "nothing": "Nothing is known about this",
}


def outcome(result: SearchResult) -> Outcome:
    """What a search has found. Whether the hits were held back or flagged makes no difference."""
    if result.decision == "clarify":
        return "choices"
    if result.uncertain:
        return "nothing" if _is_unknown(result) else "weak"
    return "answer" if result.hits else "nothing"


def result_metadata(result: SearchResult, target_precision: float | None) -> dict[str, Any]:
    """Metadata of a result, the same for all of its hits.

    Args:
        result: Result of a search.
        target_precision: The precision that was asked for.
    """
    found = outcome(result)
    return metadata(
        found,
        decision=result.decision,
        reason=result.reason,
        confidence=result.confidence,
        familiarity=result.query_familiarity,
        target_precision=target_precision,
    )


def metadata(
    found: Outcome,
    *,
    decision: str,
    reason: str,
    confidence: float | None,
    familiarity: float | None = None,
    target_precision: float | None,
) -> dict[str, Any]:
    """Metadata by its parts. A precision is promised for answers alone."""
    return {
        "fg_outcome": found,
        "fg_decision": decision,
        "fg_reason": reason,
        "fg_confidence": confidence,
        "fg_familiarity": familiarity,
        "fg_promised_precision": target_precision if found == "answer" else None,
    }


def hit_metadata(hit: Hit) -> dict[str, Any]:
    """Metadata of one hit: its label and the score that hits are ordered by."""
    return {"fg_label": hit.label, "fg_score": hit.ranking_score}


def empty_result(query: str | None) -> SearchResult:
    """Result of a search of a store without items: libraries expect none to be an error."""
    return SearchResult(query or "", (), 0.0, "abstain", uncertain=True, reason="the store is empty")


def said(found: Outcome, reason: str) -> str:
    """A sentence for whoever gets no hits."""
    return f"{_SENTENCES.get(found, 'An answer was found')}: {reason}."


def explanation(result: SearchResult, target_precision: float | None) -> tuple[str, dict[str, Any]]:
    """What stands for hits that are held back: a sentence, and the metadata, with the labels to choose from."""
    text, told = said(outcome(result), result.reason), result_metadata(result, target_precision)
    if result.choices:
        told["fg_choices"] = [choice.label for choice in result.choices]
        text += f" It may be about: {', '.join(told['fg_choices'])}."
    return text, told


def _is_unknown(result: SearchResult) -> bool:
    """Whether an uncertain query is like nothing known, as opposed to one that is close to several things."""
    if result.query_familiarity is None:
        return result.query_confidence < HARDLY_ANSWERABLE
    return result.query_familiarity < UNFAMILIAR

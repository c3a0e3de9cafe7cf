"""A sentence on why a person should look at an item."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fg_search.review.issues.confusion import ConfusedLabels

_UNDECIDED = 0.5  # a group whose best code has less than half the mass prefers no code to all others together
_LIKELY = 0.5  # a suggestion is more probable than all else
_QUOTED = 60  # characters of a quoted text


def contradiction_reason(given: str, suggested: str, probability: float, *, quoted: str | None = None) -> str:
    """Why a label is, or may be, wrong.

    Args:
        given: The label of the item.
        suggested: The label it more probably has.
        probability: That the suggested label is right, in [0, 1].
        quoted: Text of the most similar item with the suggested label, if it should be quoted.
    """
    if probability > _LIKELY:
        reason = f"labelled {given!r}, but judged without that label it reads as {suggested!r}"
    else:
        reason = f"labelled {given!r}; judged without that label, {suggested!r} is the likeliest other one"
    reason += f" (probability {_percent(probability)})"
    return reason if quoted is None else f"{reason}, like {_quote(quoted)}"


def ambiguity_reason(
    group_confidence: Sequence[float],
    *,
    suggested: str | None = None,
    probability: float | None = None,
    neighbours: Sequence[str] = (),
) -> str:
    """Why an item could be more than one thing.

    Args:
        group_confidence: ``(G,)``, each in [0, 1].
        suggested: The most probable label other than its own, if labels were judged.
        probability: That it is right, in [0, 1].
        neighbours: Labels of its nearest items, if they do not all have its own.
    """
    undecided = sum(value < _UNDECIDED for value in group_confidence)
    parts = [
        f"{undecided} of {len(group_confidence)} groups are undecided (best code below {_UNDECIDED:.0%})"
        if undecided
        else f"the least sure of {len(group_confidence)} groups gives its best code {_percent(min(group_confidence))}"
    ]
    if suggested is not None and probability is not None:
        parts.append(f"judged without its label it could be {suggested!r} (probability {_percent(probability)})")
    if neighbours:
        parts.append(f"its nearest items are labelled {_listed(neighbours)}")
    return "; ".join(parts)


def outlier_reason(score: float) -> str:
    """Why an item is far from everything; ``score`` as of :func:`fg_search.review.issues.outliers.outlier_scores`."""
    return f"unlike anything else: all but its few nearest items have a similarity of at most {1 - score:.2f}"


def duplicate_reason(similarity: float, first: str, second: str, *, quoted: str | None = None) -> str:
    """Why two near-copies with different labels are listed.

    Args:
        similarity: Of the two; 1 for the same text.
        first: Label of the one that is listed.
        second: Label of the other.
        quoted: Text of the other, if it should be quoted.
    """
    same = "the same text" if similarity >= 1 else f"nearly the same (similarity {_cut(similarity)})"
    if quoted is None:
        return f"{same}, once labelled {first!r} and once {second!r}"
    return f"labelled {first!r}, but {same} is labelled {second!r}: {_quote(quoted)}"


def same_text_reason(label: str | None, others: Sequence[str | None], *, more: bool) -> str:
    """Why an item is listed whose text others have as well.

    Args:
        label: Of the item.
        others: Labels of the other items, or of some of them.
        more: Whether there may be more than these.
    """
    count = f"{'at least ' if more else ''}{len(others)} other item{'s' if len(others) > 1 else ''}"
    odd = sorted({"none" if one is None else repr(one) for one in others if one != label})
    labels = f"labelled otherwise: {', '.join(odd)}" if odd else "of the same label" if label else "without a label"
    return f"the same text as {count}, {labels}"


def confusion_reason(pair: ConfusedLabels) -> str:
    """Why two labels should perhaps be one."""
    return (
        f"{_items(pair.first_as_second)} labelled {pair.first!r} read as {pair.second!r}, and "
        f"{_items(pair.second_as_first)} the other way round: one label, or a line to be drawn"
    )


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _listed(labels: Sequence[str]) -> str:
    *first, last = map(repr, dict.fromkeys(labels))
    return f"{', '.join(first)} and {last}" if first else last


def _cut(similarity: float) -> str:
    """Never rounded up to the same."""
    return f"{math.floor(similarity * 1000) / 1000:.3f}"


def _percent(value: float) -> str:
    """Never a certainty that is none."""
    if 0 < value < 0.01:
        return "under 1%"
    return "over 99%" if 0.99 < value < 1 else f"{value:.0%}"


def _quote(text: str) -> str:
    short = " ".join(text.split())
    return f"“{short if len(short) <= _QUOTED else short[: _QUOTED - 1] + '…'}”"

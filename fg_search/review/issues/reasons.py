"""Sentences that explain why an item is listed for review."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fg_search.review.issues.confusion import ConfusedLabels
from fg_search.review.issues.label_errors import LEAST_EXAMPLES

LIKELY_WRONG = 0.5
"""Probability from which a label is more likely wrong than right."""

_UNDECIDED = 0.5  # a group is undecided if its best code has less than half of the mass
_LIKELY = 0.5  # a suggestion is likely if it is more probable than not
_QUOTED = 60  # characters of a quoted text


def too_few_reason(unscored: int) -> str:
    """Why the labels of ``unscored`` items were not scored."""
    items = "1 item has" if unscored == 1 else f"{unscored:,} items have"
    return f"{items} a label with too few examples to judge (fewer than {LEAST_EXAMPLES})"


def contradiction_reason(given: str, suggested: str, probability: float, *, quoted: str | None = None) -> str:
    """Why a given label is probably, or possibly, wrong.

    Args:
        given: The label of the item.
        suggested: The most probable other label.
        probability: Probability that the suggested label is right, in [0, 1].
        quoted: Text of the most similar item with the suggested label, to quote it.
    """
    if probability > _LIKELY:
        reason = f"labelled {given!r}, but without that label it reads as {suggested!r}"
    else:
        reason = f"labelled {given!r}; without that label, {suggested!r} is the likeliest other one"
    reason += f" (probability {_percent(probability)})"
    return reason if quoted is None else f"{reason}, like {_quote(quoted)}"


def ambiguity_reason(
    group_confidence: Sequence[float],
    *,
    suggested: str | None = None,
    probability: float | None = None,
    neighbours: Sequence[str] = (),
) -> str:
    """Why an item is ambiguous.

    Args:
        group_confidence: ``(G,)`` group confidences in [0, 1].
        suggested: The most probable label other than the given one, if labels were scored.
        probability: Probability that the suggested label is right, in [0, 1].
        neighbours: Labels of the nearest items, if any differs from the label of the item.
    """
    undecided = sum(value < _UNDECIDED for value in group_confidence)
    parts = [
        f"{undecided} of {len(group_confidence)} groups are undecided (best code below {_UNDECIDED:.0%})"
        if undecided
        else f"the least sure of {len(group_confidence)} groups gives its best code {_percent(min(group_confidence))}"
    ]
    if suggested is not None and probability is not None:
        parts.append(f"without its label it could be {suggested!r} (probability {_percent(probability)})")
    if neighbours:
        parts.append(f"its nearest items are labelled {_listed(neighbours)}")
    return "; ".join(parts)


def unfamiliarity_reason(familiarity: float) -> str:
    """Why an item is listed that is like little that the encoder learned from."""
    return f"like little that was learned from: {_percent(familiarity)} of the examples are less familiar"


def unread_reason(unread: float, *, is_cut: bool) -> str:
    """Why a text is listed of which the model knows or reads a part only.

    Args:
        unread: Share of its tokens that the model does not know, in [0, 1].
        is_cut: Whether it is longer than what the model reads.
    """
    parts = [f"the model does not know {_percent(unread)} of its tokens (another script, emoji)"] if unread else []
    parts += ["it is longer than the model reads, so that its end counts for nothing"] if is_cut else []
    return "; ".join(parts)


def outlier_reason(score: float) -> str:
    """Why an item is an outlier, by its score from :func:`fg_search.review.issues.outliers.outlier_scores`."""
    return f"unlike anything else: all but its few nearest items have a similarity of at most {1 - score:.2f}"


def duplicate_reason(similarity: float, first: str, second: str, *, quoted: str | None = None) -> str:
    """Why an item with a near-duplicate of a different label is listed.

    Args:
        similarity: Cosine of the two items; 1 if their texts are the same.
        first: Label of the listed item.
        second: Label of its near-duplicate.
        quoted: Text of the near-duplicate, to quote it.
    """
    same = "the same text" if similarity >= 1 else f"nearly the same (similarity {_cut(similarity)})"
    if quoted is None:
        return f"{same}, once labelled {first!r} and once {second!r}"
    return f"labelled {first!r}, but {same} is labelled {second!r}: {_quote(quoted)}"


def same_text_reason(label: str | None, others: Sequence[str | None], *, more: bool) -> str:
    """Why an item that shares its text with others is listed.

    Args:
        label: Label of the item.
        others: Labels of other items with the same text.
        more: Whether there may be more such items.
    """
    count = f"{'at least ' if more else ''}{len(others)} other item{'s' if len(others) > 1 else ''}"
    differing = sorted({"none" if other is None else repr(other) for other in others if other != label})
    labels = (
        f"labelled otherwise: {', '.join(differing)}"
        if differing
        else "of the same label"
        if label
        else "without a label"
    )
    return f"the same text as {count}, {labels}"


def confusion_reason(pair: ConfusedLabels) -> str:
    """Why two labels perhaps should be merged."""
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
    """Three decimals, rounded down: less than 1 never reads as 1."""
    return f"{math.floor(similarity * 1000) / 1000:.3f}"


def _percent(value: float) -> str:
    """A percentage that reads as 0% or 100% only if it is exactly that."""
    if 0 < value < 0.01:
        return "under 1%"
    return "over 99%" if 0.99 < value < 1 else f"{value:.0%}"


def _quote(text: str) -> str:
    short = " ".join(text.split())
    return f"“{short if len(short) <= _QUOTED else short[: _QUOTED - 1] + '…'}”"

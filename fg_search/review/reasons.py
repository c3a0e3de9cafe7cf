"""A sentence on why a person should look at an item."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fg_search.review.confusion import ConfusedLabels
from fg_search.review.noise import NoiseEstimate

_LOW, _CLOSE = 0.5, 0.2
_QUOTED = 60  # characters of a quoted text


def contradiction_reason(
    given: str, suggested: str, probability: float, *, agreeing: str | None = None, contradicting: str | None = None
) -> str:
    """Why a label is probably wrong.

    Args:
        given: The label of the item.
        suggested: The label it more probably has.
        probability: That the suggested label is right, in [0, 1].
        agreeing: Text of the most similar item with the given label, if it should be quoted.
        contradicting: Text of the most similar item with the suggested label, likewise.
    """
    reason = (
        f"labelled {given!r}, but judged without that label it reads as {suggested!r} "
        f"(probability {_percent(probability)})"
    )
    if contradicting is not None:
        reason += f"; most like {_quote(contradicting)}, which is labelled {suggested!r}"
    if agreeing is not None:
        reason += f"; closest with its own label: {_quote(agreeing)}"
    return reason


def ambiguity_reason(
    confidence: float,
    *,
    margin: float | None = None,
    agreement: float | None = None,
    candidates: tuple[str, str] | None = None,
) -> str:
    """Why an item could be more than one thing.

    Args:
        confidence: Of its embedding, in [0, 1].
        margin: Lead of the most probable label over the second, in [0, 1].
        agreement: Share of its neighbours with the commonest label among them.
        candidates: The two most probable labels.
    """
    parts = [f"{'low ' if confidence < _LOW else ''}confidence {confidence:.2f}"]
    if margin is not None:
        between = "the two most probable labels" if candidates is None else f"{candidates[0]!r} and {candidates[1]!r}"
        parts.append(f"{between} are {_percent(margin)} apart{', nearly a tie' if margin < _CLOSE else ''}")
    if agreement is not None:
        parts.append(
            "all its neighbours have one label"
            if agreement >= 1
            else f"only {_percent(agreement)} of its neighbours share one label"
        )
    return "; ".join(parts)


def outlier_reason(score: float) -> str:
    """Why an item is far from everything; ``score`` as of :func:`fg_search.review.outliers.outlier_scores`."""
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


def noise_reason(estimate: NoiseEstimate) -> str:
    """How much there is to find."""
    low, high = (round(end * estimate.examples) for end in (estimate.share.low, estimate.share.high))
    return f"of {estimate.examples:,} labels, {low:,} to {high:,} are probably wrong"


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


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

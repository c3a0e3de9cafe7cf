"""What is shown to a person who reviews."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from fg_search.ids import UserId

Kind = Literal["ambiguous", "contradicted", "conflicting", "duplicate", "outlier", "unsure"]


@dataclass(frozen=True)
class Example:
    """An item shown beside another one.

    Attributes:
        id: As its owner gave it.
        text: Of the item.
        label: Of the item, or ``None``.
        similarity: To the item it is shown beside.
    """

    id: UserId
    text: str
    label: str | None
    similarity: float


@dataclass(frozen=True)
class ReviewItem:
    """One item to look at.

    Attributes:
        id: As its owner gave it.
        text: Of the item.
        label: Of the item, or ``None``.
        kind: ``"ambiguous"`` (the text is unclear to the model), ``"contradicted"`` (its label does not fit),
            ``"conflicting"`` (a near-duplicate has another label), ``"duplicate"`` (another item has the same text),
            ``"outlier"`` (it is far from all others) or ``"unsure"`` (a reviewer left it to somebody else).
        score: How urgent it is among items of its kind, in [0, 1].
        confidence: Of the item's embedding, in [1/K, 1]; low means that the text is ambiguous to the model.
        group_confidence: The same for each group.
        reason: A sentence on why it is listed.
        payload: The owner's own.
        suggested_label: What the model takes it for, if it was asked (:meth:`ConfidenceIndex.score_labels`).
        suggested_probability: Of that label, in [0, 1].
        agreeing: The nearest items of the same label, the nearest first, if they were asked for. Of a duplicate, its
            copies in any case.
        contradicting: The nearest items of other labels, likewise. Of a conflicting item, its near-duplicates in any
            case.
    """

    id: UserId
    text: str
    label: str | None
    kind: Kind
    score: float
    confidence: float
    group_confidence: tuple[float, ...] = field(repr=False)
    reason: str
    payload: dict[str, Any] = field(repr=False)
    suggested_label: str | None = None
    suggested_probability: float | None = None
    agreeing: tuple[Example, ...] = field(default=(), repr=False)
    contradicting: tuple[Example, ...] = field(default=(), repr=False)

"""Items as they are shown to a reviewer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from fg_search.ids import UserId

Kind = Literal[
    "ambiguous",
    "contradicted",
    "conflicting",
    "duplicate",
    "outlier",
    "unfamiliar",
    "unread",
    "unsure",
    "second",
    "differ",
]


@dataclass(frozen=True)
class Example:
    """An item shown beside another one.

    Attributes:
        id: User's id of the item.
        text: Text of the item.
        label: Label of the item, ``None`` if unknown.
        similarity: Similarity to the item it is shown beside.
    """

    id: UserId
    text: str
    label: str | None
    similarity: float


@dataclass(frozen=True)
class Opinion:
    """What a reviewer holds to be the right label of an item.

    Attributes:
        reviewer: Name of the reviewer.
        label: The label, ``None`` for none.
    """

    reviewer: str
    label: str | None

    def __str__(self) -> str:
        return f"{self.reviewer} says {'no label' if self.label is None else self.label}"


@dataclass(frozen=True)
class ReviewItem:
    """An item that a person should look at.

    Attributes:
        id: User's id of the item.
        text: Text of the item.
        label: Label of the item, ``None`` if unknown. For a second opinion it is the one that the data give, as the
            first reviewer saw it.
        kind: ``"ambiguous"`` (the text is unclear to the model), ``"contradicted"`` (the label does not fit),
            ``"conflicting"`` (a near-duplicate has another label), ``"duplicate"`` (another item has the same text),
            ``"outlier"`` (it is far from all others), ``"unfamiliar"`` (it is like little that the encoder learned
            from), ``"unread"`` (the model knows or reads a part of the text only), ``"unsure"`` (a reviewer left it
            to somebody else), ``"second"`` (a reviewer decided about it, and nobody else has yet) or ``"differ"``
            (a second opinion was another one, and nobody has settled it yet).
        score: Urgency among items of its kind, in [0, 1].
        confidence: Confidence of the item's embedding, in [1/K, 1]. If it is low, the text is ambiguous to the model.
        group_confidence: Confidence of each feature group, in [1/K, 1].
        reason: Sentence on why it is listed.
        payload: User's own payload.
        suggested_label: Most probable other label, ``None`` without :meth:`ConfidenceIndex.score_labels`.
        suggested_probability: Probability that the suggested label is right, in [0, 1].
        agreeing: Nearest items of the same label, the nearest first, if evidence was asked for. A duplicate always has
            its copies here.
        contradicting: Nearest items of other labels, the nearest first, if evidence was asked for. A conflicting item
            always has its near-duplicates here.
        opinion_on: For a second opinion: number of the decision that it is about, for :meth:`ConfidenceIndex.decide`.
        opinions: Where two differ: the first opinion and the second, which holds until somebody settles it.
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
    opinion_on: int | None = None
    opinions: tuple[Opinion, ...] = ()

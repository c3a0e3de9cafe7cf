"""Items of an index, as users add them and as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from qdrant_client import models

from fg_search.ids import UserId
from fg_search.layout.history import NO_HISTORY, History
from fg_search.layout.keys import PAYLOAD_KEY, REVIEW_KEY, REVIEWED_KEY
from fg_search.layout.payloads import are_same


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the corpus: a text with the user's id, label and payload.

    Attributes:
        point_id: Engine's id.
        id: User's id.
        text: Text that is encoded and shown.
        label: Current label, ``None`` if unknown.
        payload: User's own payload.
        digest: 16 hexadecimal digits that identify id, text and payload, and the embedding if one was given.
        is_corrected: Whether a person corrected the label.
        given_label: User's label before the correction, ``None`` without one.
        review: Scores for reviewing: of its label, and as an outlier, duplicate or conflicting item.
        reviewed: Note of a reviewer's decision.
        set_aside: Whether its label is so doubtful that searches leave the item out until somebody decides about it.
        history: Changes by people.
    """

    point_id: int | str
    id: UserId
    text: str
    label: str | None
    payload: Mapping[str, Any]
    digest: str
    is_corrected: bool = False
    given_label: str | None = None
    review: Mapping[str, Any] | None = None
    reviewed: Mapping[str, Any] | None = None
    set_aside: bool = False
    history: History = NO_HISTORY

    @classmethod
    def of_record(cls, record: models.Record) -> Item:
        """Rebuild an item from its point."""
        payload = dict(record.payload or {})
        features = payload.pop(PAYLOAD_KEY)
        stored = StoredItem.of_features(features)
        return cls(
            cast("int | str", record.id),
            features["id"],
            features["text"],
            stored.label,
            payload,
            stored.digest,
            stored.is_corrected,
            stored.given_label if stored.is_corrected else None,
            stored.review,
            stored.reviewed,
            stored.set_aside,
            stored.history,
        )

    def is_copy_of(self, other: Item) -> bool:
        """Whether both are the same item, payload included.

        Payloads are compared themselves, as they may have been changed in the engine since the digest was taken.
        """
        own, others = (replace(item, payload={}, review=None) for item in (self, other))
        return own == others and are_same(self.payload, other.payload) and are_same(self.review, other.review)


@dataclass(frozen=True)
class StoredItem:
    """What the index already knows of an item. Text and scores are ``None`` unless they were read.

    Attributes:
        digest: Digest of the item as it was added.
        label: Current label.
        given_label: User's label, which a correction may have replaced.
        is_corrected: Whether a person corrected the label.
        text: Text of the item.
        review: Scores for reviewing.
        reviewed: Note of a reviewer's decision.
        set_aside: Whether the item is set aside.
        history: Changes by people.
        model: Fingerprint of the encoder that made its vectors.
    """

    digest: str
    label: str | None
    given_label: str | None
    is_corrected: bool
    text: str | None = None
    review: Mapping[str, Any] | None = None
    reviewed: Mapping[str, Any] | None = None
    set_aside: bool = False
    history: History = NO_HISTORY
    model: str | None = None

    @classmethod
    def of_features(cls, features: Mapping[str, Any]) -> StoredItem:
        """Read it from our part of a point's payload."""
        corrected = "given_label" in features
        label = features.get("label")  # the engine removes a key that is set to null
        return cls(
            features["hash"],
            label,
            (features["given_label"] or None) if corrected else label,
            corrected,
            features.get("text"),
            features.get(REVIEW_KEY) or None,  # removing the scores leaves an empty object
            features.get(REVIEWED_KEY),
            features.get("set_aside", False),
            History.of_features(features),
            features.get("model"),
        )

    def has(self, item: Item, model: str) -> bool:
        """Whether adding the item, embedded by this model, would change nothing."""
        return self.digest == item.digest and self.given_label == item.label and self.model == model

    def update(self, item: Item) -> Item:
        """Carry over to an added item what people and scoring know of it.

        A corrected label stays as long as the user still gives the label that was wrong. Scores and decisions stay as
        long as they are about this text with this label. The history goes on.
        """
        is_same = (item.text, item.label) == (self.text, self.given_label)
        item = replace(item, history=self.history if is_same else self.history.replaced())
        if self.is_corrected and self.given_label == item.label:
            item = replace(item, label=self.label, is_corrected=True, given_label=item.label)
        if (item.text, item.label) != (self.text, self.label):
            return item
        # a user who adopts the correction ends it; the item was found because of it, and must stay found
        aside = self.set_aside and item.is_corrected == self.is_corrected
        return replace(item, review=self.review, reviewed=self.reviewed, set_aside=aside)


def corrected(known: StoredItem, label: str | None) -> dict[str, str | None]:
    """Changes of our payload that give an item another label. The engine drops a key that is set to null.

    The user's label is kept beside a correction; no label is ``""``. A label that is the user's again is none.
    """
    given = known.given_label
    return {"label": label, "given_label": None if label == given else given or ""}


def given_label(label: str | None) -> dict[str, str]:
    """Our payload's entry for the user's label of a corrected item. No label is ``""``: the engine drops null."""
    return {"given_label": label or ""}

"""Points of the queue, turned into items that a reviewer reads: score, suggestion and reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from fg_search.engine.port import PointId
from fg_search.layout.group_summaries import group_confidence_of
from fg_search.layout.items import StoredItem
from fg_search.layout.keys import FEATURES_VECTOR, PAYLOAD_KEY, REVIEW_KEY, REVIEWED_KEY
from fg_search.layout.points import features_of, id_of, payload_of, vectors_of
from fg_search.layout.schema import IndexMetadata
from fg_search.review.issues.marks import MARKS, Partner, examples_of, mark_reason
from fg_search.review.issues.reasons import (
    ambiguity_reason,
    contradiction_reason,
    unfamiliarity_reason,
    unread_reason,
)
from fg_search.review.items import Kind, Opinion, ReviewItem


@dataclass(frozen=True)
class QueuedItem:
    """A point of the queue.

    Attributes:
        record: The point.
        partners: Items that its scores name, such as its duplicates.
    """

    record: models.Record
    partners: Sequence[Partner] = ()

    @property
    def id(self) -> PointId:
        """Engine's id of the item."""
        return id_of(self.record)


def to_review_item(queued: QueuedItem, kind: Kind, metadata: IndexMetadata) -> ReviewItem:
    """Convert a queued item. The reason is left empty, as it may depend on evidence found later.

    Args:
        queued: Item, whose payload and vector of features must have been read.
        kind: Kind of the list.
        metadata: Metadata of the index.
    """
    payload = dict(payload_of(queued.record))
    features = payload.pop(PAYLOAD_KEY)
    scores = features.get(REVIEW_KEY) or {}
    suggested, probability = scores.get("suggested"), scores.get("probability")
    if kind in MARKS and (probability is None or probability <= 1 / 2):
        suggested = probability = None  # it is listed for something other than its label
    agreeing, contradicting = examples_of(features, queued.partners)
    return ReviewItem(
        id=features["id"],
        text=features["text"],
        label=StoredItem.of_features(features).given_label if kind == "second" else features.get("label"),
        kind=kind,
        score=_score(kind, features, scores),
        confidence=features["confidence"],
        group_confidence=group_confidence_of(
            features, vectors_of(queued.record)[FEATURES_VECTOR], metadata.groups, metadata.codes_per_group
        ),
        reason="",
        payload=payload,
        suggested_label=suggested,
        suggested_probability=probability,
        agreeing=agreeing,
        contradicting=contradicting,
        opinion_on=features[REVIEWED_KEY].get("number", 0) if kind == "second" else None,  # none before 0.2
        opinions=_opinions(features) if kind == "differ" else (),
    )


def reason_of(item: ReviewItem, queued: QueuedItem) -> str:
    """Sentence on why the item is listed."""
    features = features_of(queued.record)
    if item.kind in MARKS:
        return mark_reason(item.kind, features, queued.partners)
    if item.kind == "unfamiliar":
        return unfamiliarity_reason(features["familiarity"])
    if item.kind == "unread":
        return unread_reason(features["unread"], is_cut=features.get("cut", False))
    suggested, probability = item.suggested_label, item.suggested_probability
    if item.kind == "contradicted":
        quoted = next((example.text for example in item.contradicting if example.label == suggested), None)
        return contradiction_reason(str(item.label), str(suggested), float(probability or 0), quoted=quoted)
    nearest = sorted((*item.agreeing, *item.contradicting), key=lambda example: -example.similarity)
    count = max(len(item.agreeing), len(item.contradicting))
    labels = [example.label for example in nearest[:count] if example.label]
    reason = ambiguity_reason(
        item.group_confidence,
        suggested=suggested,
        probability=probability,
        neighbours=labels if set(labels) - {item.label} else (),
    )
    if item.kind == "second":
        return f"{features[REVIEWED_KEY]['reviewer']} decided about it, which is not shown; {reason}"
    if item.kind == "differ":
        return f"{', '.join(map(str, item.opinions))}; {reason}"
    return reason if item.kind != "unsure" else f"{features[REVIEWED_KEY]['reviewer']} was not sure; {reason}"


def _opinions(features: Mapping[str, Any]) -> tuple[Opinion, Opinion]:
    note = features[REVIEWED_KEY]
    first = note["first"]
    return Opinion(first["reviewer"], first["label"] or None), Opinion(note["reviewer"], features.get("label"))


def _score(kind: Kind, features: Mapping[str, Any], scores: Mapping[str, Any]) -> float:
    if kind in MARKS:
        return float(scores[MARKS[kind].score])
    if kind == "contradicted":
        return float(scores["score"])
    if kind == "unread":
        return float(features["unread"])
    return 1 - float(features["familiarity" if kind == "unfamiliar" else "confidence"])

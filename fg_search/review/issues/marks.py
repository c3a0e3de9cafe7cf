"""Marks stored with items for review: conflicting near-duplicates, duplicates and outliers.

A mark names the other items it refers to. These may change later, so they are checked when the mark is read: an item
that was written again has no marks, and labels are compared as they are at that time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.layout.keys import REVIEW_KEY
from fg_search.review.issues.conflicts import conflicting_copies
from fg_search.review.issues.duplicates import same_text
from fg_search.review.issues.outliers import are_outliers, outlier_scores
from fg_search.review.issues.reasons import duplicate_reason, outlier_reason, same_text_reason
from fg_search.review.items import Example, Kind

PARTNERS = 3  # maximum number of items that a mark refers to


@dataclass(frozen=True)
class Mark:
    """Payload keys, below the review key, of one kind of mark.

    Attributes:
        score: Key of the score in [0, 1].
        order: Key of the value that the review list is ordered by.
        ascending: Whether the smallest value comes first.
        partners: Key of the point ids of the items that the mark refers to; ``None`` if it refers to none.
    """

    score: str
    order: str
    ascending: bool = False
    partners: str | None = None


MARKS: dict[Kind, Mark] = {
    "conflicting": Mark("conflict", "conflict", partners="conflicts_with"),
    "duplicate": Mark("duplicate", "duplicate_group", ascending=True, partners="duplicates_of"),
    "outlier": Mark("outlier", "outlier"),
}
MARK_KEYS = ("conflict", "conflicts_with", "similarities", "duplicate", "duplicate_group", "duplicates_of", "outlier")


def find_marks(
    texts: Sequence[str],
    labels: Sequence[str | None],
    embeddings: npt.ArrayLike,
    point_ids: Sequence[int | str],
    *,
    seed: int = 0,
) -> dict[int, dict[str, Any]]:
    """The marks of n items by row; rows without a mark are left out.

    Items are compared here, by blocks of matrix products, and not by one query per item. The embedded engine would
    compare each with all items too, at a higher cost, and the result does not depend on the state of a server's graph.

    Args:
        texts: ``(n,)`` texts.
        labels: ``(n,)`` labels, ``None`` where unknown.
        embeddings: ``(n, d)`` finite float array.
        point_ids: ``(n,)`` point ids in the engine.
        seed: Random seed; it matters only with more than 20,000 items.

    Raises:
        ValueError: If lengths differ or a number is not finite.
    """
    marks: dict[int, dict[str, Any]] = defaultdict(dict)
    scores = outlier_scores(embeddings, seed=seed)
    for row in np.flatnonzero(are_outliers(scores)).tolist():
        marks[row]["outlier"] = _rounded(scores[row])
    for number, group in enumerate(same_text(texts)):
        for place, row in enumerate(group):
            following = [group[(place + step) % len(group)] for step in range(1, min(len(group), PARTNERS + 1))]
            marks[row] |= {
                "duplicate": _rounded(1 - 1 / len(group)),
                "duplicate_group": number,
                "duplicates_of": [point_ids[other] for other in following],
            }
    for row, others in _conflicts(texts, labels, embeddings, seed).items():
        marks[row] |= {
            "conflict": _rounded(max(others.values())),
            "conflicts_with": [point_ids[other] for other in others],
            "similarities": [_rounded(similarity) for similarity in others.values()],
        }
    return dict(marks)


def _conflicts(
    texts: Sequence[str], labels: Sequence[str | None], embeddings: npt.ArrayLike, seed: int
) -> dict[int, dict[int, float]]:
    """By row, the rows of its near-duplicates with a different label and their similarity, the most similar first."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for group in same_text(texts, labels):  # also where a difference in case separates the embeddings
        some = _few_of_each(group, labels)
        for row in group:
            if labels[row] is not None:
                others = [other for other in some if labels[other] != labels[row]]
                found[row] = dict.fromkeys(others[:PARTNERS], 1.0)
    near = conflicting_copies(embeddings, np.array(labels, dtype=object), k=PARTNERS, seed=seed)
    for row in np.flatnonzero(near.rows[:, 0] >= 0).tolist():
        for other, similarity in zip(near.rows[row].tolist(), near.similarity[row].tolist(), strict=True):
            if other >= 0 and len(found[row]) < PARTNERS:
                found[row].setdefault(other, similarity)
    return found


def _few_of_each(group: Iterable[int], labels: Sequence[str | None]) -> list[int]:
    """Up to :data:`PARTNERS` rows of each label."""
    few: dict[str, list[int]] = defaultdict(list)
    for row in group:
        label = labels[row]
        if label is not None and len(few[label]) < PARTNERS:
            few[label].append(row)
    return [row for rows in few.values() for row in rows]


@dataclass(frozen=True)
class Partner:
    """An item that a mark refers to.

    Attributes:
        features: The part of its payload that belongs to fg_search.
        similarity: Cosine to the marked item.
    """

    features: Mapping[str, Any]
    similarity: float

    @property
    def label(self) -> str | None:
        """The current label of the item."""
        label: str | None = self.features.get("label")
        return label


def named(kind: Kind, features: Mapping[str, Any]) -> list[int | str]:
    """The point ids of the items that a mark refers to."""
    key = MARKS[kind].partners
    return [] if key is None else list(features[REVIEW_KEY][key])


def standing_partners(
    kind: Kind, features: Mapping[str, Any], there: Mapping[int | str, Mapping[str, Any]]
) -> list[Partner]:
    """The items that a mark refers to and still holds for.

    Args:
        kind: Kind of the mark.
        features: The part of the marked item's payload that belongs to fg_search.
        there: The same part of the payload of other items, by point id; items that are gone are missing.
    """
    own, label = features[REVIEW_KEY], features.get("label")
    ids = named(kind, features)
    if kind == "duplicate":
        copies = [Partner(there[point_id], 1.0) for point_id in ids if point_id in there]
        return [copy for copy in copies if _review(copy).get("duplicate_group") == own["duplicate_group"]]
    partners = [
        Partner(there[point_id], similarity)
        for point_id, similarity in zip(ids, own["similarities"], strict=True)
        if point_id in there
    ]
    differing = [
        partner for partner in partners if "conflict" in _review(partner) and partner.label not in (None, label)
    ]
    return [] if label is None else differing


def mark_reason(kind: Kind, features: Mapping[str, Any], partners: Sequence[Partner]) -> str:
    """Why an item with this kind of mark is listed."""
    if kind == "outlier":
        return outlier_reason(features[REVIEW_KEY]["outlier"])
    if kind == "duplicate":
        return same_text_reason(
            features.get("label"), [partner.label for partner in partners], more=len(partners) == PARTNERS
        )
    first = partners[0]
    return duplicate_reason(first.similarity, str(features["label"]), str(first.label), quoted=first.features["text"])


def examples_of(
    features: Mapping[str, Any], partners: Sequence[Partner]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """The items that a mark refers to, as evidence: with the same label, and with a different one."""
    examples = [
        Example(partner.features["id"], partner.features["text"], partner.label, partner.similarity)
        for partner in partners
    ]
    label = features.get("label")
    agreeing = tuple(example for example in examples if example.label == label)
    return agreeing, tuple(example for example in examples if example.label != label)


def _review(partner: Partner) -> Mapping[str, Any]:
    return partner.features.get(REVIEW_KEY) or {}


def _rounded(value: float) -> float:
    return round(float(value), 4)

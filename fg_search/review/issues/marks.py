"""What is left with items for those who review: conflicting near-duplicates, duplicates, outliers.

A mark names the items that it is about. They may change, so that whoever reads a mark looks at them: an item that is
written anew has no marks, and labels are compared as they are then.
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

PARTNERS = 3  # items that a mark names


@dataclass(frozen=True)
class Mark:
    """How the marks of one kind are stored, within the payload of reviewing.

    Attributes:
        score: Key of the score in [0, 1].
        order: Key that the list is ordered by.
        ascending: Whether the least comes first.
        partners: Key of the engine's ids of the items that it is about, if there are such.
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
    """The marks of n items, by row; most have none.

    Items are compared by blocks of matrix products: for the embedded engine, which compares each with all as well, that
    is less work than a query an item, and it does not depend on whether a server has its graph built.

    Args:
        texts: Of the items.
        labels: ``None`` where unknown.
        embeddings: ``(n, d)`` finite float array.
        point_ids: The engine's ids.
        seed: Of what is random with more than 20,000 items.

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
    """By row, rows of near-duplicates with other labels and how similar they are, the most similar first."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for group in same_text(texts, labels):  # however the embeddings of upper and lower case differ
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
    """Up to three rows of each label."""
    few: dict[str, list[int]] = defaultdict(list)
    for row in group:
        label = labels[row]
        if label is not None and len(few[label]) < PARTNERS:
            few[label].append(row)
    return [row for rows in few.values() for row in rows]


@dataclass(frozen=True)
class Partner:
    """An item that a mark names.

    Attributes:
        features: Our part of its payload.
        similarity: To the marked item.
    """

    features: Mapping[str, Any]
    similarity: float

    @property
    def label(self) -> str | None:
        """Of the item, as it is now."""
        label: str | None = self.features.get("label")
        return label


def named(kind: Kind, features: Mapping[str, Any]) -> list[int | str]:
    """The engine's ids of the items that a mark names."""
    key = MARKS[kind].partners
    return [] if key is None else list(features[REVIEW_KEY][key])


def standing_partners(
    kind: Kind, features: Mapping[str, Any], there: Mapping[int | str, Mapping[str, Any]]
) -> list[Partner]:
    """Of the items that a mark names, those that it still holds for.

    Args:
        kind: Of the mark.
        features: Our part of the payload of the item.
        there: The same of other items by the engine's ids.
    """
    own, label = features[REVIEW_KEY], features.get("label")
    ids = named(kind, features)
    if kind == "duplicate":
        partners = [Partner(there[one], 1.0) for one in ids if one in there]
        return [one for one in partners if _review(one).get("duplicate_group") == own["duplicate_group"]]
    partners = [
        Partner(there[one], similarity)
        for one, similarity in zip(ids, own["similarities"], strict=True)
        if one in there
    ]
    differing = [one for one in partners if "conflict" in _review(one) and one.label not in (None, label)]
    return [] if label is None else differing


def mark_reason(kind: Kind, features: Mapping[str, Any], partners: Sequence[Partner]) -> str:
    """Why an item with such a mark is listed."""
    if kind == "outlier":
        return outlier_reason(features[REVIEW_KEY]["outlier"])
    if kind == "duplicate":
        return same_text_reason(features.get("label"), [one.label for one in partners], more=len(partners) == PARTNERS)
    first = partners[0]
    return duplicate_reason(first.similarity, str(features["label"]), str(first.label), quoted=first.features["text"])


def examples_of(
    features: Mapping[str, Any], partners: Sequence[Partner]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """The items that a mark names, as evidence: those with the item's label, and those with another one."""
    shown = [Example(one.features["id"], one.features["text"], one.label, one.similarity) for one in partners]
    label = features.get("label")
    return tuple(one for one in shown if one.label == label), tuple(one for one in shown if one.label != label)


def _review(partner: Partner) -> Mapping[str, Any]:
    return partner.features.get(REVIEW_KEY) or {}


def _rounded(value: float) -> float:
    return round(float(value), 4)

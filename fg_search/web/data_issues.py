"""Issues in the data of an index, as the Health view lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import NotScoredError
from fg_search.ids import UserId
from fg_search.review.issues.confusion import ConfusedLabels
from fg_search.review.issues.duplicates import same_text
from fg_search.review.items import ReviewItem

T = TypeVar("T")

_LISTED = 20  # conflicts and texts
_PAIRS = 10_000  # confused labels that are looked at
_COPIES = 200  # duplicate items to group by text


@dataclass(frozen=True)
class DuplicateText:
    """Items with the same text.

    Attributes:
        text: Text of the first item.
        ids: Ids of the items that were read.
        labels: Distinct labels of these items.
    """

    text: str
    ids: list[UserId]
    labels: list[str]

    @classmethod
    def group(cls, items: Sequence[ReviewItem]) -> list[DuplicateText]:
        """Group the items of the review list ``duplicate`` by text, in the order of that list."""
        return [
            cls(
                text=items[rows[0]].text,
                ids=[items[row].id for row in rows],
                labels=sorted({label for row in rows if (label := items[row].label) is not None}),
            )
            for rows in same_text([item.text for item in items])
        ]


@dataclass(frozen=True)
class DataIssues:
    """Issues found by ``score_labels`` and ``score_items``; ``None`` where these have not run.

    Attributes:
        confused: Pairs of labels that are confused, first those of which the largest share surely is.
        conflicting: Items with a near-duplicate of a different label, each pair once.
        duplicates: Texts that several items share.
    """

    confused: list[ConfusedLabels] | None
    conflicting: list[ReviewItem] | None
    duplicates: list[DuplicateText] | None

    @classmethod
    def read(cls, index: ConfidenceIndex) -> DataIssues:
        """Read the issues of an index."""
        duplicates = _if_scored(lambda: index.review(kind="duplicate", limit=_COPIES))
        conflicting = _if_scored(lambda: index.review(kind="conflicting", limit=2 * _LISTED))
        return cls(
            confused=_if_scored(lambda: _surest_first(index.confused_labels(_PAIRS))),
            conflicting=None if conflicting is None else _each_pair_once(conflicting)[:_LISTED],
            duplicates=None if duplicates is None else DuplicateText.group(duplicates)[:_LISTED],
        )


def _if_scored(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except NotScoredError:
        return None


def _surest_first(pairs: Sequence[ConfusedLabels]) -> list[ConfusedLabels]:
    return sorted(pairs, key=lambda pair: -pair.at_least)


def _each_pair_once(items: Sequence[ReviewItem]) -> list[ReviewItem]:
    pairs = {frozenset((item.id, item.contradicting[0].id)): item for item in reversed(items)}
    return list(reversed(pairs.values()))

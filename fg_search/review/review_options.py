"""Options of a review list, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from qdrant_client import models

from fg_search.review.issues.marks import MARKS
from fg_search.review.items import Kind
from fg_search.validation import check_count, check_fraction

_MAX_DIVERSE = 1000  # items that a diverse list is chosen from
_CANDIDATES_PER_ITEM = 5  # of a diverse list


@dataclass(frozen=True)
class ReviewOptions:
    """Options of a review list.

    Attributes:
        kind: Kind of the list, one of :data:`fg_search.review.items.Kind`.
        limit: Maximum number of items.
        offset: Number of items to skip.
        label: List only items with this label.
        suggested: List only items for which this label is suggested.
        min_score: List only items with at least this score, in [0, 1].
        diverse: Keep near-copies apart, as long as there is anything else.
        evidence: Nearest items shown with each item, of its label and of others.
        reviewer: Who is to give second opinions: items that they decided about themselves are left out.
        query_filter: Qdrant filter.

    Raises:
        ValueError: If the kind is unknown, a number out of range, or an option not one of the kind's.
    """

    kind: Kind = "ambiguous"
    limit: int = 50
    offset: int = 0
    label: str | None = None
    suggested: str | None = None
    min_score: float | None = None
    diverse: bool = False
    evidence: int = 0
    reviewer: str | None = None
    query_filter: models.Filter | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            *known, last = map(repr, get_args(Kind))
            raise ValueError(f"kind must be {', '.join(known)} or {last}, got {self.kind!r}")
        check_count(self.limit, name="limit")
        for name in ("offset", "evidence"):
            check_count(getattr(self, name), name=name, least=0)
        if self.min_score is not None:
            check_fraction(self.min_score, name="min_score")
        if self.kind == "second" and self.label is not None:
            raise ValueError("a second opinion is given without knowing the label that was decided; leave label out")
        if self.reviewer is not None and self.kind != "second":
            raise ValueError(f"reviewer is for kind='second', and this is {self.kind!r}; leave it out")
        if self.diverse and self.wanted > _MAX_DIVERSE:
            raise ValueError(
                f"a diverse list has at most {_MAX_DIVERSE:,} items, got limit + offset = {self.wanted:,}; review "
                "these first, or leave out diverse"
            )

    @property
    def wanted(self) -> int:
        """Number of items to find, including those that are skipped."""
        return self.limit + self.offset

    @property
    def fetched(self) -> int:
        """Number of items to read. A diverse list is chosen from more than it shows."""
        return min(_MAX_DIVERSE, _CANDIDATES_PER_ITEM * self.wanted) if self.diverse else self.wanted

    @property
    def names_partners(self) -> bool:
        """Whether the scores of this kind name other items, which have to be looked up."""
        return self.kind in MARKS and MARKS[self.kind].partners is not None

    @property
    def needs_payloads(self) -> bool:
        """Whether the payloads of skipped items are needed, too."""
        return self.offset == 0 or self.diverse or self.names_partners

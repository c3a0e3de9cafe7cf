"""Queries that were logged, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fg_search.ids import UserId

Logging = Literal["none", "uncertain", "all"]
QueryAction = Literal["add", "dismiss", "reopen"]

# of the clusters of :mod:`fg_search.queries.clusters`, here for those that do not load numpy; chosen on validation
# data for all-MiniLM-L6-v2 (docs/benchmarks.md), other base models have other cosines
SIMILARITY = 0.4
MIN_SIZE = 5


@dataclass(frozen=True)
class NearestItem:
    """The best hit of a logged query, whether it was shown or held back.

    Attributes:
        id: As its owner gave it.
        label: Of the item, or ``None``.
        score: Of the hit, in the units of that search.
    """

    id: UserId
    label: str | None
    score: float


@dataclass(frozen=True)
class Resolution:
    """What somebody decided about a logged query.

    Attributes:
        action: ``"add"`` (it is an item of the index now) or ``"dismiss"``.
        label: Of the item that it became.
        reviewer: Who decided.
        time: When, in UTC, ISO 8601.
    """

    action: QueryAction
    label: str | None
    reviewer: str
    time: str


@dataclass(frozen=True)
class LoggedQuery:
    """One query of the log, however often it was asked; what is said of its result is of the last time.

    Attributes:
        id: Of the query in the log, and of the item that it becomes when it is added.
        text: As it was asked first; the phrasings of one question are joined by ``" / "``.
        count: How often it was asked and logged.
        first: When first, in UTC, ISO 8601.
        last: When last.
        decision: ``"answer"``, or ``"abstain"`` where no hits were given.
        uncertain: Whether a confidence was below what was asked for.
        reason: Why it was decided so.
        query_confidence: Of the query's own embedding, in [1/K, 1].
        confidence: Calibrated probability that the best hit is right; ``None`` without a calibration.
        nearest: The best hit; ``None`` if no item passed the filters.
        resolution: What was decided about it, if something was.
    """

    id: str
    text: str
    count: int
    first: str
    last: str
    decision: Literal["answer", "abstain"]
    uncertain: bool
    reason: str
    query_confidence: float
    confidence: float | None
    nearest: NearestItem | None
    resolution: Resolution | None

    @property
    def is_open(self) -> bool:
        """Whether it got no sure answer and nobody decided about it yet."""
        return self.resolution is None and (self.uncertain or self.decision == "abstain")

    @classmethod
    def of_payload(cls, query_id: str, payload: Mapping[str, Any]) -> LoggedQuery:
        """Rebuild it from its entry in the log, which lacks what is ``None``."""
        nearest, resolution = payload.get("nearest"), payload.get("resolution")
        return cls(
            id=query_id,
            text=payload["text"],
            count=payload["count"],
            first=payload["first"],
            last=payload["last"],
            decision=payload["decision"],
            uncertain=payload["uncertain"],
            reason=payload["reason"],
            query_confidence=payload["query_confidence"],
            confidence=payload.get("confidence"),
            nearest=None if not nearest else NearestItem(nearest["id"], nearest.get("label"), nearest["score"]),
            resolution=None
            if not resolution
            else Resolution(resolution["action"], resolution.get("label"), resolution["reviewer"], resolution["time"]),
        )


def check_logging(which: str) -> Logging:
    """Return it if there is such a choice.

    Raises:
        ValueError: If there is not.
    """
    for known in get_args(Logging):
        if which == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(f"queries to log must be {', '.join(map(repr, get_args(Logging)))}, got {which!r}")

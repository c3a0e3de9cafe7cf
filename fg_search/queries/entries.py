"""Entries of the log of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fg_search.ids import UserId
from fg_search.index.search_results import AnswerDecision

Logging = Literal["none", "uncertain", "all"]
QueryAction = Literal["add", "dismiss", "reopen"]
Verdict = Literal["right", "wrong", "skip"]

# defaults of fg_search.queries.clusters, kept here for callers that do not load numpy; chosen on validation data for
# all-MiniLM-L6-v2 (docs/benchmarks.md), other base models have other cosines
SIMILARITY = 0.4
MIN_SIZE = 5


@dataclass(frozen=True)
class NearestItem:
    """Best hit of a logged query, whether it was shown or held back.

    Attributes:
        id: User's id of the item.
        label: Label of the item, ``None`` if unknown.
        score: Score of the hit, whose range depends on the ranking of the search.
    """

    id: UserId
    label: str | None
    score: float


@dataclass(frozen=True)
class Resolution:
    """Decision about a logged query.

    Attributes:
        action: ``"add"`` (it is an item of the index now) or ``"dismiss"``.
        label: Label of the item it became, ``None`` if it was dismissed.
        reviewer: Name of the reviewer.
        time: Time in UTC, ISO 8601.
    """

    action: QueryAction
    label: str | None
    reviewer: str
    time: str

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any] | None) -> Resolution | None:
        """Rebuild a decision from its payload. ``None`` if there is none."""
        if not payload:
            return None
        return cls(payload["action"], payload.get("label"), payload["reviewer"], payload["time"])


@dataclass(frozen=True)
class Judgement:
    """What somebody found an answer to be.

    Attributes:
        verdict: ``"right"``, ``"wrong"``, or ``"skip"`` if the judge could not tell.
        item: User's id of the item that was the answer.
        label: Label that it had.
        reviewer: Name of the judge.
        time: Time in UTC, ISO 8601.
        target: Target precision that was audited.
        threshold: Lowest confidence to answer at that time.
    """

    verdict: Verdict
    item: UserId
    label: str | None
    reviewer: str
    time: str
    target: float
    threshold: float

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any] | None) -> Judgement | None:
        """Rebuild a judgement from its payload. ``None`` if there is none."""
        if not payload:
            return None
        return cls(**{"label": None, **payload})

    def is_about(self, item: UserId, label: str | None) -> bool:
        """Whether this is the answer that was judged."""
        return (self.item, self.label) == (item, label)


@dataclass(frozen=True)
class LoggedQuery:
    """A logged query, however often it was asked. Its result is that of the last time.

    Attributes:
        id: Id of the query in the log, and of the item it becomes when it is added.
        text: Text as it was asked first. Several phrasings are joined by ``" / "``.
        count: Number of times it was asked and logged.
        first: Time it was first asked, in UTC, ISO 8601.
        last: Time it was last asked, in UTC, ISO 8601.
        decision: ``"answer"``, ``"abstain"`` if no hits were given, or ``"clarify"`` if labels were to choose from.
        uncertain: Whether the query's confidence or the calibrated one was below what was asked for.
        reason: Sentence that explains the decision.
        query_confidence: Confidence of the query's embedding, in [1/K, 1].
        confidence: Calibrated probability that the best hit is right, in [0, 1], as it was when it was asked. ``None``
            without a calibration.
        nearest: Best hit, ``None`` if no item passed the filters.
        resolution: Decision about the query, ``None`` if there is none.
        turn: Number of decisions about the query, reopening included.
        pending: Decision that somebody is carrying out, or was when they were interrupted.
        calibration: Key of the calibration that ``confidence`` is of.
        evidence: What ``confidence`` is made of, so that it can be told for another share of unanswerable queries, see
            :class:`fg_search.index.search_results.SearchResult`; ``None`` if it was not logged.
        judgement: What somebody found its answer to be, ``None`` if nobody did.
        judgement_turn: Number of judgements, those taken back included.
        sampled: Number of times it was asked while all queries were logged, so that it stands for the traffic.
    """

    id: str
    text: str
    count: int
    first: str
    last: str
    decision: AnswerDecision
    uncertain: bool
    reason: str
    query_confidence: float
    confidence: float | None
    nearest: NearestItem | None
    resolution: Resolution | None
    turn: int = field(default=0, compare=False, repr=False)
    pending: Resolution | None = field(default=None, compare=False, repr=False)
    calibration: str | None = field(default=None, compare=False, repr=False)
    evidence: tuple[float, float] | None = field(default=None, compare=False, repr=False)
    judgement: Judgement | None = field(default=None, compare=False)
    judgement_turn: int = field(default=0, compare=False, repr=False)
    sampled: int = field(default=0, compare=False, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether it got no sure answer and nobody has decided about it yet."""
        return self.resolution is None and (self.uncertain or self.decision == "abstain")

    @property
    def was_added(self) -> bool:
        """Whether it was made an item of the index, or somebody was interrupted in doing so."""
        return any(decision is not None and decision.action == "add" for decision in (self.resolution, self.pending))

    @classmethod
    def of_payload(cls, query_id: str, payload: Mapping[str, Any]) -> LoggedQuery:
        """Rebuild a query from its payload in the log. The engine drops entries that are null."""
        nearest = payload.get("nearest")
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
            resolution=Resolution.of_payload(payload.get("resolution")),
            turn=payload.get("turn", 0),
            pending=Resolution.of_payload(payload.get("pending")),
            calibration=payload.get("calibration"),
            evidence=None if payload.get("evidence") is None else tuple(payload["evidence"]),
            judgement=Judgement.of_payload(payload.get("judgement")),
            judgement_turn=payload.get("judgement_turn", 0),
            sampled=payload.get("sampled", 0),
        )


def check_logging(which: str) -> Logging:
    """Check which queries are to be logged.

    Raises:
        ValueError: If it is none of the choices.
    """
    for known in get_args(Logging):
        if which == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(f"queries to log must be {', '.join(map(repr, get_args(Logging)))}, got {which!r}")

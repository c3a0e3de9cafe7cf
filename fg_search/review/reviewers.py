"""What several reviewers did, by their names: how much each, and how often two agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from fg_search.evaluation.agreement import Agreement, agreement
from fg_search.ids import UserId
from fg_search.review.decisions import SETTLING, ReviewDecision


@dataclass(frozen=True)
class ReviewerProgress:
    """How much one reviewer did.

    Attributes:
        reviewer: Name of the reviewer.
        recent: Number of decisions since the moment that was asked about.
        total: Number of decisions.
    """

    reviewer: str
    recent: int
    total: int


@dataclass(frozen=True)
class ReviewerAgreement:
    """How often two reviewers agree, by the items about which one gave a second opinion on what the other decided.

    Attributes:
        reviewers: Their names, in alphabetical order.
        agreement: Observed agreement and Cohen's kappa.
        differing: Ids of the items about which they differ, in the order of the log.
    """

    reviewers: tuple[str, str]
    agreement: Agreement
    differing: tuple[UserId, ...] = field(repr=False)


def progress_by_reviewer(standing: Iterable[ReviewDecision], since: datetime) -> list[ReviewerProgress]:
    """Numbers of decisions of each reviewer, whoever made most first.

    Args:
        standing: Decisions that stand: ``index.decisions(standing=True)``.
        since: Moment from which a decision is recent.
    """
    entries = list(standing)
    total = Counter(entry.reviewer for entry in entries)
    recent = Counter(entry.reviewer for entry in entries if datetime.fromisoformat(entry.time) >= since)
    names = sorted(total, key=lambda name: (-total[name], name))
    return [ReviewerProgress(name, recent[name], total[name]) for name in names]


def agreements(standing: Iterable[ReviewDecision]) -> list[ReviewerAgreement]:
    """Agreement of each two reviewers of whom one gave second opinions, those of most items first.

    What counts is the label that each held to be right, or that the second wanted the item deleted. Whoever decides
    again in another way, with the first decision in view, gives no second opinion.

    Args:
        standing: Decisions that stand: ``index.decisions(standing=True)``.
    """
    entries = {entry.number: entry for entry in standing}
    pairs: dict[tuple[str, str], list[tuple[ReviewDecision, ReviewDecision]]] = {}
    for entry in entries.values():
        first = None if entry.opinion_on is None else entries.get(entry.opinion_on)
        if first is not None and entry.action in (*SETTLING, "delete"):
            one, other = sorted((first, entry), key=lambda decision: decision.reviewer)
            pairs.setdefault((one.reviewer, other.reviewer), []).append((one, other))
    found = [
        ReviewerAgreement(
            names,
            agreement([_said(one) for one, _ in both], [_said(other) for _, other in both]),
            tuple(one.id for one, other in both if _said(one) != _said(other)),
        )
        for names, both in pairs.items()
    ]
    return sorted(found, key=lambda one: (-one.agreement.agreed.total, one.reviewers))


def _said(decision: ReviewDecision) -> Hashable:
    """What a reviewer holds to be right: a label, none, or that the item should not be there."""
    return (decision.action == "delete", None if decision.action == "delete" else decision.after)

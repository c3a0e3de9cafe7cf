"""Decisions of reviewers, as entries of a log that only grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args
from warnings import warn

from fg_search.errors import DecisionConflictError
from fg_search.ids import UserId
from fg_search.layout.keys import REVIEWED_KEY
from fg_search.layout.logs import KEY, now
from fg_search.validation import check_label, check_text

Action = Literal["accept", "keep", "label", "delete", "unsure", "undo"]

SETTLING = ("accept", "keep", "label")
"""Actions after which an item has the label that a reviewer holds to be right."""


@dataclass(frozen=True)
class ReviewDecision:
    """A reviewer's decision about one item: an entry of the log.

    Attributes:
        number: Time of the decision in microseconds since 1970, or more if the clock is behind an entry that is known:
            numbers are in the order of the log, whatever the clocks of the reviewers' computers say.
        id: User's id of the item.
        action: ``"accept"`` (take the suggested label), ``"keep"`` (the label is right), ``"label"`` (set another
            label), ``"delete"`` (remove the item), ``"unsure"`` (leave it to somebody else) or ``"undo"``.
        before: Label before the decision.
        after: Label after the decision.
        reviewer: Name of the reviewer.
        time: Time in UTC, ISO 8601.
        undoes: Number of the entry that an ``"undo"`` takes back.
        point: Id, vectors and payload of a deleted item, which bring it back. Lists of entries leave it out.
        tenant: Tenant that owns the item, in an index with tenants.
        failed: Why the decision could not be carried out; nothing was changed then. ``None`` otherwise.
        seen: Label, user's label and note of the item before the decision, which undo brings back.
        opinion_on: Number of the decision about the same item that this one is a second opinion on: another reviewer's,
            which this one did not see.
    """

    number: int
    id: UserId
    action: Action
    before: str | None
    after: str | None
    reviewer: str
    time: str
    undoes: int | None = None
    point: Mapping[str, Any] | None = field(default=None, repr=False)
    tenant: str | None = None
    failed: str | None = None
    seen: Mapping[str, Any] | None = field(default=None, repr=False)
    opinion_on: int | None = None

    def to_payload(self) -> dict[str, Any]:
        """JSON values of the entry, for :meth:`of_payload`."""
        return asdict(self)

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> ReviewDecision:
        """Rebuild an entry from what :meth:`to_payload` returned."""
        names = {attribute.name for attribute in fields(cls)}
        return cls(**{"before": None, "after": None, **{key: payload[key] for key in names & payload.keys()}})

    def taken_back(self, number: int, reviewer: str) -> ReviewDecision:
        """The entry that takes this one back, now."""
        return ReviewDecision(
            number=number,
            id=self.id,
            action="undo",
            before=self.after,
            after=self.before,
            reviewer=reviewer,
            time=now(),
            undoes=self.number,
            tenant=self.tenant,
        )

    def to_unlogged(self, key: str) -> dict[str, Any]:
        """JSON values of an entry that is not in the log yet.

        Args:
            key: Id of its point in the log.
        """
        return {KEY: key, **{name: value for name, value in self.to_payload().items() if value is not None}}

    @property
    def note(self) -> dict[str, Any]:
        """Note of the decision in the item's payload, which takes the item out of the queue."""
        note: dict[str, Any] = {
            "action": self.action,
            "reviewer": self.reviewer,
            "time": self.time,
            "number": self.number,
        }
        before = (self.seen or {}).get(REVIEWED_KEY) or {}
        if self.opinion_on is not None:
            note["opinion_on"] = self.opinion_on
            if self.action in SETTLING and self.before != self.after:
                note |= {"differ": True, "first": {"reviewer": before["reviewer"], "label": self.before or ""}}
        elif "differ" in before:
            note["differ"] = False  # whoever decides now has seen both
        return note

    def is_noted_in(self, note: Mapping[str, Any] | None) -> bool:
        """Whether a note in an item's payload is that of this decision."""
        # a release before 0.2 noted no number
        return note is not None and {"number": self.number, **note} == self.note

    def out_of_date(self, why: str) -> DecisionConflictError:
        """Error to raise if the item has changed so that the entry cannot be carried out."""
        return DecisionConflictError(
            f"the decision {self.number} ({self.action}) about {self.id!r} is out of date: {why}"
        )


def check_action(action: str, label: str | None, suggested: str | None, seen: str | None = None) -> str | None:
    """Check an action and return the label it sets, or ``None`` if it sets none.

    Args:
        action: Action of the reviewer.
        label: Label given with ``"label"``.
        suggested: Label currently suggested for the item.
        seen: Suggestion that the reviewer saw. By default the current one is taken.

    Raises:
        DecisionConflictError: If the reviewer saw another suggestion.
        ValueError, TypeError: If the action is unknown, or its label is missing, superfluous or invalid.
    """
    known = [choice for choice in get_args(Action) if choice != "undo"]
    if action not in known:
        raise ValueError(f"action must be one of {', '.join(map(repr, known))}, got {action!r}")
    if seen is not None and action != "accept":
        raise ValueError(f"action={action!r} takes no suggested label; use action='accept'")
    if action == "label":
        if label is None:
            raise ValueError("action='label' needs the label")
        chosen = check_label(label, "label")
        if chosen is None:
            raise ValueError("action='label' needs the label")
        return chosen
    if label is not None:
        raise ValueError(f"action={action!r} takes no label; use action='label'")
    if action == "accept":
        if suggested is None and seen is None:
            raise ValueError("there is no suggested label to accept; use action='label'")
        if seen not in (None, suggested):
            now_suggested = "nothing is" if suggested is None else f"{suggested!r} is"
            raise DecisionConflictError(f"{seen!r} is no longer suggested, {now_suggested}")
        return suggested
    return None


def check_reviewer(name: object) -> None:
    """Check a reviewer's name.

    Raises:
        TypeError, ValueError: If it is not a string, or empty.
    """
    if not isinstance(name, str):
        raise TypeError(f"reviewer must be a string, got {name!r}")
    if not name.strip():
        raise ValueError("reviewer is empty; say who decides, or leave it out")
    check_text(name, "reviewer")


def labels_decided(standing: Iterable[ReviewDecision]) -> dict[UserId, str | None]:
    """Labels of the items that reviewers settled, by id. Items that are deleted or left open are not among them.

    Args:
        standing: Decisions that stand, the oldest first. The latest about an item counts.
    """
    latest = {entry.id: entry for entry in standing}
    return {user_id: entry.after for user_id, entry in latest.items() if entry.action in SETTLING}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name != "Decision":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        warn(
            f"{__name__}.Decision is now {__name__}.ReviewDecision; the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return ReviewDecision

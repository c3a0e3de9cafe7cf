"""What people decided about items, as entries of a log that is only ever added to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, get_args

from fg_search.errors import DecisionConflictError
from fg_search.ids import UserId
from fg_search.validation import check_label, check_text

Action = Literal["accept", "keep", "label", "delete", "unsure", "undo"]


@dataclass(frozen=True)
class Decision:
    """One entry of the log.

    Attributes:
        number: When it was logged, in microseconds since 1970, or one more than that of the entry before if the clock
            has not gone on since; so entries are ordered by it, and no two have the same.
        id: Of the item, as its owner gave it.
        action: ``"accept"`` (the suggested label is right), ``"keep"`` (the label is right as it is), ``"label"``
            (another one is), ``"delete"`` (the item goes), ``"unsure"`` (somebody else should look), or ``"undo"``.
        before: Label before the decision.
        after: Label after it.
        reviewer: Who decided.
        time: When, in UTC, ISO 8601.
        undoes: Number of the entry that an ``"undo"`` takes back.
        point: Of a deleted item, everything that brings it back. It is not read where entries are listed.
        tenant: Whose item it is, in an index with tenants.
        failed: Why it could not be carried out, if so: nothing was changed then.
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

    def to_payload(self) -> dict[str, Any]:
        """As JSON values; the inverse of :meth:`of_payload`."""
        return asdict(self)

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> Decision:
        """Rebuild an entry."""
        return cls(**payload)


def now() -> str:
    """The time as the log has it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def check_action(action: str, label: str | None, suggested: str | None, seen: str | None = None) -> str | None:
    """The label that an action sets, ``None`` if it sets none.

    Args:
        action: What was decided.
        label: That came with it.
        suggested: For the item, if there is a suggestion.
        seen: The suggestion that was seen, if whoever accepts it says so.

    Raises:
        DecisionConflictError: If another label is suggested than the one that was seen.
        ValueError, TypeError: If there is no such action, or the label that it needs is missing, not wanted, or none.
    """
    known = [one for one in get_args(Action) if one != "undo"]
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
    """Make sure that it is the name of somebody.

    Raises:
        TypeError, ValueError: If it is no string, or an empty one.
    """
    if not isinstance(name, str):
        raise TypeError(f"reviewer must be a string, got {name!r}")
    if not name.strip():
        raise ValueError("reviewer is empty; say who decides, or leave it out")
    check_text(name, "reviewer")


def labels_decided(standing: Iterable[Decision]) -> dict[UserId, str | None]:
    """The labels of items by the latest decisions about them that stand; not of items that are unsure or gone.

    Args:
        standing: Decisions that stand, the oldest first.
    """
    latest = {entry.id: entry for entry in standing}
    return {user_id: entry.after for user_id, entry in latest.items() if entry.action in ("accept", "keep", "label")}

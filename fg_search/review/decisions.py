"""What people decided about items, as entries of a log that is only ever added to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, get_args

from fg_search.ids import UserId

Action = Literal["accept", "keep", "label", "delete", "unsure", "undo"]


@dataclass(frozen=True)
class Decision:
    """One entry of the log.

    Attributes:
        number: Position in the log, from 0.
        id: Of the item, as its owner gave it.
        action: ``"accept"`` (the suggested label is right), ``"keep"`` (the label is right as it is), ``"label"``
            (another one is), ``"delete"`` (the item goes), ``"unsure"`` (somebody else should look), or ``"undo"``.
        before: Label before the decision.
        after: Label after it.
        reviewer: Who decided.
        time: When, in UTC, ISO 8601.
        undoes: Number of the entry that an ``"undo"`` takes back.
        point: Of a deleted item, everything that brings it back.
        tenant: Whose item it is, in an index with tenants.
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


def check_action(action: str, label: str | None, suggested: str | None) -> str | None:
    """The label that an action sets, ``None`` if it sets none.

    Raises:
        ValueError: If there is no such action, or the label that it needs is missing or not wanted.
    """
    known = [one for one in get_args(Action) if one != "undo"]
    if action not in known:
        raise ValueError(f"action must be one of {', '.join(map(repr, known))}, got {action!r}")
    if action == "label":
        if label is None:
            raise ValueError("action='label' needs the label")
        return label
    if label is not None:
        raise ValueError(f"action={action!r} takes no label; use action='label'")
    if action == "accept":
        if suggested is None:
            raise ValueError("there is no suggested label to accept; use action='label'")
        return suggested
    return None


def last_to_undo(entries: Sequence[Decision]) -> Decision | None:
    """The latest entry that was not taken back yet."""
    undone = {entry.undoes for entry in entries}
    standing = [entry for entry in entries if entry.action != "undo" and entry.number not in undone]
    return standing[-1] if standing else None


def labels_decided(entries: Sequence[Decision]) -> dict[UserId, str | None]:
    """The labels of items by the latest decisions about them that stand; not of items that are unsure or gone."""
    undone = {entry.undoes for entry in entries}
    standing = {entry.id: entry for entry in entries if entry.action != "undo" and entry.number not in undone}
    return {user_id: entry.after for user_id, entry in standing.items() if entry.action in ("accept", "keep", "label")}

"""Reports of an exchange between two copies of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fg_search.ids import UserId

_SHOWN = 5  # conflicts that are named in a sentence


@dataclass(frozen=True)
class ExchangeConflict:
    """An item that people decided about in both copies, or in one while it was removed from the other.

    Attributes:
        id: User's id of the item.
        here: Its label in this index; ``None`` if it has none, or is gone.
        there: Its label in the other one; likewise.
        reason: Why it was left as it is, in both.
    """

    id: UserId
    here: str | None
    there: str | None
    reason: str


@dataclass(frozen=True)
class PullReport:
    """What was taken from another copy.

    Attributes:
        points: Number of its items.
        written: Number of those that were new here, or newer there.
        removed: Number of items that were deleted there by a decision and are removed here, and of those that it lacks,
            if they were to be removed.
        ahead: Number of items about which people have decided more here: push them.
        only_here: Number of items that it lacks and that stay.
        conflicts: Items that people decided about in both.
    """

    points: int
    written: int
    removed: int
    ahead: int
    only_here: int
    conflicts: tuple[ExchangeConflict, ...] = field(default=())

    def __str__(self) -> str:
        said = [f"{self.written:,} of {self.points:,} items were newer and are taken", f"{self.removed:,} removed"]
        if self.ahead:
            said.append(f"{self.ahead:,} have newer decisions here: push them")
        if self.only_here:
            said.append(f"{self.only_here:,} are here alone and stay")
        return "; ".join([*said, *_named(self.conflicts)])


@dataclass(frozen=True)
class PushReport:
    """What another copy was given.

    Attributes:
        items: Number of items whose newer decisions it got. Those that were deleted there and brought back here are
            among them.
        deleted: Number of items that were deleted here by a decision, and are there now.
        conflicts: Items that people decided about there as well, or that it does not have.
    """

    items: int
    deleted: int
    conflicts: tuple[ExchangeConflict, ...] = field(default=())

    def __str__(self) -> str:
        given = f"the newer decisions about {self.items:,} items are given, {self.deleted:,} items deleted"
        return "; ".join([given, *_named(self.conflicts)])


def _named(conflicts: Sequence[ExchangeConflict]) -> list[str]:
    if not conflicts:
        return []
    shown = ", ".join(repr(one.id) for one in conflicts[:_SHOWN]) + (", …" if len(conflicts) > _SHOWN else "")
    return [
        f"{len(conflicts):,} were left as they are in both, as people decided otherwise there: {shown}; "
        "call pull(…, overwrite=[ids]) to have them as they are there, or push(…, overwrite=[ids]) to have them there "
        "as they are here (--overwrite ID)"
    ]

"""How the histories of an item in two copies of an index relate: whose goes on from the other's."""

from __future__ import annotations

from typing import Literal

from fg_search.layout.history import History

Order = Literal["same", "ahead", "behind", "apart"]

_KEPT = 7  # tokens of each history in a merged one, which has room for two more


def order_of(own: History, other: History) -> Order:
    """How an item's history relates to that of its copy.

    Both keep the tokens of the latest writers alone. If more wrote since they were the same, they are apart.
    """
    if own.version == other.version and own.writers == other.writers:
        return "same"
    if own.version > other.version and _goes_on(own, other):
        return "ahead"
    return "behind" if other.version > own.version and _goes_on(other, own) else "apart"


def has_decided(own: History, other: History) -> bool:
    """Whether people have decided about an item what its copy does not know of. Adding it again is no decision."""
    return bool(own.writers) and own.writers[-1] not in other.writers


def merged(own: History, other: History, token: str, number: int) -> History:
    """History of an item that stays as it is in one copy, though people decided about it in the other as well.

    It goes on from both, so that whoever has either of them learns of it.

    Args:
        own: History in the copy that it stays as in.
        other: History in the other one.
        token: Token of the write.
        number: Number of the latest entry of the log about it, 0 if there is none.
    """
    known = [one for one in other.writers if one not in own.writers]
    return History(
        max(own.version, other.version) + 1,
        (*known[-_KEPT:], *own.writers[-_KEPT:], token),
        max(own.number, number),
    )


def _goes_on(longer: History, shorter: History) -> bool:
    if not shorter.version:
        return True
    return bool(shorter.writers) and shorter.writers[-1] in longer.writers

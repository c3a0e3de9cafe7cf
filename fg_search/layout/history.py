"""History of an item: how often people changed it, and the decisions about it that are not in the log yet.

Every change by people is one conditional write: it sets what they want together with the next version, and only if the
item still has the version that they saw. Whoever reads the item back and finds the token of the write in its history
knows that it took place, even if somebody else has changed the item since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from qdrant_client import models

from fg_search.layout.conditions import equals, is_empty
from fg_search.layout.keys import HISTORY_KEY, HISTORY_VERSION_KEY

_WRITERS = 16  # tokens kept; as many writers may come between a write and its being read back


@dataclass(frozen=True, slots=True)
class History:
    """What happened to an item.

    Attributes:
        version: Number of changes of its label, decision or text.
        writers: Tokens of the latest of them, the oldest first.
        number: Number of the latest entry of the log about the item, 0 if there is none.
        unlogged: Entries that are not in the log yet, the oldest first.
    """

    version: int = 0
    writers: tuple[str, ...] = ()
    number: int = 0
    unlogged: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of_features(cls, features: Mapping[str, Any]) -> History:
        """Read it from our part of a point's payload."""
        stored = features.get(HISTORY_KEY)
        if not stored:
            return NO_HISTORY
        return cls(
            stored.get("version", 0),
            tuple(stored.get("writers", "").split()),
            stored.get("number", 0),
            tuple(stored.get("unlogged", ())),
        )

    def to_payload(self) -> dict[str, Any]:
        """Entry of our payload. It is empty as long as nobody has changed the item."""
        if not self.version:
            return {}
        stored: dict[str, Any] = {"version": self.version}
        if self.writers:
            stored["writers"] = " ".join(self.writers)  # one string costs the engine less than a list
        if self.number:
            stored["number"] = self.number
        if self.unlogged:
            stored |= {"unlogged": [*self.unlogged], "waiting": True}
        return {HISTORY_KEY: stored}

    def replaced(self) -> History:
        """History after the item got another text or label by being added again."""
        return replace(self, version=self.version + 1)

    def changed(self, token: str) -> History:
        """History after a change by a writer."""
        return replace(self, version=self.version + 1, writers=(*self.writers, token)[-_WRITERS:])

    def decided(self, token: str, number: int, entry: Mapping[str, Any]) -> History:
        """History after a decision."""
        return replace(self.changed(token), number=number, unlogged=(*self.unlogged, entry))

    def logged(self) -> History:
        """History once its entries are in the log."""
        return replace(self, unlogged=())

    @property
    def unchanged(self) -> models.Condition:
        """Condition that nobody has changed the item since."""
        return equals(HISTORY_VERSION_KEY, self.version) if self.version else is_empty(HISTORY_VERSION_KEY)


def new_token() -> str:
    """Token of a write."""
    return uuid4().hex[:12]


NO_HISTORY = History()

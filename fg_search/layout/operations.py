"""What a collection remembers of the operation that made it, and the names that operations use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias
from uuid import uuid4

Purpose: TypeAlias = Literal["new", "migrate", "restore", "copy"]

OPERATION_KEY = "fg_search_operation"  # in the metadata of every collection that holds the points of an index
INCOMPLETE_KEY = "fg_search_incomplete"  # source of a copy that was not finished
CHANGED_POINT = "point"  # payload key of a marker: a point written while it was being copied, null for any

_ID = re.compile("[0-9a-f]{16}")
_SEALED = ".sealed"  # end of the alias of an operation whose target is about to take its source's place


@dataclass(frozen=True)
class Operation:
    """An operation that makes a collection which takes the name of an index.

    Attributes:
        id: 16 hexadecimal digits, part of the name of the collection.
        purpose: What the collection is made for.
        source: Collection that had the index's name before, ``None`` if there was none.
        host: Name of the computer the operation runs on.
        process: Number of its process there.
        since: Time when it began, ISO 8601, for people.
        beat: Number that grows as long as the operation makes progress.
        complete: Whether everything is in the collection that belongs there.
    """

    id: str
    purpose: Purpose
    source: str | None
    host: str
    process: int
    since: str
    beat: int = 0
    complete: bool = False

    def to_metadata(self) -> dict[str, Any]:
        """Metadata of the collection, for :meth:`of_metadata`."""
        return {OPERATION_KEY: asdict(self)}

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, Any] | None) -> Operation | None:
        """Read the operation from a collection's metadata. ``None`` if a release before 0.2 made the collection."""
        stored = (metadata or {}).get(OPERATION_KEY)
        if stored is None:
            return None
        return cls(**{attribute.name: stored[attribute.name] for attribute in fields(cls)})

    def __str__(self) -> str:
        return f"{self.purpose} by process {self.process} on {self.host} since {self.since}"


def new_id() -> str:
    """Id of an operation."""
    return uuid4().hex[:16]


def target_name(collection: str, operation: str) -> str:
    """Name of the collection that an operation makes."""
    return f"{collection}.{operation}"


def is_target_of(collection: str, name: str) -> bool:
    """Whether a collection is named like one that holds the points of this index."""
    prefix, _, end = name.rpartition(".")
    return prefix == collection and _ID.fullmatch(end) is not None


def changes_name(target: str) -> str:
    """Name of the collection of markers: points that were written while they were being copied to the target."""
    return f"{target}.changes"


def right_name(collection: str, operation: str) -> str:
    """Alias of an operation's target. As long as it is there, the operation has the right to switch."""
    return f"{collection}.op.{operation}"


def sealed_right_name(collection: str, operation: str) -> str:
    """Alias that takes the place of :func:`right_name`'s once the operation's source is sealed."""
    return f"{right_name(collection, operation)}{_SEALED}"


def rights(aliases: Mapping[str, str], collection: str) -> dict[str, str]:
    """Targets of the operations that have, or want, the right to switch, by the operations' ids."""
    prefix = right_name(collection, "")
    return {
        name.removeprefix(prefix).removesuffix(_SEALED): target
        for name, target in aliases.items()
        if name.startswith(prefix)
    }


def sealing(aliases: Mapping[str, str], collection: str) -> set[str]:
    """Ids of the operations that have sealed their source and are about to switch."""
    return {
        operation for operation in rights(aliases, collection) if sealed_right_name(collection, operation) in aliases
    }

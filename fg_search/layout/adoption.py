"""What an adopted collection remembers of its adoption, so that this can be gone on with and undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fg_search.layout.keys import ADOPTION_KEY


@dataclass(frozen=True)
class Adoption:
    """State of an adoption.

    Attributes:
        vector: Name of the vector of features that it began with.
        indexed_before: Payload keys that had an index before.
        complete: Whether all points that were there have features.
        leaving: Whether it is being undone.
    """

    vector: str
    indexed_before: tuple[str, ...]
    complete: bool = False
    leaving: bool = False

    def to_metadata(self) -> dict[str, Any]:
        """Metadata of the collection, for :meth:`of_metadata`."""
        return {ADOPTION_KEY: asdict(self)}

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, Any] | None) -> Adoption | None:
        """Read it from a collection's metadata. ``None`` if the collection was not adopted."""
        stored = (metadata or {}).get(ADOPTION_KEY)
        if stored is None:
            return None
        return cls(stored["vector"], tuple(stored["indexed_before"]), stored["complete"], stored["leaving"])

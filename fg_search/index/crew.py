"""Others who do a job on all points of a collection at once, each of them a part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from fg_search.layout.schema import IndexMetadata

AsBefore = Literal["as before"]


@dataclass(frozen=True)
class Job:
    """What is to be done to each point of a collection.

    Attributes:
        task: ``"fill"``: give features to points that have none. ``"vectors"``: write the vectors of features, and
            nothing else. ``"sync"``: bring points up to date. ``"copy"``: copy the items of another collection.
        collection: Name of the index.
        points: Own name of the collection that is written to.
        metadata: What the points are to be like.
        copied: Own name of the collection whose items are copied, ``""`` for none.
        keeps_base: Whether stored base embeddings are as good as new ones.
        keeps_review: Whether scores for reviewing are copied.
        set_aside: Set aside undecided items whose label is wrong with at least this probability, ``None`` for no item.
    """

    task: Literal["fill", "vectors", "sync", "copy"]
    collection: str
    points: str
    metadata: IndexMetadata
    copied: str = ""
    keeps_base: bool = False
    keeps_review: bool = False
    set_aside: float | AsBefore | None = "as before"


@dataclass(frozen=True)
class Done:
    """How much of a job was done.

    Attributes:
        points: Number of points that were looked at.
        written: Number of points that were written.
        skipped: Number of points that cannot have features.
    """

    points: int = 0
    written: int = 0
    skipped: int = 0

    def __add__(self, other: Done) -> Done:
        return Done(self.points + other.points, self.written + other.written, self.skipped + other.skipped)


class Crew(Protocol):
    """Does jobs."""

    def run(self, job: Job) -> Iterator[Done]:
        """Do a job, and say from time to time, at least every few seconds, what was done since the last time."""

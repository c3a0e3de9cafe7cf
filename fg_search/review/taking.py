"""Taking what is new or newer in another copy of an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.history import History
from fg_search.layout.logs import KEY
from fg_search.layout.points import features_of, history_of, id_of, vectors_of
from fg_search.review.exchange_reports import ExchangeConflict
from fg_search.review.exchanged_items import (
    DELETED_THERE,
    PAGE,
    conflict_about,
    of_both,
    of_deleted,
    retrieved,
    with_vectors,
)
from fg_search.review.exchanged_log import Choice, deleted_there, take_back
from fg_search.review.lineage import has_decided, order_of
from fg_search.review.pairs import are_copies, side_by_side


@dataclass
class Taking:
    """What is found while two copies are compared, and what is taken.

    Attributes:
        state: The index.
        other: The other copy.
        choice: Items that are to be here as they are there.
        standing: Decisions that stand here and that it does not know, by the engine's id of the item as text.
        deleted: Histories of the items that those of them that are deletions have removed, likewise.
        points: Number of items of the other.
        written: Number of those that were taken.
        removed: Number of items that were removed here.
        ahead: Number of items that have newer decisions here.
        only_here: Number of items that it lacks and that stay.
        conflicts: Items that are left as they are, by engine's id.
    """

    state: IndexState
    other: IndexState
    choice: Choice
    standing: Mapping[str, list[models.Record]]
    deleted: Mapping[str, History]
    points: int = 0
    written: int = 0
    removed: int = 0
    ahead: int = 0
    only_here: int = 0
    conflicts: dict[PointId, ExchangeConflict] = field(default_factory=dict)
    _lacking: dict[PointId, History] = field(default_factory=dict)  # by it, as it seems
    _chosen: set[PointId] = field(default_factory=set)  # of these
    _wanted: dict[PointId, History | None] = field(default_factory=dict)  # histories here, None for what is new

    async def take_newer(self, progress: Callable[[int], object]) -> None:
        """Take what is new or newer."""
        async for point, own, theirs in side_by_side(self.state, self.other):
            if theirs is not None:
                self.points += 1
                await self._compare(point, own, theirs)
                progress(1)
            elif own is not None:
                self._lacking[point] = history_of(own)
                if features_of(own)["id"] in self.choice.ids:
                    self._chosen.add(point)
                    await self._take_back(point, None)
            if len(self._wanted) == PAGE:
                await self._take()
        await self._take()

    async def remove_gone(self, deleted: Mapping[str, History], *, remove_extra: bool) -> None:
        """Remove what was deleted there by a decision, unless people have decided about it here since.

        Args:
            deleted: Histories of the items that deletions there have removed that are not known here, by the engine's
                id as text.
            remove_extra: Remove what it lacks besides, unless people have decided about it here.
        """
        for page in pages(list(self._lacking), PAGE):
            there = await retrieved(self.other, page)  # by more than one copy of a shard
            gone = {point: self._lacking[point] for point in page if point not in there}
            leaving = []
            for point, own in gone.items():
                known = deleted.get(str(point))
                is_free = remove_extra and not own.writers if known is None else not has_decided(own, known)
                if is_free or point in self._chosen:
                    leaving.append(point)
            if leaving:
                await self.state.engine.delete(self.state.points, leaving)
                await acknowledge(self.state, leaving)
            self.removed += len(leaving)
            decided = [point for point, own in gone.items() if own.writers and point not in leaving]
            named = await self._compare_deleted(decided)
            self.only_here += len(gone) - len(leaving) - named

    async def _compare(self, point: PointId, own: models.Record | None, theirs: models.Record) -> None:
        """Find out what becomes of an item that is there."""
        is_chosen = features_of(theirs)["id"] in self.choice.ids
        if is_chosen:
            await self._take_back(point, theirs)
        there = history_of(theirs)
        if own is None:
            gone = self.deleted.get(str(point))
            if gone is None or is_chosen:
                self._wanted[point] = None
            elif order_of(gone, there) == "ahead":
                self.ahead += 1
            else:
                self.conflicts[point] = of_deleted(theirs, gone)
            return
        here = history_of(own)
        if is_chosen or not has_decided(here, there):
            if not are_copies(own, theirs):
                self._wanted[point] = here
        elif order_of(here, there) == "ahead":
            self.ahead += 1
        else:
            self.conflicts[point] = of_both(own, theirs)

    async def _compare_deleted(self, decided: list[PointId]) -> int:
        """Find out what becomes of items that people decided about here, and that were deleted there."""
        deleted = await deleted_there(self.other, decided)
        here = await retrieved(self.state, [point for point in decided if str(point) in deleted])
        for point, own in here.items():
            if order_of(history_of(own), deleted[str(point)]) == "ahead":
                self.ahead += 1
            else:
                self.conflicts[point] = conflict_about(own, None, DELETED_THERE)
        return len(here)

    async def _take_back(self, point: PointId, theirs: models.Record | None) -> None:
        """Take back what was decided here about an item."""
        there = History() if theirs is None else history_of(theirs)
        known = {entry[KEY] for entry in there.unlogged}  # theirs, which came with the item before
        lost = [entry for entry in self.standing.get(str(point), ()) if entry.id not in known]
        await take_back(self.state, lost, self.choice.reviewer, known=there.number)

    async def _take(self) -> None:
        """Write the wanted points of the other copy, each only if nobody changes it here meanwhile."""
        if not self._wanted:
            return
        groups: dict[int | None, list[models.PointStruct]] = {}
        for record in await with_vectors(self.other, list(self._wanted), has_base=self.state.metadata.has_base):
            history = self._wanted[id_of(record)]
            point = models.PointStruct(id=id_of(record), vector=vectors_of(record), payload=record.payload)
            groups.setdefault(None if history is None else history.version, []).append(point)
        for version, points in groups.items():
            if version is None:
                await self.state.engine.upsert(self.state.points, points, insert_only=True)
            else:
                unchanged = models.Filter(must=[History(version).unchanged])
                await self.state.engine.upsert(self.state.points, points, update_filter=unchanged)
            self.written += len(points)
        await acknowledge(self.state, list(self._wanted))
        self._wanted = {}

"""Giving another copy of an index what people decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qdrant_client import models

from fg_search.engine.paging import scroll_pages
from fg_search.engine.port import PointId
from fg_search.errors import DecisionConflictError
from fg_search.index.copies import OURS
from fg_search.index.decision_log import append_records
from fg_search.index.state import IndexState
from fg_search.index.unchanged import TOUCHED
from fg_search.index.writes import acknowledge
from fg_search.layout.history import NO_HISTORY, History, new_token
from fg_search.layout.keys import TEXT_KEY
from fg_search.layout.logs import NUMBER
from fg_search.layout.points import features_of, history_of, id_of, payload_of, vectors_of
from fg_search.review.decisions import ReviewDecision
from fg_search.review.deletions import delete_item, history_of_deleted, log_deletion
from fg_search.review.exchange_reports import ExchangeConflict
from fg_search.review.exchanged_items import (
    CHANGED_HERE,
    DELETED_THERE,
    NOT_THERE,
    OF_PEOPLE,
    PAGE,
    conflict_about,
    of_both,
    of_deleted,
    of_people,
    retrieved,
    with_history,
    with_vectors,
)
from fg_search.review.exchanged_log import Choice, deleted_there, take_back
from fg_search.review.item_changes import SeenItem, change_item, check_changed, read_item
from fg_search.review.lineage import has_decided, merged, order_of

ABOUT = models.Filter(must=[OURS, TOUCHED])
"""Items that people may have decided about."""


@dataclass
class Giving:
    """What another copy is given.

    Attributes:
        state: The index.
        other: The other copy.
        choice: Items that are to be there as they are here.
        theirs: Entries of its decisions that stand and are not known here, by the engine's id of the item.
        items: Number of items that it got.
        deleted: Number of items that were deleted there.
        decided: Engine's ids of the items here that people decided about.
        taken_back: Entries that take back what was decided there, which are in the log here already.
        conflicts: Items that are left as they are, by engine's id.
    """

    state: IndexState
    other: IndexState
    choice: Choice
    theirs: Mapping[str, list[models.Record]]
    items: int = 0
    deleted: int = 0
    decided: set[PointId] = field(default_factory=set)
    taken_back: list[models.Record] = field(default_factory=list)
    conflicts: dict[PointId, ExchangeConflict] = field(default_factory=dict)

    async def give_newer(self, progress: Callable[[int], object]) -> None:
        """Give what people decided about items that are here."""
        async for records in scroll_pages(
            self.state.engine,
            self.state.points,
            page_size=PAGE,
            scroll_filter=ABOUT,
            with_payload=OF_PEOPLE,
            copies="active",
        ):
            there = await retrieved(self.other, [id_of(record) for record in records])
            decided = {id_of(one): one for one in records if history_of(one).writers}
            self.decided |= decided.keys()
            gone = await deleted_there(self.other, list(decided.keys() - there.keys()))
            for point, own in decided.items():
                theirs = there.get(point)
                if features_of(own)["id"] in self.choice.ids:
                    await self._overwrite(own, theirs, gone.get(str(point)))
                elif theirs is None or has_decided(history_of(own), history_of(theirs)):
                    await self._give(own, theirs, gone.get(str(point)))
            progress(len(records))

    async def delete(self, entry: models.Record) -> None:
        """Delete an item that was deleted here, unless people have decided about it there since.

        One that was added here again and decided about is not deleted any more.
        """
        payload = payload_of(entry)
        decision, gone = ReviewDecision.of_payload(payload), history_of_deleted(payload)
        stored = models.Record(**{key: (decision.point or {})[key] for key in ("id", "payload")})
        seen, _ = await read_item(self.other, id_of(stored), with_vectors=True)
        if seen is None and await deleted_there(self.other, [id_of(stored)]):
            # one of two deletions is enough: the item would be there with the other one, once it is brought back
            self.taken_back += await take_back(self.state, [entry], decision.reviewer, known=decision.number)
        if seen is None or seen.point in self.decided:
            await append_records(self.other, [entry])
            return
        if decision.id in self.choice.ids:
            await self._take_back(seen.point, seen.history.number)
        elif order_of(gone, seen.history) != "ahead" or (
            features_of(stored)["text"] != features_of(seen.record)["text"]
        ):
            self.conflicts[seen.point] = of_deleted(seen.record, gone)
            return
        before = history_of(stored).logged()
        try:
            if has_decided(before, seen.history) and order_of(before, seen.history) == "ahead":
                # what undo brings back there is what was here
                await change_item(self.other, seen, of_people(stored), before)
                await self.delete(entry)
                return
            await delete_item(self.other, await log_deletion(self.other, seen, decision, str(entry.id)))
            self.deleted += 1
        except DecisionConflictError as error:
            self.conflicts[seen.point] = conflict_about(None, seen.record, str(error))

    async def _give(self, own: models.Record, theirs: models.Record | None, gone: History | None) -> None:
        """Give what people decided about an item that is not there as it is here, unless they have there as well."""
        if theirs is not None:
            if order_of(history_of(own), history_of(theirs)) != "ahead":
                self.conflicts[id_of(own)] = of_both(own, theirs)
            elif not await self._have_same_text(own, theirs):
                self.conflicts[id_of(own)] = conflict_about(own, theirs, CHANGED_HERE)
            else:
                await self._write(own, theirs)
        elif gone is None:
            self.conflicts[id_of(own)] = conflict_about(own, None, NOT_THERE)
        elif order_of(history_of(own), gone) != "ahead":
            self.conflicts[id_of(own)] = conflict_about(own, None, DELETED_THERE)
        else:
            await self._write(own, None)

    async def _overwrite(self, own: models.Record, theirs: models.Record | None, gone: History | None) -> None:
        """Have an item there as it is here, whatever people decided there."""
        here = history_of(own)
        there = gone or (NO_HISTORY if theirs is None else history_of(theirs))
        number = await self._take_back(id_of(own), max(here.number, there.number))
        if theirs is not None and order_of(here, there) == "same":
            return
        if there.version and order_of(here, there) != "ahead":
            mine = merged(here, there, new_token(), number)
            try:
                await change_item(self.state, SeenItem(own), {}, mine)
            except DecisionConflictError as error:
                self.conflicts[id_of(own)] = conflict_about(own, theirs, str(error))
                return
            own = own.model_copy(update={"payload": with_history(own, mine)})
        await self._write(own, theirs)

    async def _write(self, own: models.Record, theirs: models.Record | None) -> None:
        """Write what people decided about an item, and the item itself if it is not there, or has another text."""
        try:
            if theirs is not None and await self._have_same_text(own, theirs):
                await change_item(self.other, SeenItem(theirs), of_people(own), history_of(own).logged())
            else:
                await self._write_item(own, theirs)
            self.items += 1
        except DecisionConflictError as error:
            self.conflicts[id_of(own)] = conflict_about(own, theirs, str(error))

    async def _write_item(self, own: models.Record, theirs: models.Record | None) -> None:
        if self.other.metadata.source is not None:
            raise DecisionConflictError("others write the items there: add it to their collection")
        if self.other.metadata.fingerprint != self.state.metadata.fingerprint:
            raise DecisionConflictError("its vectors here are another encoder's: add it there")
        if self.other.metadata.has_base and not self.state.metadata.has_base:
            raise DecisionConflictError("it has no base vector here, and needs one there: add it there")
        history = history_of(own).logged()
        found = await with_vectors(self.state, [id_of(own)], has_base=self.other.metadata.has_base)
        points = [
            models.PointStruct(id=id_of(one), vector=vectors_of(one), payload=with_history(one, history))
            for one in found
        ]
        if theirs is None:
            await self.other.engine.upsert(self.other.points, points, insert_only=True)
        else:
            unchanged = models.Filter(must=[history_of(theirs).unchanged])
            await self.other.engine.upsert(self.other.points, points, update_filter=unchanged)
        await check_changed(self.other, SeenItem(own if theirs is None else theirs), history)
        await acknowledge(self.other, [id_of(own)])

    async def _take_back(self, point: PointId, known: int) -> int:
        """Take back what was decided there about an item. Return the greatest number of an entry about it."""
        undone = await take_back(self.state, self.theirs.get(str(point), ()), self.choice.reviewer, known=known)
        self.taken_back += undone
        return max([known, *(int(payload_of(one)[NUMBER]) for one in undone)])

    async def _have_same_text(self, own: models.Record, theirs: models.Record) -> bool:
        """Whether an item has the same text in both. Texts are read only where something in the digests differs."""
        if features_of(own)["hash"] == features_of(theirs)["hash"]:
            return True
        texts = [
            features_of(record)["text"]
            for copy in (self.state, self.other)
            for record in await copy.engine.retrieve(copy.points, [id_of(own)], with_payload=[TEXT_KEY])
        ]
        return len(texts) == 2 and texts[0] == texts[1]

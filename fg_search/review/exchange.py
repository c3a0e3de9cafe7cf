"""Exchange between two copies of an index, such as one on a device and one on a server, both of which people work on.

What people do to an item leaves tokens in its history. Where the tokens of one copy go on from those of the other,
nobody has decided otherwise there, and the item is brought up to date; where they go apart, both stay as they are, and
the item is named.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qdrant_client import models

from fg_search.engine.paging import pages, scroll_pages
from fg_search.engine.port import PointId
from fg_search.errors import DecisionConflictError, ModelMismatchError, UnsupportedError
from fg_search.ids import UserId
from fg_search.index.copies import OURS, copy_notes
from fg_search.index.decision_log import append_records, log_decisions
from fg_search.index.following import followed
from fg_search.index.info import count_all
from fg_search.index.logs import entries_in, read_log
from fg_search.index.state import IndexState
from fg_search.index.unchanged import TOUCHED
from fg_search.layout.history import History
from fg_search.layout.items import Item
from fg_search.layout.keys import GIVEN_LABEL_KEY, HASH_KEY, ITEM_HISTORY_KEY, PAYLOAD_KEY, REVIEWED_KEY
from fg_search.layout.logs import ITEM, STAGE, decision_log
from fg_search.layout.points import features_of, history_of, id_of, is_ours, payload_of, vectors_of
from fg_search.model.progress import progress_bar
from fg_search.review.decisions import ReviewDecision
from fg_search.review.deletions import delete_item, log_deletion
from fg_search.review.item_changes import SeenItem, change_item

Order = Literal["same", "ahead", "behind", "apart"]

_PAGE = 512
_OF_HISTORY = (HASH_KEY, ITEM_HISTORY_KEY)  # every item has the first
_BY_PEOPLE = ("label", GIVEN_LABEL_KEY.removeprefix(f"{PAYLOAD_KEY}."), REVIEWED_KEY, "set_aside")


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
        items: Number of items whose newer decisions it got.
        deleted: Number of items that were deleted here by a decision, and are there now.
        conflicts: Items that people decided about there as well, or that are gone there.
    """

    items: int
    deleted: int
    conflicts: tuple[ExchangeConflict, ...] = field(default=())

    def __str__(self) -> str:
        given = f"the newer decisions about {self.items:,} items are given, {self.deleted:,} items deleted"
        return "; ".join([given, *_named(self.conflicts)])


def order_of(own: History, other: History) -> Order:
    """How an item's history relates to that of its copy.

    Both keep the tokens of the latest writers alone. If more wrote since they were the same, they are apart.
    """
    if own.version == other.version and own.writers == other.writers:
        return "same"
    if own.version > other.version and _goes_on(own, other):
        return "ahead"
    return "behind" if other.version > own.version and _goes_on(other, own) else "apart"


def _goes_on(longer: History, shorter: History) -> bool:
    if not shorter.version:
        return True
    return bool(shorter.writers) and shorter.writers[-1] in longer.writers


async def pull(state: IndexState, other: IndexState, *, remove_extra: bool, show_progress: bool | None) -> PullReport:
    """Bring an index up to date from another copy of it, see :meth:`fg_search.ConfidenceIndex.pull`."""
    if state.metadata.source is not None:
        raise UnsupportedError(
            f"{state.name} was adopted: others write its items; bring it up to date with index.sync()"
        )
    state, other = await _both(state, other)
    with progress_bar(await count_all(other), show_progress, "pull") as advance:
        points, written, ahead, conflicts = await _take_newer(state, other, advance)
    entries = await _missing_entries(other, state)
    removed, only_here = await _remove_gone(state, other, entries, remove_extra=remove_extra)
    await append_records(state, entries)
    await copy_notes(other, state.engine, state.points)
    await followed(state)
    return PullReport(points, written, removed, ahead, only_here, tuple(conflicts))


async def push(state: IndexState, other: IndexState, *, show_progress: bool | None) -> PushReport:
    """Give another copy of an index what people decided here, see :meth:`fg_search.ConfidenceIndex.push`."""
    state, other = await _both(state, other)
    with progress_bar(await count_all(state), show_progress, "push") as advance:
        given, conflicts = await _give_newer(state, other, advance)
    entries = await _missing_entries(state, other)
    deleted = 0
    for entry in entries:
        if _is_deletion(entry):
            deleted += await _delete_there(other, entry, conflicts)
    left = {str(point) for point in conflicts}
    kept = [entry for entry in entries if payload_of(entry)[ITEM] not in left and not _is_deletion(entry)]
    await append_records(other, kept)
    return PushReport(given, deleted, tuple(conflicts.values()))


async def _take_newer(
    state: IndexState, other: IndexState, progress: Callable[[int], object]
) -> tuple[int, int, int, list[ExchangeConflict]]:
    """Take what is new or newer. Return numbers of items there, taken, and ahead here, and the conflicts."""
    points = written = ahead = 0
    conflicts: list[ExchangeConflict] = []
    async for theirs in _points(other):
        points += len(theirs)
        here = await _retrieved(state, [id_of(record) for record in theirs])
        wanted: list[tuple[models.Record, History | None]] = []
        for record in theirs:
            own = here.get(id_of(record))
            if own is None:
                wanted.append((record, None))
                continue
            order = order_of(history_of(own), history_of(record))
            if order == "ahead":
                ahead += 1
            elif order == "apart":
                conflicts.append(_conflict(own, record, "people decided about it here and there"))
            elif not Item.of_record(own).is_copy_of(Item.of_record(record)):
                wanted.append((record, history_of(own)))
        written += await _take(state, other, wanted)
        progress(len(theirs))
    return points, written, ahead, conflicts


async def _give_newer(
    state: IndexState, other: IndexState, progress: Callable[[int], object]
) -> tuple[int, dict[PointId, ExchangeConflict]]:
    """Give what is newer here. Return the number of items, and the conflicts by engine's id."""
    given = 0
    conflicts: dict[PointId, ExchangeConflict] = {}
    async for records in _points(state, TOUCHED):
        there = await _retrieved(other, [id_of(record) for record in records])
        for own in records:
            theirs = there.get(id_of(own))
            if theirs is None:
                conflicts[id_of(own)] = _conflict(own, None, "it is gone there")
                continue
            order = order_of(history_of(own), history_of(theirs))
            if order == "apart":
                conflicts[id_of(own)] = _conflict(own, theirs, "people decided about it here and there")
            elif order == "ahead":
                try:
                    await _give(other, own, theirs)
                    given += 1
                except DecisionConflictError as error:
                    conflicts[id_of(own)] = _conflict(own, theirs, str(error))
        progress(len(records))
    return given, conflicts


async def _both(state: IndexState, other: IndexState) -> tuple[IndexState, IndexState]:
    """Both as they are now, with all decisions in their logs.

    Raises:
        ModelMismatchError: If they are of different encoders.
    """
    state, other = await followed(state), await followed(other)
    if state.metadata.fingerprint != other.metadata.fingerprint:
        raise ModelMismatchError(
            f"{state.name} was filled by the encoder {state.metadata.fingerprint}, {other.name} by "
            f"{other.metadata.fingerprint}; copy the newer one anew: `fg-search copy`"
        )
    await log_decisions(state)
    await log_decisions(other)
    return state, other


async def _points(
    state: IndexState, chosen: models.Filter | None = None, keys: bool | Sequence[str] = True
) -> AsyncIterator[list[models.Record]]:
    scope = models.Filter(must=[OURS, *([] if chosen is None else [chosen])])
    async for records in scroll_pages(
        state.engine, state.points, page_size=_PAGE, scroll_filter=scope, with_payload=keys, copies="active"
    ):
        yield records


async def _retrieved(
    state: IndexState, ids: Sequence[PointId], keys: bool | Sequence[str] = True
) -> dict[PointId, models.Record]:
    found = await state.engine.retrieve(state.points, ids, with_payload=keys, copies="most")
    return {id_of(record): record for record in found if is_ours(record)}


async def _take(state: IndexState, other: IndexState, wanted: Sequence[tuple[models.Record, History | None]]) -> int:
    """Write points of the other copy, each only if nobody changes it here meanwhile."""
    histories = {id_of(record): history for record, history in wanted}
    groups: dict[int | None, list[models.PointStruct]] = {}
    for page in pages(list(histories), _PAGE):
        for record in await other.engine.retrieve(other.points, page, with_vectors=True, copies="active"):
            history = histories[id_of(record)]
            vectors: Any = vectors_of(record)
            point = models.PointStruct(id=id_of(record), vector=vectors, payload=record.payload)
            groups.setdefault(None if history is None else history.version, []).append(point)
    for version, points in groups.items():
        if version is None:
            await state.engine.upsert(state.points, points, insert_only=True)
        else:
            unchanged = models.Filter(must=[History(version).unchanged])
            await state.engine.upsert(state.points, points, update_filter=unchanged)
    return sum(map(len, groups.values()))


async def _give(other: IndexState, own: models.Record, theirs: models.Record) -> None:
    features = features_of(own)
    values = {key: features.get(key) for key in _BY_PEOPLE}
    await change_item(other, SeenItem(theirs), values, history_of(own).logged())


async def _remove_gone(
    state: IndexState, other: IndexState, entries: Sequence[models.Record], *, remove_extra: bool
) -> tuple[int, int]:
    """Remove what was deleted in the other copy by a decision. Return how many, and how many it lacks besides."""
    deleted = {payload_of(entry)[ITEM]: _history_of_deleted(entry) for entry in entries if _is_deletion(entry)}
    removed = only_here = 0
    async for records in _points(state, keys=_OF_HISTORY):
        there = await _retrieved(other, [id_of(record) for record in records], _OF_HISTORY)
        gone = [record for record in records if id_of(record) not in there]
        leaving = [
            id_of(record)
            for record in gone
            if (
                (known := deleted.get(str(id_of(record)))) is not None
                and order_of(history_of(record), known) in ("same", "behind")
            )
            or (known is None and remove_extra and not history_of(record).version)
        ]
        if leaving:
            await state.engine.delete(state.points, leaving)
        removed += len(leaving)
        only_here += len(gone) - len(leaving)
    return removed, only_here


async def _delete_there(other: IndexState, entry: models.Record, conflicts: dict[PointId, ExchangeConflict]) -> int:
    """Delete an item that was deleted here, unless people have decided about it there since."""
    decision = ReviewDecision.of_payload(payload_of(entry))
    point = decision.point["id"] if decision.point is not None else payload_of(entry)[ITEM]
    theirs = (await _retrieved(other, [point])).get(point)
    if theirs is None:
        await append_records(other, [entry])
        return 0
    if order_of(_history_of_deleted(entry), history_of(theirs)) not in ("same", "ahead"):
        conflicts[point] = ExchangeConflict(
            decision.id,
            None,
            features_of(theirs).get("label"),
            "it was deleted here, and people decided about it there",
        )
        return 0
    try:
        await delete_item(other, await log_deletion(other, SeenItem(theirs), decision, str(entry.id)))
    except DecisionConflictError as error:
        conflicts[point] = ExchangeConflict(decision.id, None, features_of(theirs).get("label"), str(error))
        return 0
    return 1


async def _missing_entries(source: IndexState, destination: IndexState) -> list[models.Record]:
    """Entries of one log of decisions that the other lacks."""
    known = set(await entries_in(destination.engine, decision_log(destination.collection)))
    entries = await read_log(source.engine, decision_log(source.collection))
    return [entry for entry in entries if id_of(entry) not in known]


def _is_deletion(entry: models.Record) -> bool:
    payload = payload_of(entry)
    return bool(payload["action"] == "delete" and payload[STAGE] == "standing")


def _history_of_deleted(entry: models.Record) -> History:
    point = payload_of(entry).get("point") or {}
    return History.of_features((point.get("payload") or {}).get(PAYLOAD_KEY) or {})


def _conflict(own: models.Record, theirs: models.Record | None, reason: str) -> ExchangeConflict:
    features = features_of(own)
    there = None if theirs is None else features_of(theirs).get("label")
    return ExchangeConflict(features["id"], features.get("label"), there, reason)


def _named(conflicts: Sequence[ExchangeConflict]) -> list[str]:
    if not conflicts:
        return []
    shown = ", ".join(repr(one.id) for one in conflicts[:5]) + (", …" if len(conflicts) > 5 else "")
    return [f"{len(conflicts):,} were left as they are in both, as people decided otherwise there: {shown}"]

"""Exchange between two copies of an index, such as one on a device and one on a server, both of which people work on.

What people do to an item leaves tokens in its history. Where the tokens of one copy go on from those of the other,
nobody has decided otherwise there, and the item is brought up to date; where they go apart, both stay as they are, and
the item is named.

What is the same in both is not moved: items are compared by digest, history and payload, and the vectors of those alone
that are taken are read. The engine's partial snapshots do not serve here: they replace the files of a shard that are
older by the count of its writes, which two shards that are both written to do not share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from qdrant_client import models

from fg_search.engine.answers import FORBIDDEN
from fg_search.engine.paging import pages, scroll_pages
from fg_search.engine.port import PointId
from fg_search.errors import DecisionConflictError, ModelMismatchError, ServerError, UnsupportedError
from fg_search.ids import UserId
from fg_search.index.copies import OURS, copy_notes
from fg_search.index.decision_log import append_records, log_decisions
from fg_search.index.following import followed
from fg_search.index.info import count_all
from fg_search.index.logs import entries_in
from fg_search.index.state import IndexState
from fg_search.index.unchanged import TOUCHED
from fg_search.layout.history import NO_HISTORY, History
from fg_search.layout.keys import (
    BASE_VECTOR,
    FEATURES_VECTOR,
    GIVEN_LABEL_KEY,
    HASH_KEY,
    ITEM_HISTORY_KEY,
    LABEL_KEY,
    PAYLOAD_KEY,
    REVIEW_NOTE_KEY,
    REVIEWED_KEY,
    SET_ASIDE_KEY,
)
from fg_search.layout.logs import ITEM, STAGE, decision_log
from fg_search.layout.points import features_of, history_of, id_of, is_ours, payload_of, vectors_of
from fg_search.model.progress import progress_bar
from fg_search.review.decisions import ReviewDecision
from fg_search.review.deletions import delete_item, log_deletion
from fg_search.review.item_changes import SeenItem, change_item, read_item
from fg_search.review.pairs import are_copies, side_by_side

Order = Literal["same", "ahead", "behind", "apart"]

_PAGE = 512
_OF_PEOPLE = (  # every item has the first two
    f"{PAYLOAD_KEY}.id",
    HASH_KEY,
    LABEL_KEY,
    GIVEN_LABEL_KEY,
    REVIEW_NOTE_KEY,
    SET_ASIDE_KEY,
    ITEM_HISTORY_KEY,
)
_TOUCHED = models.Filter(must=[OURS, TOUCHED])
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


def _has_decided(own: History, other: History) -> bool:
    """Whether people have decided about an item what its copy does not know of. Adding it again is no decision."""
    return bool(own.writers) and own.writers[-1] not in other.writers


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
    if state.metadata.has_base and not other.metadata.has_base:
        raise ValueError(f"{other.name} keeps no base vectors, and {state.name} does; name a copy that has them")
    with progress_bar(await count_all(other), show_progress, "pull") as advance:
        taken = await _take_newer(state, other, advance)
    entries = await _missing_entries(other, state)
    removed, only_here = await _remove_gone(state, other, taken, entries, remove_extra=remove_extra)
    await append_records(state, _without_items(entries, taken.conflicts))
    await copy_notes(other, state.engine, state.points)
    await followed(state)
    return PullReport(taken.points, taken.written, removed, taken.ahead, only_here, tuple(taken.conflicts.values()))


async def push(state: IndexState, other: IndexState, *, show_progress: bool | None) -> PushReport:
    """Give another copy of an index what people decided here, see :meth:`fg_search.ConfidenceIndex.push`."""
    state, other = await _both(state, other)
    touched = await state.engine.count(state.points, _TOUCHED)
    with progress_bar(touched, show_progress, "push") as advance:
        given, conflicts = await _give_newer(state, other, advance)
    entries = await _missing_entries(state, other)
    deleted = 0
    for entry in entries:
        if _is_deletion(entry):
            deleted += await _delete_there(other, entry, conflicts)
    others = [entry for entry in entries if not _is_deletion(entry)]
    await append_records(other, _without_items(others, conflicts))
    return PushReport(given, deleted, tuple(conflicts.values()))


@dataclass
class _Taken:
    """What was found while two copies were compared, and what was taken.

    Attributes:
        points: Number of items of the other.
        written: Number of those that were taken.
        ahead: Number of items that have newer decisions here.
        conflicts: Items that people decided about in both, by engine's id.
        lacking: Histories of the items that the other does not seem to have, by engine's id.
    """

    points: int = 0
    written: int = 0
    ahead: int = 0
    conflicts: dict[PointId, ExchangeConflict] = field(default_factory=dict)
    lacking: dict[PointId, History] = field(default_factory=dict)


async def _take_newer(state: IndexState, other: IndexState, progress: Callable[[int], object]) -> _Taken:
    """Take what is new or newer."""
    taken = _Taken()
    wanted: dict[PointId, History | None] = {}
    async for point, own, theirs in side_by_side(state, other):
        taken.points += theirs is not None
        progress(int(theirs is not None))
        if own is None:
            wanted[point] = None
        elif theirs is None:
            taken.lacking[point] = history_of(own)
        elif not _has_decided(history_of(own), history_of(theirs)):
            if not are_copies(own, theirs):
                wanted[point] = history_of(own)
        elif order_of(history_of(own), history_of(theirs)) == "ahead":
            taken.ahead += 1
        else:
            taken.conflicts[point] = _conflict(own, theirs, "people decided about it here and there")
        if len(wanted) == _PAGE:
            taken.written += await _take(state, other, wanted)
            wanted = {}
    taken.written += await _take(state, other, wanted)
    return taken


async def _give_newer(
    state: IndexState, other: IndexState, progress: Callable[[int], object]
) -> tuple[int, dict[PointId, ExchangeConflict]]:
    """Give what is newer here. Return the number of items, and the conflicts by engine's id."""
    given = 0
    conflicts: dict[PointId, ExchangeConflict] = {}
    async for records in scroll_pages(
        state.engine, state.points, page_size=_PAGE, scroll_filter=_TOUCHED, with_payload=_OF_PEOPLE, copies="active"
    ):
        there = await _retrieved(other, [id_of(record) for record in records])
        for own in records:
            theirs = there.get(id_of(own))
            if not _has_decided(history_of(own), NO_HISTORY if theirs is None else history_of(theirs)):
                continue
            if theirs is None:
                conflicts[id_of(own)] = _conflict(own, None, "it is gone there")
                continue
            if order_of(history_of(own), history_of(theirs)) != "ahead":
                conflicts[id_of(own)] = _conflict(own, theirs, "people decided about it here and there")
                continue
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
    try:
        await log_decisions(other)
    except ServerError as error:
        if error.status != FORBIDDEN:
            raise  # with a key that may only read, what is not in the log there comes along with its items
    return state, other


async def _retrieved(state: IndexState, ids: Sequence[PointId]) -> dict[PointId, models.Record]:
    """What people did to items, by engine's id, as far as they are there."""
    found = await state.engine.retrieve(state.points, ids, with_payload=_OF_PEOPLE, copies="most")
    return {id_of(record): record for record in found if is_ours(record)}


async def _take(state: IndexState, other: IndexState, wanted: Mapping[PointId, History | None]) -> int:
    """Write points of the other copy, each only if nobody changes it here meanwhile.

    Args:
        state: The index.
        other: The other copy.
        wanted: Histories here of the items to take, by engine's id; ``None`` for those that are new.
    """
    groups: dict[int | None, list[models.PointStruct]] = {}
    vectors = [BASE_VECTOR, FEATURES_VECTOR] if state.metadata.has_base else [FEATURES_VECTOR]
    if wanted:
        for record in await other.engine.retrieve(other.points, list(wanted), with_vectors=vectors, copies="active"):
            history = wanted[id_of(record)]
            point = models.PointStruct(id=id_of(record), vector=vectors_of(record), payload=record.payload)
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
    state: IndexState,
    other: IndexState,
    taken: _Taken,
    entries: Sequence[models.Record],
    *,
    remove_extra: bool,
) -> tuple[int, int]:
    """Remove what was deleted in the other copy by a decision, unless people have decided about it here since.

    Return how many, and how many it lacks besides.
    """
    lacking = taken.lacking
    deleted = {payload_of(entry)[ITEM]: _history_of_deleted(entry) for entry in entries if _is_deletion(entry)}
    removed = only_here = 0
    for page in pages(list(lacking), _PAGE):
        there = await _retrieved(other, page)  # by more than one copy of a shard
        gone = [point for point in page if point not in there]
        leaving = [
            point
            for point in gone
            if (
                (known := deleted.get(str(point))) is not None and order_of(lacking[point], known) in ("same", "behind")
            )
            or (known is None and remove_extra and not lacking[point].version)
        ]
        if leaving:
            await state.engine.delete(state.points, leaving)
        left = [point for point in gone if str(point) in deleted and point not in leaving]
        for point, own in (await _retrieved(state, left)).items() if left else ():
            taken.conflicts[point] = _conflict(own, None, "it was deleted there, and people decided about it here")
        removed += len(leaving)
        only_here += len(gone) - len(leaving)
    return removed, only_here


async def _delete_there(other: IndexState, entry: models.Record, conflicts: dict[PointId, ExchangeConflict]) -> int:
    """Delete an item that was deleted here, unless people have decided about it there since."""
    decision = ReviewDecision.of_payload(payload_of(entry))
    point = decision.point["id"] if decision.point is not None else payload_of(entry)[ITEM]
    seen, _ = await read_item(other, point, with_vectors=True)
    if seen is None:
        await append_records(other, [entry])
        return 0
    if order_of(_history_of_deleted(entry), seen.history) not in ("same", "ahead"):
        conflicts[point] = ExchangeConflict(
            decision.id,
            None,
            seen.stored.label,
            "it was deleted here, and people decided about it there",
        )
        return 0
    try:
        await delete_item(other, await log_deletion(other, seen, decision, str(entry.id)))
    except DecisionConflictError as error:
        conflicts[point] = ExchangeConflict(decision.id, None, seen.stored.label, str(error))
        return 0
    return 1


async def _missing_entries(source: IndexState, destination: IndexState) -> list[models.Record]:
    """Entries of one log of decisions that the other lacks."""
    log = decision_log(source.collection)
    known = set(await entries_in(destination.engine, decision_log(destination.collection)))
    missing = [entry for entry in await entries_in(source.engine, log) if entry not in known]
    return [entry for page in pages(missing, _PAGE) for entry in await source.engine.retrieve(log, page, copies="most")]


def _without_items(entries: Sequence[models.Record], left: Mapping[PointId, object]) -> list[models.Record]:
    """Entries about other items: a log that tells of what was not carried out is in the way of undo."""
    names = {str(point) for point in left}
    return [entry for entry in entries if payload_of(entry)[ITEM] not in names]


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

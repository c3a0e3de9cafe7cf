"""Adding items: unchanged items are left alone, the others are encoded while the batch before them is written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np
from qdrant_client import models

from fg_search.edge.garbage import no_collections
from fg_search.engine.paging import pages
from fg_search.engine.port import Background, PointId
from fg_search.errors import UnsupportedError
from fg_search.ids import UserId
from fg_search.index.following import on_current_collection
from fg_search.index.state import GivenEmbeddings, IndexState, check_kind
from fg_search.index.unchanged import TOUCHED, UNTOUCHED
from fg_search.index.writes import acknowledge
from fg_search.layout.conditions import has_ids
from fg_search.layout.history import History
from fg_search.layout.item_input import checked_items
from fg_search.layout.items import Item, StoredItem
from fg_search.layout.keys import STORED_KEYS
from fg_search.layout.points import features_of, id_of, to_points, with_review_state
from fg_search.layout.schema import IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.reading import ReadingNotes
from fg_search.validation import check_brought, check_list

ITEMS_PER_WRITE = 1024

_LITTLE_TIME = 3.0  # seconds of encoding
_MOST_AT_ONCE = 8192  # items


@dataclass(frozen=True)
class AddReport:
    """Report of adding items.

    Attributes:
        written: Number of items that were new or had changed.
        unchanged: Number of items that were in the index already, or came twice.
        cut: Number of written items whose text is longer than what the model reads.
        unread: Number of written items whose text holds tokens that the model does not know.
    """

    written: int
    unchanged: int
    cut: int = 0
    unread: int = 0

    def __str__(self) -> str:
        return f"{self.written:,} items written, {self.unchanged:,} unchanged"


def given_items(
    state: IndexState,
    texts: Iterable[str] | None,
    ids: Iterable[UserId] | None,
    vectors: object,
    embeddings: FeatureEmbeddings | None,
) -> tuple[Iterable[str], Iterable[UserId] | None, GivenEmbeddings]:
    """Texts and ids of items with what is known of their embeddings. Where vectors have no texts, ids are shown.

    Raises:
        ValueError: If both are given, or neither texts nor vectors, or vectors without texts and ids; or a vector is
            not finite, or zero, or of another dimension.
    """
    if vectors is None:
        if texts is None:
            raise ValueError("there is nothing to add; give texts, or vectors=… and ids=…")
        if embeddings is not None:
            check_kind(embeddings)
        return texts, ids, embeddings
    if embeddings is not None:
        raise ValueError("vectors and embeddings are two ways to say the same; give one of them")
    base = check_brought(vectors, dimension=state.metadata.dimension)
    if texts is not None:
        return texts, ids, base
    if ids is None:
        raise ValueError("vectors alone do not say what they are of; give texts, or ids=…")
    check_list(ids, "ids", ordered=True)
    ids = list(ids)
    return [str(user_id) for user_id in ids], ids, base


async def checked(
    state: IndexState,
    texts: Iterable[str],
    ids: Iterable[UserId] | None,
    labels: Iterable[str | None] | None,
    payloads: Iterable[Mapping[str, Any] | None] | None,
    embeddings: GivenEmbeddings,
) -> Iterable[Item]:
    """Items to add. Lists are checked as a whole, generators one item after the other.

    Raises:
        UnsupportedError: If the index is an adopted collection.
    """
    check_own_collection(state)

    def check() -> Iterable[Item]:
        if embeddings is not None:
            if not isinstance(texts, Sized):
                kind = "embeddings" if isinstance(embeddings, FeatureEmbeddings) else "vectors"
                raise TypeError(f"{kind} need a list of texts, not a generator: texts=list(…)")
            if isinstance(embeddings, FeatureEmbeddings):
                state.check_embeddings(embeddings, len(texts))
            else:
                check_brought(embeddings, dimension=state.metadata.dimension, count=len(texts))
                state.warn_of_foreign(embeddings, "document")
        items = checked_items(
            texts,
            ids,
            labels,
            payloads,
            base=embeddings.base if isinstance(embeddings, FeatureEmbeddings) else embeddings,
            tenant_key=state.metadata.settings.tenant_key,
            tenant=state.tenant,
        )
        if not isinstance(texts, Sized):
            return items
        with no_collections():
            return list(items)

    return await state.engine.work(check)


async def add(
    state: IndexState,
    items: Iterable[Item],
    embeddings: GivenEmbeddings,
    *,
    batch_size: int | None,
    progress: Callable[[int], object],
    copied: bool = False,
    parallel: int | None = None,
) -> AddReport:
    """Write the items that are new or have changed.

    While items are encoded, those before them are written. Writes are acknowledged in the order in which they began.
    So whatever fails, everything but the last ``parallel`` writes is in the index, and no item is half written. If the
    index moves to another encoder meanwhile, what was not acknowledged is encoded by that one.

    Args:
        state: The index.
        items: Items, which are read, compared, encoded and written in batches.
        embeddings: Embeddings of the items, or their base embeddings, one row each. By default the texts are encoded.
        batch_size: Number of texts the base model encodes at once.
        progress: Called with the number of items done since its last call. An item that is encoded counts when it is,
            so that a slow encoder is seen to go on; any other one when it is acknowledged.
        copied: The items come from another collection and are written exactly as they are there, with corrections,
            decisions and scores. Nobody else works on a collection that is being filled.
        parallel: Number of writes at once. By default two to a server, which works while the next is made ready.
    """
    if not copied:
        check_own_collection(state)
    writes = (2 if state.engine.is_shared else 1) if parallel is None else parallel
    addition = _Addition(enumerate(items), embeddings, batch_size, progress, copied, writes)

    async def run(state: IndexState) -> AddReport:
        await addition.run(state)
        return addition.report()

    return await run(state) if copied else await on_current_collection(state, run)


def check_own_collection(state: IndexState) -> None:
    """Refuse to add items to a collection that others fill.

    Raises:
        UnsupportedError: If the index is an adopted collection.
    """
    if state.metadata.source is not None:
        raise UnsupportedError(
            f"{state.name} is an adopted collection, whose points are its owner's to write: write them with your own "
            "client, as before, and call index.sync() or `fg-search sync`"
        )


class _Addition:
    """An addition that may have to be begun again in another collection, with what was not acknowledged."""

    def __init__(
        self,
        items: Iterator[_Numbered],
        embeddings: GivenEmbeddings,
        batch_size: int | None,
        progress: Callable[[int], object],
        copied: bool,
        parallel: int,
    ) -> None:
        self.written = 0
        self.unchanged = 0
        self._items = items
        self._embeddings = embeddings
        self._made_for: IndexMetadata | None = None  # whose encoder made the embeddings
        self._batch_size = batch_size
        self._progress = progress
        self._copied = copied
        self._parallel = parallel
        self._pace = _Pace()
        self._notes = ReadingNotes()
        self._ahead = 0  # items that were told of when they were encoded, and are not acknowledged yet
        self._encoded_before = 0  # of those, the ones that another collection takes, for which they are encoded again
        self._waiting: dict[PointId, _Numbered] = {}  # items to compare or to write
        self._same: dict[PointId, _Numbered] = {}  # items that have not changed, as it seems
        self._underway: deque[_Underway] = deque()  # writes, in the order in which they began

    async def run(self, state: IndexState) -> None:
        """Add what was not acknowledged yet."""
        await self._fit_embeddings(state)
        begun = [numbered for write in self._underway for numbered in (*write.items.values(), *write.same.values())]
        self._items = chain(begun, self._same.values(), self._waiting.values(), self._items)
        self._underway, self._same, self._waiting = deque(), {}, {}
        self._encoded_before = self._ahead
        async with state.engine.background() as writing:
            while batch := list(islice(self._items, self._pace.items)):
                await self._add_batch(state, batch, writing)
            while self._underway:
                await self._finish(writing)
            if self._same:
                if not self._copied:
                    await acknowledge(state, [])
                self._count(unchanged=len(self._same))
                self._same = {}

    def report(self) -> AddReport:
        """Report of what was added, with a warning if the model reads only a part of it."""
        if not self._copied:
            self._notes.warn(what="items")
        return AddReport(self.written, self.unchanged, self._notes.cut, self._notes.unread)

    async def _fit_embeddings(self, state: IndexState) -> None:
        """Take the features of the index's encoder, which may have got another head since the embeddings were checked.

        Raises:
            ModelMismatchError: If it has another base model, so that the texts must be encoded anew.
        """
        before, self._made_for = self._made_for or state.metadata, state.metadata
        if self._embeddings is None or before.fingerprint == state.metadata.fingerprint:
            return
        if before.base != state.metadata.base:
            raise replace(state, metadata=before).was_re_encoded()
        if isinstance(self._embeddings, FeatureEmbeddings):
            base = self._embeddings.base
            self._embeddings = await state.engine.work(lambda: state.encoder.features(base))

    async def _add_batch(self, state: IndexState, batch: Sequence[_Numbered], writing: Background) -> None:
        for numbered in batch:  # of items that come twice, the first counts
            point = numbered[1].point_id
            if any(point in known for known in self._known()):
                self._count(unchanged=1)
            else:
                self._waiting[point] = numbered
        changes = await _changed(state, [item for _, item in self._waiting.values()], copied=self._copied)
        for point in [point for point in self._waiting if point not in changes]:
            self._same[point] = self._waiting.pop(point)
        chosen = list(changes.values())
        if not chosen:
            return
        rows = await self._rows(state, [(self._waiting[change.item.point_id][0], change.item) for change in chosen])
        if rows.reading is not None:
            items = [change.item for change in chosen]
            self._notes.add(rows.reading, [item.text for item in items], lambda row: repr(items[row].id))
        for first in range(0, len(chosen), ITEMS_PER_WRITE):
            part = chosen[first : first + ITEMS_PER_WRITE]
            if len(self._underway) >= self._parallel:
                await self._finish(writing)
            begun = {change.item.point_id: self._waiting.pop(change.item.point_id) for change in part}
            self._underway.append(_Underway(begun, self._same))
            self._same = {}
            write = _write(state, part, rows[first : first + ITEMS_PER_WRITE], copied=self._copied)
            if self._embeddings is not None and state.engine.is_embedded:
                # there is nothing to do meanwhile: the engine runs in this process and holds its lock
                await write
                self._acknowledged()
            else:
                writing.start(write)

    def _known(self) -> Iterator[Mapping[PointId, _Numbered]]:
        """Items that were read and not counted yet, by the engine's ids."""
        yield self._waiting
        yield self._same
        for write in self._underway:
            yield write.items
            yield write.same

    async def _rows(self, state: IndexState, numbered: Sequence[_Numbered]) -> FeatureEmbeddings:
        if self._embeddings is not None:
            chosen = self._embeddings[np.array([row for row, _ in numbered], dtype=np.int64)]
            if isinstance(chosen, FeatureEmbeddings):
                return chosen
            return await state.engine.work(partial(state.features, chosen, "document"))
        encode = partial(
            state.encode, [item.text for _, item in numbered], self._batch_size, "document", progress=self._encoded
        )
        return await state.engine.work(partial(self._pace.measure, encode))

    async def _finish(self, writing: Background) -> None:
        """Wait for the write that began first."""
        await writing.finish()
        self._acknowledged()

    def _acknowledged(self) -> None:
        write = self._underway.popleft()
        self._count(written=len(write.items), unchanged=len(write.same))

    def _count(self, *, written: int = 0, unchanged: int = 0) -> None:
        self.written += written
        self.unchanged += unchanged
        told = min(self._ahead, written)
        self._ahead -= told
        self._progress(written + unchanged - told)

    def _encoded(self, count: int) -> None:
        again = min(self._encoded_before, count)
        self._encoded_before -= again
        self._ahead += count - again
        self._progress(count - again)


@dataclass(frozen=True)
class _Change:
    """An item to write.

    Attributes:
        item: Item with what people and scoring know of it.
        given: Item as the user gave it.
        seen: What the index had of it, ``None`` if it is new.
    """

    item: Item
    given: Item
    seen: StoredItem | None


_Numbered: TypeAlias = tuple[int, Item]  # row of the embeddings


@dataclass(frozen=True)
class _Underway:
    """A write that has begun.

    Attributes:
        items: Items being written, by the engine's ids.
        same: Items that were compared before it and have not changed. They are acknowledged with it.
    """

    items: Mapping[PointId, _Numbered]
    same: Mapping[PointId, _Numbered]


_Writes: TypeAlias = dict[PointId, tuple[_Change, models.PointStruct]]


class _Pace:
    """Number of items read and encoded at once: larger batches need less padding, smaller ones lose less in a crash.

    Attributes:
        items: Current number of items.
    """

    def __init__(self) -> None:
        self.items = ITEMS_PER_WRITE

    def measure(self, encode: Callable[[], FeatureEmbeddings]) -> FeatureEmbeddings:
        """Encode, and take twice as many items the next time if this was quick."""
        begin = time.monotonic()
        encoded = encode()
        if time.monotonic() - begin < _LITTLE_TIME:
            self.items = min(2 * self.items, _MOST_AT_ONCE)
        return encoded


def _points(items: list[Item], embeddings: FeatureEmbeddings, metadata: IndexMetadata) -> list[models.PointStruct]:
    """Points of one write."""
    with no_collections():
        return list(to_points(items, embeddings, metadata))


async def _changed(state: IndexState, batch: Sequence[Item], *, copied: bool) -> dict[PointId, _Change]:
    """Items to write, by the engine's ids."""
    stored: dict[PointId, models.Record] = {}
    wanted = True if copied else STORED_KEYS
    for page in pages([item.point_id for item in batch], ITEMS_PER_WRITE):
        records = await state.engine.retrieve(
            state.points, page, with_payload=wanted, copies="active", tenant=state.chosen_tenant
        )
        stored |= {id_of(record): record for record in records}
    changed: dict[PointId, _Change] = {}
    for item in batch:
        record = stored.get(item.point_id)
        needed = _Change(item, item, None) if record is None else _needed(state, record, item, copied=copied)
        if needed is not None:
            changed[item.point_id] = needed
    return changed


def _needed(state: IndexState, record: models.Record, given: Item, *, copied: bool) -> _Change | None:
    """Item to write in place of a stored one, ``None`` if nothing has changed."""
    seen = StoredItem.of_features(features_of(record))
    if copied:
        return None if Item.of_record(record).is_copy_of(given) else _Change(given, given, seen)
    return None if seen.has(given, state.metadata.fingerprint) else _Change(seen.update(given), given, seen)


async def _write(state: IndexState, changes: Sequence[_Change], embeddings: FeatureEmbeddings, *, copied: bool) -> None:
    """Write items, none of them over what people have done to it since it was read."""
    engine, collection = state.engine, state.points
    items = [change.item for change in changes]
    points = await engine.work(partial(_points, items, embeddings, state.metadata))
    if copied:
        await engine.upsert(collection, points)
        return
    new: _Writes = {}
    waiting: _Writes = {}
    for change, point in zip(changes, points, strict=True):
        (new if change.seen is None else waiting)[change.item.point_id] = (change, point)
    if new:
        await engine.upsert(collection, [point for _, point in new.values()], update_filter=UNTOUCHED, copies="active")
        touched = state.scope_of_all(has_ids(list(new)), TOUCHED)
        if await engine.count(
            collection, touched, copies="active"
        ):  # added and worked on by somebody else in this very moment
            waiting |= new
    while waiting:
        await engine.batch_update_points(collection, _replacements(waiting.values()), copies="active")
        waiting = await _refused(state, waiting)
    await acknowledge(state, [change.item.point_id for change in changes])


def _replacements(replaced: Iterable[tuple[_Change, models.PointStruct]]) -> list[models.UpdateOperation]:
    """Writes of points whose items are as they were seen; items of the same version share one."""
    alike: dict[tuple[bool, int], tuple[models.Filter, list[models.PointStruct]]] = {}
    for change, point in replaced:
        seen = History() if change.seen is None else change.seen.history
        condition = models.Filter(must=[seen.unchanged])
        alike.setdefault((change.seen is None, seen.version), (condition, []))[1].append(point)
    return [
        models.UpsertOperation(
            upsert=models.PointsList.model_construct(
                points=points,
                update_filter=condition,
                # an item that was deleted meanwhile does not come back with what people had decided about it
                update_mode=None if is_new else models.UpdateMode.UPDATE_ONLY,
            )
        )
        for (is_new, _), (condition, points) in alike.items()
    ]


async def _refused(state: IndexState, waiting: _Writes) -> _Writes:
    """Points that were not written since people have changed their items, merged with what they did.

    An item that was deleted meanwhile is a new one.
    """
    refused: _Writes = {}
    gone = dict(waiting)
    for record in await state.engine.retrieve(state.points, list(waiting), with_payload=STORED_KEYS, copies="active"):
        change, point = gone.pop(id_of(record))
        found = StoredItem.of_features(features_of(record))
        is_done = found.has(change.given, state.metadata.fingerprint)
        if is_done or (change.seen is not None and found.history.version == change.seen.history.version):
            continue
        merged = found.update(change.given)
        refused[merged.point_id] = (_Change(merged, change.given, found), with_review_state(point, merged))
    for point_id, (change, point) in gone.items():
        given = change.given
        refused[point_id] = (_Change(given, given, None), with_review_state(point, given))
    return refused

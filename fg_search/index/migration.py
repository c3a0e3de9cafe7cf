"""Migration of an index to another encoder: everything is re-encoded while the index goes on answering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qdrant_client import models

from fg_search.engine.answers import is_not_found
from fg_search.engine.paging import scanning
from fg_search.engine.port import PointId
from fg_search.errors import StorageError
from fg_search.index.adoption.renewing import renew
from fg_search.index.calibration import Calibration
from fg_search.index.collections import make_without_vectors
from fg_search.index.copies import OURS, remove_extra
from fg_search.index.crew import AsBefore, Crew, Done, Job
from fg_search.index.encoders import EncoderSlot, metadata_of
from fg_search.index.following import followed
from fg_search.index.ingestion import ITEMS_PER_WRITE, add
from fg_search.index.leftovers import abandoned_targets, remove, remove_leftovers, remove_retired
from fg_search.index.opening import check_can_move
from fg_search.index.quality_history import kept_in
from fg_search.index.rights import IndexMovedError, Right, make_target, right_to_switch
from fg_search.index.scores import index_scores
from fg_search.index.set_aside import is_doubtful
from fg_search.index.state import IndexState, OpenIndex
from fg_search.layout.items import Item
from fg_search.layout.keys import BASE_VECTOR
from fg_search.layout.operations import CHANGED_POINT
from fg_search.layout.points import features_of, id_of, payload_of, vectors_of
from fg_search.layout.schema import SCHEMA_VERSION, IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.progress import unwatched
from fg_search.model.reading import Reading

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_MAX_PASSES = 3  # over all points
_MAX_ROUNDS = 10  # of catching up before the old collection is sealed
_FEW = 100  # points; as many are copied in no time


class RightLostError(Exception):
    """Somebody took the right to switch away from this operation. Never seen by users."""


async def migrate(
    state: IndexState,
    encoder: FeatureGroupEncoder,
    *,
    batch_size: int | None,
    progress: Callable[[int], object],
    set_aside: float | AsBefore | None = "as before",
    take_over: bool = False,
    crew: Crew | None = None,
) -> IndexState:
    """Fill a collection beside the old one, switch the alias to it, and remove the old one.

    What is added, changed or deleted meanwhile is caught up with before the switch. An interrupted migration leaves the
    old collection in place; the next one takes what was encoded already from what it left.

    Scores for reviewing depend on base embeddings and labels, not on the head. They are carried over to an encoder of
    the same base model, and left behind otherwise.

    Args:
        state: The index. Its handles learn of the new state.
        encoder: New encoder.
        batch_size: Number of texts the base model encodes at once.
        progress: Called with the number of items done since its last call.
        set_aside: Set aside undecided items whose label is wrong with at least this probability, ``None`` for no item.
            By default the items that were set aside stay so.
        take_over: Do not wait for another operation that is moving the index; it cannot switch any more then.
        crew: Those who encode and write. By default it is done here.

    Returns:
        State of the new index. It has no calibration, unless only the layout of an earlier release was renewed.

    Raises:
        StorageError: If the index's name is no alias, or another client has written points to the index.
    """
    state = await followed(state)
    if state.metadata.source is not None:
        return await renew(state, encoder, set_aside, progress, crew)
    await remove_retired(state.engine, state.collection)
    while (
        not encoder.has_fingerprint(state.metadata.fingerprint)
        or state.metadata.schema != SCHEMA_VERSION
        or _sets_aside_otherwise(state, set_aside)
    ):
        check_can_move(state)
        kept = state.metadata.set_aside if set_aside == "as before" else set_aside
        metadata = replace(metadata_of(encoder), settings=state.metadata.settings, set_aside=kept)
        try:
            async with right_to_switch(
                state.engine,
                state.collection,
                "migrate",
                state.points,
                partial(_make_targets, metadata=metadata),
                take_over=take_over,
            ) as right:
                await remove_retired(state.engine, state.collection)
                migration = _Migration(state, right, metadata, encoder, batch_size, set_aside, crew)
                state = await migration.run(progress)
        except (IndexMovedError, RightLostError):
            state = await followed(state)
        except Exception as error:  # whoever has taken over may have removed what this one worked on
            if not is_not_found(error):
                raise
            state = await followed(state)
        progress = unwatched
        take_over = False  # whoever comes now was not there when the user said so
    state = replace(state, encoders=EncoderSlot(encoder))
    state.handle.moved(state)
    return state


def _sets_aside_otherwise(state: IndexState, set_aside: float | AsBefore | None) -> bool:
    return set_aside != "as before" and set_aside != state.metadata.set_aside


async def _make_targets(right: Right, metadata: IndexMetadata) -> None:
    await make_target(right, metadata)
    await make_without_vectors(right.engine, right.changes, metadata.settings)


class _Migration:
    """One attempt to move an index to the target of a right."""

    def __init__(
        self,
        state: IndexState,
        right: Right,
        metadata: IndexMetadata,
        encoder: FeatureGroupEncoder,
        batch_size: int | None,
        set_aside: float | AsBefore | None,
        crew: Crew | None,
    ) -> None:
        self.state = state
        self.crew = crew
        self.engine = state.engine
        self.right = right
        self.batch_size = batch_size
        self.is_same_base = encoder.has_base_fingerprint(state.metadata.base)
        # stored embeddings of the same base model are as good as new ones, unless they were rounded
        self.keep_base = self.is_same_base and metadata.settings.base_vectors == "float32"
        self.finds_the_same = (
            encoder.has_fingerprint(state.metadata.fingerprint) and metadata.set_aside == state.metadata.set_aside
        )
        self.old, self.new = state.points, right.target
        self.filled = replace(
            state,
            collection=self.new,
            points=self.new,
            metadata=metadata,
            encoders=EncoderSlot(encoder),
            calibration=None,
            handle=OpenIndex(),
        )
        self.set_aside = set_aside
        self.item_of = partial(_item, set_aside=set_aside, keep_review=self.is_same_base)

    async def run(self, progress: Callable[[int], object]) -> IndexState:
        """Fill the target and switch to it.

        Raises:
            RightLostError: If somebody took the right away.
        """
        await self._take_what_was_encoded()
        for _ in range(_MAX_PASSES):  # other clients may write, too, and leave no marker
            if not await self._copy_all(progress):
                break
            progress = unwatched
        for _ in range(_MAX_ROUNDS):
            if await self._catch_up() < _FEW:
                break
        await self._compare()
        if not await self.right.seal():
            raise RightLostError
        while await self._catch_up():
            pass
        await self._compare()  # reads two numbers, unless something else than fg_search has written
        calibration = await self._take_notes()
        await self.right.complete()
        moved = replace(
            self.filled,
            collection=self.state.collection,
            points=self.new,
            handle=self.state.handle,
            calibration=calibration,
        )
        moved.handle.announce(moved)
        if not await self.right.switch():
            raise RightLostError
        moved.handle.moved(moved)
        await self.engine.delete_collection(self.right.changes)
        await remove_leftovers(self.engine, self.state.collection, self.right.never_named)
        return moved

    async def _take_what_was_encoded(self) -> None:
        """Take the points of abandoned targets that are made like this one. Those that are out of date are compared."""
        for target in await abandoned_targets(self.engine, self.state.collection, self.old):
            if target.metadata == self.filled.metadata:
                reading = scanning(
                    self.engine, target.name, page_size=ITEMS_PER_WRITE, with_vectors=True, copies="most"
                )
                async with reading as found:
                    async for records in found:
                        if records:
                            await self.engine.upsert(self.new, [_point(record) for record in records])
                        await self.right.beat()
            await remove(self.engine, target.name)

    async def _copy_all(self, progress: Callable[[int], object]) -> int:
        """Bring the target up to date with the old collection, and return how many points were not."""
        if self.crew is not None:
            return await self._have_copied(self.crew, progress)
        written = 0
        wanted = [BASE_VECTOR] if self.keep_base else False
        reading = scanning(
            self.engine, self.old, page_size=ITEMS_PER_WRITE, scroll_filter=OURS, with_vectors=wanted, copies="most"
        )
        async with reading as found:
            async for records in found:
                written += await self._copy(records, progress)
                await self.right.beat()
        return written + await remove_extra(self.engine, self.old, self.engine, self.new)

    async def _have_copied(self, crew: Crew, progress: Callable[[int], object]) -> int:
        job = Job(
            "copy",
            self.state.collection,
            self.new,
            self.filled.metadata,
            copied=self.old,
            keeps_base=self.keep_base,
            keeps_review=self.is_same_base,
            set_aside=self.set_aside,
        )
        written = 0
        for done in crew.run(job):
            progress(done.points)
            written += done.written
            await self.right.beat()
        return written + await remove_extra(self.engine, self.old, self.engine, self.new)

    async def _copy(self, records: list[models.Record], progress: Callable[[int], object]) -> int:
        items = [self.item_of(record) for record in records]
        how: dict[str, Any] = {"keep_base": self.keep_base, "batch_size": self.batch_size, "progress": progress}
        return await _copy(self.filled, records, items, **how)

    async def _catch_up(self) -> int:
        """Copy points that were written since they were copied, and return the number of markers that said so.

        A marker is removed before its point is read, so that whatever is written after that has another marker.
        """
        markers, _ = await self.engine.scroll(self.right.changes, limit=ITEMS_PER_WRITE, copies="most")
        if not markers:
            return 0
        await self.engine.delete(self.right.changes, [id_of(marker) for marker in markers])
        changed = dict.fromkeys(payload_of(marker).get(CHANGED_POINT) for marker in markers)
        if None in changed:
            await self._copy_all(unwatched)
        points: list[PointId] = [point for point in changed if point is not None]
        if points:
            wanted = [BASE_VECTOR] if self.keep_base else False
            records = await self.engine.retrieve(self.old, points, with_vectors=wanted, copies="most")
            await self._copy(records, unwatched)
            gone = set(points) - {id_of(record) for record in records}
            if gone:
                await self.engine.delete(self.new, list(gone))
        return len(markers)

    async def _compare(self) -> None:
        """Compare the numbers of points, and everything if these differ.

        Raises:
            StorageError: If another client has written points, which would be lost.
        """
        if await self.engine.count(self.old, copies="most") == await self.engine.count(self.new, copies="most"):
            return
        foreign = await self.engine.count(self.old, models.Filter(must_not=[OURS]), copies="most")
        if foreign:
            raise StorageError(
                f"{self.state.name} has {foreign:,} points that another client has written, which would be lost; "
                "delete them, or move them to a collection of their own"
            )
        await self._copy_all(unwatched)

    async def _take_notes(self) -> Calibration | None:
        """Take what the old collection's metadata say and still holds: history, which scores there are, calibration."""
        metadata = (await self.engine.get_collection(self.old)).config.metadata or {}
        kept = kept_in(metadata)
        if self.is_same_base:
            kept |= await index_scores(self.engine, self.new, metadata)
        calibration = None
        if self.finds_the_same:
            calibration = Calibration.of_metadata(metadata, self.state.metadata.fingerprint)
        if calibration is not None:
            calibration = replace(calibration, fingerprint=self.filled.metadata.fingerprint)
            kept |= calibration.to_metadata()
        if kept:
            await self.engine.update_collection(self.new, metadata=kept)
        return calibration


async def copy_part(filled: IndexState, job: Job, part: models.Condition | None) -> Done:
    """Copy the items of a part that the target lacks or that differ there.

    Args:
        filled: The target, with its encoder.
        job: What is copied, and how.
        part: Condition on the points of the part, ``None`` for all points.
    """
    total = Done()
    how: dict[str, Any] = {"keep_base": job.keeps_base, "batch_size": None, "progress": unwatched}
    reading = scanning(
        filled.engine,
        job.copied,
        page_size=ITEMS_PER_WRITE,
        scroll_filter=OURS if part is None else models.Filter(must=[part, OURS]),
        with_vectors=[BASE_VECTOR] if job.keeps_base else False,
        copies="most",
    )
    async with reading as found:
        async for records in found:
            items = [_item(record, set_aside=job.set_aside, keep_review=job.keeps_review) for record in records]
            total += Done(points=len(records), written=await _copy(filled, records, items, **how))
    return total


async def _copy(
    filled: IndexState,
    records: list[models.Record],
    items: list[Item],
    *,
    keep_base: bool,
    batch_size: int | None,
    progress: Callable[[int], object],
) -> int:
    """Bring some points of the target up to date, and return how many were not."""
    if not records:
        return 0
    known = await filled.engine.work(partial(_features, filled, records)) if keep_base else None
    report = await add(filled, items, known, batch_size=batch_size, progress=progress, copied=True)
    return report.written


def _item(record: models.Record, *, set_aside: float | AsBefore | None, keep_review: bool) -> Item:
    item = Item.of_record(record)
    if not keep_review:
        item = replace(item, review=None)
    if set_aside == "as before":
        return item
    return replace(item, set_aside=set_aside is not None and is_doubtful(features_of(record), set_aside))


def _features(filled: IndexState, records: list[models.Record]) -> FeatureEmbeddings:
    base = np.array([vectors_of(record)[BASE_VECTOR] for record in records], dtype=np.float32)
    unread = np.array([features_of(record).get("unread", 0) for record in records], dtype=np.float32)
    cut = np.array([features_of(record).get("cut", False) for record in records], dtype=bool)
    reading = replace(Reading.unknown(len(records)), unread=unread, cut=cut)
    return replace(filled.encoder.features(base), reading=reading)


def _point(record: models.Record) -> models.PointStruct:
    return models.PointStruct(id=record.id, vector=vectors_of(record), payload=record.payload)

"""Features of points that others have written, brought up to date in slices.

Others may write at the same time. What a slice was computed from is read again once it is written, and what has changed
is computed again. The payload of a point says which vector its features are of, so that nothing stale goes unnoticed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.engine.paging import pages, scanning
from fg_search.engine.port import Engine, PointId
from fg_search.errors import UnsupportedError
from fg_search.index.adopted_engine import own_engine
from fg_search.index.crew import AsBefore, Crew, Done, Job
from fg_search.index.rights import IndexMovedError
from fg_search.index.set_aside import is_doubtful
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals, has_ids, is_empty
from fg_search.layout.history import NO_HISTORY, History
from fg_search.layout.items import Item, StoredItem
from fg_search.layout.keys import BASE_VECTOR, HISTORY_KEY, MODEL_KEY, PAYLOAD_KEY
from fg_search.layout.points import described_features, id_of, payload_of, review_state
from fg_search.layout.schema import IndexMetadata
from fg_search.layout.source import Source, is_same_text, is_same_vector
from fg_search.model.embeddings import FeatureEmbeddings

_POINTS_PER_WRITE = 256
_NUMBERS_PER_PAGE = 500_000  # of base vectors
_ATTEMPTS = 5  # at a slice that others change at the same time; what is left is found by the next sync

_FEATURE_KEYS = ("confidence", "familiarity", "codes", "model", "unread", "cut")

_LOG = logging.getLogger("fg_search.index")


@dataclass(frozen=True)
class SyncReport:
    """Report of bringing an adopted collection up to date.

    Attributes:
        points: Number of points that were looked at.
        written: Number of points that got features, or whose text or label had changed.
        skipped: Number of points that have no base vector, or whose payload key ``fg`` is somebody else's.
    """

    points: int
    written: int
    skipped: int

    def __str__(self) -> str:
        left = f", {self.skipped:,} left alone" if self.skipped else ""
        return f"{self.written:,} of {self.points:,} points brought up to date{left}"


async def sync(
    state: IndexState,
    progress: Callable[[int], object],
    *,
    set_aside: float | AsBefore | None = "as before",
    part: models.Condition | None = None,
) -> SyncReport:
    """Bring all points up to date: new ones, and those whose vector, text or label has changed.

    Args:
        state: The index.
        progress: Called with the number of points done since its last call.
        set_aside: Set aside undecided items whose label is wrong with at least this probability, ``None`` for no item.
            By default the items that were set aside stay so.
        part: Condition on the points. By default all are brought up to date.

    Raises:
        UnsupportedError: If the index is not an adopted collection.
    """
    run = _Sync(state, progress, set_aside, part)
    await run.write_missing(count_all=False)
    await run.compare_all()
    return run.report()


async def fill(
    state: IndexState, progress: Callable[[int], object], *, part: models.Condition | None = None
) -> SyncReport:
    """Give features to the points that have none, and are a part if one is given."""
    run = _Sync(state, progress, part=part)
    await run.write_missing(count_all=True)
    return run.report()


async def write_vectors(
    state: IndexState, progress: Callable[[int], object], *, part: models.Condition | None = None
) -> None:
    """Write the vectors of features alone, of a part if one is given, while the index still answers by another one."""
    run = _Sync(state, progress, part=part)
    await run.write_vectors()


def done_by(crew: Crew, job: Job, progress: Callable[[int], object]) -> SyncReport:
    """Have others do a job on an adopted collection, and report what they did.

    Args:
        crew: Those who do it.
        job: The job.
        progress: Called with the number of points done since its last call.
    """
    total = Done()
    for done in crew.run(job):
        progress(done.points)
        total += done
    return SyncReport(total.points, total.written, total.skipped)


async def count_unsynced(state: IndexState) -> int:
    """Number of points with a base vector that have no features of the index's encoder yet."""
    source = source_of(state)
    return await own_engine(state).count(state.points, models.Filter(must=[_with_base(source), _is_missing(state)]))


def source_of(state: IndexState) -> Source:
    """Where others have vector, text and label.

    Raises:
        UnsupportedError: If the index is not an adopted collection.
    """
    if state.metadata.source is None:
        raise UnsupportedError(
            f"{state.name} was not adopted: the index has made its collection itself; nothing has to be synced"
        )
    return state.metadata.source


def page_size(dimension: int) -> int:
    """Number of points that are read at once."""
    return max(64, min(1000, _NUMBERS_PER_PAGE // dimension))


class _Sync:
    def __init__(
        self,
        state: IndexState,
        progress: Callable[[int], object],
        set_aside: float | AsBefore | None = "as before",
        part: models.Condition | None = None,
    ) -> None:
        self._set_aside = set_aside
        self._part = part
        self._state = state
        self._source = source_of(state)
        self._engine: Engine = own_engine(state)
        self._progress = progress
        # qdrant-client's local mode looks at every point for a condition, however few ids it names
        self._is_conditional = self._engine.is_embedded or self._engine.is_shared
        self._seen = self._written = 0
        self._skipped: set[PointId] = set()
        self._foreign: set[PointId] = set()  # points whose payload key is somebody else's

    def report(self) -> SyncReport:
        if self._foreign:
            _LOG.warning(
                "points of %s with a payload key %r that is not the index's are left alone: %d, such as %r",
                self._state.name,
                PAYLOAD_KEY,
                len(self._foreign),
                min(self._foreign, key=str),
            )
        return SyncReport(self._seen, self._written, len(self._skipped))

    async def write_missing(self, *, count_all: bool) -> None:
        """Write the features of points that have none of the index's encoder."""
        await self._write(models.Filter(must=[_is_missing(self._state)]), is_missing=True, count=count_all)

    async def compare_all(self) -> None:
        """Compare all points with what their features were computed from."""
        await self._write(None, is_missing=False, count=True)

    async def write_vectors(self) -> None:
        """Write the vectors of features of all points, and nothing else."""
        async with self._reading(None) as found:
            async for records in found:
                for part in pages(records, _POINTS_PER_WRITE):
                    await self._write_vectors(part)
                    self._progress(len(part))

    async def _write(self, chosen: models.Filter | None, *, is_missing: bool, count: bool) -> None:
        async with self._reading(chosen) as found:
            async for records in found:
                await self._check_current()
                if count:
                    self._seen += len(records)
                for part in pages(records, _POINTS_PER_WRITE):
                    self._written += await self._bring_up_to_date(part, is_missing=is_missing)
                    if count:
                        self._progress(len(part))

    async def _write_vectors(self, records: Sequence[models.Record]) -> None:
        changes = [change for record in records if (change := self._change(record, is_missing=True)) is not None]
        if changes:
            operations = await self._engine.work(partial(self._vector_updates, changes, {}))
            await self._is_written(operations, [change.item.point_id for change in changes])

    def _reading(self, chosen: models.Filter | None) -> AbstractAsyncContextManager[AsyncIterator[list[models.Record]]]:
        if self._part is not None:
            chosen = models.Filter(must=[self._part, *([] if chosen is None else [chosen])])
        return scanning(
            self._engine,
            self._state.points,
            page_size=page_size(self._state.metadata.dimension),
            scroll_filter=chosen,
            with_payload=self._keys,
            with_vectors=[self._source.vector],
            copies="active",
        )

    async def _check_current(self) -> None:
        """Stop if somebody has given the index another encoder, whose features must not be replaced.

        Raises:
            IndexMovedError: If so.
        """
        info = await self._engine.get_collection(self._state.points)
        if IndexMetadata.of_collection(self._state.collection, info).fingerprint != self._state.metadata.fingerprint:
            raise IndexMovedError

    @property
    def _keys(self) -> list[str]:
        return [PAYLOAD_KEY, *self._source.top_keys(self._source.keys)]

    async def _bring_up_to_date(self, records: Sequence[models.Record], *, is_missing: bool) -> int:
        """Write what has changed, until it has not changed meanwhile. Return the number of points written."""
        written = set(await self._forget_features(records))
        for _ in range(_ATTEMPTS):
            changes = [
                change for record in records if (change := self._change(record, is_missing=is_missing)) is not None
            ]
            if not changes:
                break
            operations = await self._engine.work(partial(self._operations, changes))
            ids = [change.item.point_id for change in changes]
            if await self._is_written(operations, ids):
                written |= set(ids)
                is_missing = False
            records = await self._engine.retrieve(
                self._state.points,
                ids,
                with_payload=self._keys,
                with_vectors=[self._source.vector],
                copies="active",
            )
        return len(written)

    async def _forget_features(self, records: Sequence[models.Record]) -> list[PointId]:
        """Remove the features of points that have lost their base vector since. Return their ids."""
        ids = [id_of(record) for record in records if self._has_lost_its_vector(record)]
        if ids:
            vectors = models.DeleteVectors(points=[*ids], vector=[self._source.features])
            payload = models.DeletePayload(points=[*ids], keys=[PAYLOAD_KEY])
            operations: list[models.UpdateOperation] = [
                models.DeleteVectorsOperation(delete_vectors=vectors),
                models.DeletePayloadOperation(delete_payload=payload),
            ]
            await self._is_written(operations, ids)
        return ids

    def _has_lost_its_vector(self, record: models.Record) -> bool:
        own = payload_of(record).get(PAYLOAD_KEY)
        has_base = BASE_VECTOR in (self._source.vectors_of(record) or {})
        return not has_base and isinstance(own, dict) and "model" in own

    async def _is_written(self, operations: Sequence[models.UpdateOperation], ids: Sequence[PointId]) -> bool:
        """Write, unless a point was deleted meanwhile, which an engine may refuse."""
        try:
            await self._engine.batch_update_points(self._state.points, operations, copies="active")
        except Exception:
            there = await self._engine.retrieve(self._state.points, ids, with_payload=False, copies="active")
            if len(there) == len(ids):
                raise
            return False
        return True

    def _change(self, record: models.Record, *, is_missing: bool) -> _Change | None:
        """What to write to a point, ``None`` for nothing."""
        payload = payload_of(record)
        own = payload.get(PAYLOAD_KEY, {})
        vectors = self._source.vectors_of(record) or {}
        if BASE_VECTOR not in vectors or not isinstance(own, dict):
            self._skip(id_of(record), own)
            return None
        vector = np.asarray(vectors[BASE_VECTOR], dtype=np.float32)
        text, label = self._source.text_of(payload), self._source.label_of(payload)
        item = Item(id_of(record), id_of(record), text, label, {}, self._source.digest_of(vector, text))
        if not own:
            return _Change(item, vector, own, NO_HISTORY, is_new_vector=True)
        known = own if "model" in own or "given_label" in own or "label" in own else {**own, "label": label}
        seen = StoredItem.of_features({"hash": "", **known})
        is_new_vector = (
            is_missing or seen.model != self._state.metadata.fingerprint or not is_same_vector(seen.digest, item.digest)
        )
        is_text = not seen.digest or is_same_text(seen.digest, item.digest)
        merged = replace(seen, text=text if is_text else None).update(item)
        if self._set_aside != "as before":
            merged = replace(merged, set_aside=self._set_aside is not None and is_doubtful(own, self._set_aside))
        is_same = seen.digest == item.digest and seen.given_label == label and seen.set_aside == merged.set_aside
        if is_same and not is_new_vector:
            return None
        return _Change(merged, vector, own, seen.history, is_new_vector=is_new_vector)

    def _skip(self, point: PointId, own: object) -> None:
        if not isinstance(own, dict):
            self._foreign.add(point)
        self._skipped.add(point)

    def _operations(self, changes: Sequence[_Change]) -> list[models.UpdateOperation]:
        described: dict[PointId, dict[str, Any]] = {}
        operations = self._vector_updates([change for change in changes if change.is_new_vector], described)
        # the payload last: a point that has it has its features
        operations += [self._setting(change, described.get(change.item.point_id)) for change in changes]
        return operations

    def _vector_updates(
        self, renewed: Sequence[_Change], described: dict[PointId, dict[str, Any]]
    ) -> list[models.UpdateOperation]:
        """Writes of vectors of features. What payloads say of them is put into ``described``."""
        operations: list[models.UpdateOperation] = []
        if renewed:
            embeddings = self._features(np.array([change.vector for change in renewed], dtype=np.float32))
            vectors = []
            for change, (vector, features) in zip(
                renewed, described_features(embeddings, self._state.metadata), strict=True
            ):
                point = change.item.point_id
                described[point] = features
                vectors.append(models.PointVectors.model_construct(id=point, vector={self._source.features: vector}))
            update = models.UpdateVectors.model_construct(points=vectors)
            operations.append(models.UpdateVectorsOperation.model_construct(update_vectors=update))
        return operations

    def _features(self, base: npt.NDArray[np.float32]) -> FeatureEmbeddings:
        return self._state.encoder.features(base)

    def _setting(self, change: _Change, described: dict[str, Any] | None) -> models.UpdateOperation:
        own = change.own
        kept = {key: own[key] for key in _FEATURE_KEYS if key in own} if described is None else described
        wanted = {**kept, "hash": change.item.digest, **review_state(change.item)}
        if change.item.history == change.seen:
            wanted.pop(HISTORY_KEY, None)
        values = {key: value for key, value in wanted.items() if own.get(key) != value}
        values |= {key: None for key in own if key not in wanted and key != HISTORY_KEY}
        point = change.item.point_id
        if self._is_conditional or change.seen.version:
            unchanged = models.Filter(must=[has_ids([point]), change.seen.unchanged])
            setting = models.SetPayload(payload=values, key=PAYLOAD_KEY, filter=unchanged)
        else:
            setting = models.SetPayload(payload=values, key=PAYLOAD_KEY, points=[point])
        return models.SetPayloadOperation(set_payload=setting)


@dataclass(frozen=True)
class _Change:
    """A point to write.

    Attributes:
        item: The item with what people and scoring know of it.
        vector: Base vector.
        own: Our part of the payload as it was read.
        seen: Changes by people as they were read.
        is_new_vector: Whether the features have to be computed.
    """

    item: Item
    vector: npt.NDArray[np.float32]
    own: dict[str, Any]
    seen: History
    is_new_vector: bool


def _with_base(source: Source) -> models.Condition:
    return models.HasVectorCondition(has_vector=source.vector)


def _is_missing(state: IndexState) -> models.Filter:
    source = source_of(state)
    return models.Filter(
        should=[
            is_empty(MODEL_KEY),
            models.Filter(must_not=[models.HasVectorCondition(has_vector=source.features)]),
            models.Filter(must_not=[equals(MODEL_KEY, state.metadata.fingerprint)]),
        ]
    )

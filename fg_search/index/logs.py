"""Logs beside an index: collections whose points are entries, with a payload and no vectors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from qdrant_client import models

from fg_search.engine.answers import is_not_found
from fg_search.engine.paging import IDS_PER_REQUEST, pages, scroll_pages
from fg_search.engine.port import Engine, PayloadIndexes, PointId
from fg_search.errors import ServerError
from fg_search.index.collections import find_collection, index_payload, make_without_vectors
from fg_search.index.state import IndexState
from fg_search.layout.points import id_of
from fg_search.layout.settings import IndexSettings

T = TypeVar("T")

_LOG = logging.getLogger("fg_search.index")


async def make_log(engine: Engine, name: str, indexes: PayloadIndexes, settings: IndexSettings) -> None:
    """Make a log, and its missing indexes: whoever made it may have been interrupted."""
    info = await find_collection(engine, name)
    if info is None:
        await make_without_vectors(engine, name, settings)
    await index_payload(engine, name, indexes, known=() if info is None else info.payload_schema)


async def raise_copies(engine: Engine, names: Sequence[str], settings: IndexSettings) -> None:
    """Give logs that were made with fewer copies as many as the index has."""
    wanted = settings.replicas or 1
    for name in names if wanted > 1 else ():
        info = await find_collection(engine, name)
        there = wanted if info is None else info.config.params.replication_factor or 1
        if there >= wanted:
            continue
        try:
            await engine.raise_copies(name, wanted, settings.write_consistency)
        except ServerError as error:
            _LOG.warning("the log %s has fewer copies than the index, and gets no more: %s", name, error)


async def entries_in(engine: Engine, name: str) -> list[PointId]:
    """Engine's ids of all entries of a log, none if there is no log."""
    if (await find_collection(engine, name)) is None:
        return []
    found = scroll_pages(engine, name, page_size=IDS_PER_REQUEST, with_payload=False)
    return [id_of(entry) async for page in found for entry in page]


async def remove_entries(engine: Engine, name: str, entries: Sequence[PointId]) -> None:
    """Remove entries from a log, which may be gone."""
    try:
        for page in pages(entries):
            await engine.delete(name, page)
    except Exception as error:
        if not is_not_found(error):
            raise


async def has_log(state: IndexState, name: str, indexes: PayloadIndexes) -> bool:
    """Whether there is a log. One without its indexes, which an interrupted call has left, gets them first."""
    if name in state.handle.whole_logs:
        return True
    info = await find_collection(state.engine, name)
    if info is None:
        return False
    await index_payload(state.engine, name, indexes, known=info.payload_schema)
    state.handle.whole_logs.add(name)
    return True


async def need_log(state: IndexState, name: str, indexes: PayloadIndexes) -> None:
    """Make a log unless it is there."""
    if not await has_log(state, name, indexes):
        await make_log(state.engine, name, indexes, state.metadata.settings)
        state.handle.whole_logs.add(name)


async def in_log(
    state: IndexState, name: str, indexes: PayloadIndexes, read: Callable[[], Awaitable[T]], otherwise: T
) -> T:
    """Read a log. Without one, or if it is removed in this very moment, the result is ``otherwise``."""
    if not await has_log(state, name, indexes):
        return otherwise
    try:
        return await read()
    except Exception as error:
        if not is_not_found(error):
            raise
        state.handle.whole_logs.discard(name)
        return otherwise


async def to_log(state: IndexState, name: str, indexes: PayloadIndexes, write: Callable[[], Awaitable[None]]) -> None:
    """Write to a log. A missing one is made, also if it is removed in this very moment."""
    while True:
        await need_log(state, name, indexes)
        try:
            return await write()
        except Exception as error:
            if not is_not_found(error):
                raise
            state.handle.whole_logs.discard(name)


async def read_log(engine: Engine, name: str) -> list[models.Record]:
    """All entries of a log as they are stored, none if there is no log."""
    try:
        return [entry async for page in scroll_pages(engine, name, page_size=IDS_PER_REQUEST) for entry in page]
    except Exception as error:
        if not is_not_found(error):
            raise
        return []


async def write_log(
    engine: Engine, name: str, indexes: PayloadIndexes, entries: Sequence[models.Record], settings: IndexSettings
) -> None:
    """Write entries that were read from another log. If there are any, a missing log is made."""
    if not entries:
        return
    await make_log(engine, name, indexes, settings)
    for page in pages(entries):
        points = [models.PointStruct(id=entry.id, vector={}, payload=entry.payload) for entry in page]
        await engine.upsert(name, points=points)

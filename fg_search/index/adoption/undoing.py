"""Undoing an adoption: everything that the index has put into a collection, and beside it, is removed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from qdrant_client import models

from fg_search.engine.paging import scroll_pages
from fg_search.engine.port import Engine
from fg_search.errors import IndexNotFoundError
from fg_search.index.collections import find_collection, physical_collection
from fg_search.layout.adoption import Adoption
from fg_search.layout.conditions import has_ids
from fg_search.layout.keys import PAYLOAD_KEY, is_ours_in_metadata
from fg_search.layout.logs import is_log, log_names
from fg_search.layout.points import id_of, payload_of
from fg_search.layout.schema import IndexMetadata
from fg_search.layout.source import is_being_filled

_POINTS_PER_READ = 1000


@dataclass(frozen=True)
class UndoReport:
    """Report of an undone adoption.

    Attributes:
        points: Number of points from which something was removed.
        indexes: Payload indexes that were removed.
        collections: Collections of the logs that were removed.
    """

    points: int
    indexes: tuple[str, ...]
    collections: tuple[str, ...]

    def __str__(self) -> str:
        return f"the collection is what it was: {self.points:,} points without what the index has added"


async def undo(engine: Engine, collection: str, progress: Callable[[int], object]) -> UndoReport:
    """Undo an adoption, finished or not. Run it again if it was interrupted.

    Raises:
        IndexNotFoundError: If there is no such collection, or it was not adopted.
    """
    points = await physical_collection(engine, collection)
    info = await find_collection(engine, points)
    adoption = None if info is None else Adoption.of_metadata(info.config.metadata)
    if info is None or adoption is None:
        raise IndexNotFoundError(f"there is no adopted collection {collection!r} at {engine.location!r} to take back")
    stored = info.config.metadata or {}
    leaving = replace(adoption, complete=False, leaving=True)
    await engine.update_collection(points, metadata=leaving.to_metadata())
    removed = await _remove_payload(engine, points, progress)
    metadata = IndexMetadata.of_collection(collection, info)
    assert metadata.source is not None  # noqa: S101  an adopted collection has one
    for name in info.config.params.sparse_vectors or {}:
        if name in (metadata.source.features, adoption.vector) or is_being_filled(name):
            await engine.delete_vector_name(points, name)
    made = [key for key in info.payload_schema or {} if _is_made(key, metadata, adoption)]
    for key in made:
        await engine.delete_payload_index(points, key)
    logs = []
    for log in [log for name in await _names(engine, points) for log in log_names(name)]:
        found = await find_collection(engine, log)
        if found is not None and is_log(found):
            await engine.delete_collection(log)
            logs.append(log)
    ours = {key: None for key in stored if is_ours_in_metadata(key)}
    await engine.update_collection(points, metadata=ours)  # last: as long as they are there, this can be gone on with
    return UndoReport(removed, tuple(made), tuple(logs))


async def _names(engine: Engine, points: str) -> list[str]:
    """Names by which the index may have been opened."""
    return [points, *(alias for alias, leads_to in (await engine.get_aliases()).items() if leads_to == points)]


async def _remove_payload(engine: Engine, points: str, progress: Callable[[int], object]) -> int:
    removed = 0
    async for records in scroll_pages(
        engine, points, page_size=_POINTS_PER_READ, with_payload=[PAYLOAD_KEY], copies="active"
    ):
        ids = [id_of(record) for record in records if isinstance(payload_of(record).get(PAYLOAD_KEY), dict)]
        if ids:
            try:
                await engine.delete_payload(points, [PAYLOAD_KEY], points=ids)
            except Exception:  # others have deleted one of them meanwhile, which an engine may refuse
                await engine.delete_payload(points, [PAYLOAD_KEY], points=models.Filter(must=[has_ids(ids)]))
            removed += len(ids)
        progress(len(records))
    return removed


def _is_made(key: str, metadata: IndexMetadata, adoption: Adoption) -> bool:
    """Whether the index has made the payload index of a key."""
    is_ours = key.split(".")[0] == PAYLOAD_KEY or key in metadata.settings.filterable
    return is_ours and key not in adoption.indexed_before

"""Pages: long lists cut into pieces that one request can take."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from qdrant_client import models

from fg_search.engine.consistency import Copies
from fg_search.engine.port import Background, Engine, PointId

IDS_PER_REQUEST = 1000
SLICES = 4  # read at once

T = TypeVar("T")


def pages(items: Sequence[T], size: int | None = None) -> Iterator[Sequence[T]]:
    """Cut a sequence into pages of ``size`` items, by default as many as the ids of one request."""
    size = size or IDS_PER_REQUEST
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def scroll_pages(
    engine: Engine,
    collection: str,
    *,
    page_size: int,
    scroll_filter: models.Filter | None = None,
    with_payload: bool | Sequence[str] | models.PayloadSelectorExclude = True,
    with_vectors: bool | Sequence[str] = False,
    copies: Copies = "any",
) -> AsyncIterator[list[models.Record]]:
    """Read all points that match in the order of their ids, ``page_size`` at a time. The last page may be empty."""
    offset: PointId | None = None
    while True:
        records, offset = await engine.scroll(
            collection,
            scroll_filter=scroll_filter,
            limit=page_size,
            offset=offset,
            with_payload=with_payload,
            with_vectors=with_vectors,
            copies=copies,
        )
        yield records
        if offset is None:
            return


@asynccontextmanager
async def scanning(
    engine: Engine,
    collection: str,
    *,
    page_size: int,
    scroll_filter: models.Filter | None = None,
    **options: Any,
) -> AsyncIterator[AsyncIterator[list[models.Record]]]:
    """Context with an iterator over the pages of all points that match, in no order.

    On a server that divides points into slices, several are read at once, and while a page is used, the next ones come:
    at most :data:`SLICES` of them beside that one are in memory. Pages may be empty.

    Args:
        engine: Engine that has the points.
        collection: Their collection.
        page_size: Number of points of a page, at most.
        scroll_filter: Condition on the points.
        options: Further options of ``Engine.scroll``.
    """
    async with engine.background() as background:
        yield _scan(background, engine, collection, scroll_filter, {**options, "limit": page_size})


async def _scan(
    background: Background,
    engine: Engine,
    collection: str,
    condition: models.Filter | None,
    options: dict[str, Any],
) -> AsyncIterator[list[models.Record]]:
    first = _Slice(engine, collection, {**options, "scroll_filter": condition})
    await first.read()
    yield first.records
    if first.offset is None or not await engine.has_slices():
        while first.offset is not None:
            await first.read()
            yield first.records
        return
    slices = deque(
        _Slice(engine, collection, {**options, "scroll_filter": chosen}, first.offset) for chosen in _sliced(condition)
    )
    for one in slices:
        background.start(one.read())
    while slices:
        await background.finish()  # the call that was started first, which is that of the first slice
        one = slices.popleft()
        records = one.records
        if one.offset is not None:
            slices.append(one)
            background.start(one.read())
        yield records


class _Slice:
    """A part of the points, read page by page.

    Attributes:
        records: The page that was read last.
        offset: Where the next one begins, ``None`` before the first and after the last.
    """

    def __init__(
        self, engine: Engine, collection: str, options: Mapping[str, Any], offset: PointId | None = None
    ) -> None:
        self._engine, self._collection, self._options = engine, collection, options
        self.records: list[models.Record] = []
        self.offset = offset

    async def read(self) -> None:
        """Read the next page."""
        self.records, self.offset = await self._engine.scroll(self._collection, offset=self.offset, **self._options)


def _sliced(condition: models.Filter | None) -> list[models.Filter]:
    """A filter for each of the slices that points are divided into by their ids."""
    rest = [] if condition is None else [condition]
    return [
        models.Filter(must=[models.SliceCondition(slice=models.Slice(total=SLICES, index=i)), *rest])
        for i in range(SLICES)
    ]

"""Pages: long lists cut into pieces that one request can take."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeVar

from qdrant_client import models

from fg_search.engine.consistency import Copies
from fg_search.engine.port import Engine, PointId

IDS_PER_REQUEST = 1000

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
    """Read all points that match, ``page_size`` at a time. The last page may be empty."""
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

"""Sample of a collection's points, from which a head is learned and a cost estimated."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.engine.paging import pages, scroll_pages
from fg_search.engine.port import Engine, PointId
from fg_search.index.adoption.checks import Adoptable
from fg_search.index.adoption.sync import page_size
from fg_search.layout.keys import BASE_VECTOR
from fg_search.layout.points import id_of, payload_of

_IDS_PER_PAGE = 10_000


@dataclass(frozen=True)
class Sample:
    """n points that have a base vector.

    Attributes:
        vectors: ``(n, d)`` float32 base vectors.
        texts: Their texts, ``""`` where there is none.
        labels: Their labels, ``None`` where there is none.
        attributes: Values of payload paths, by path.
        without_vector: Number of points that were read and have no base vector.
        odd_labels: Number of points with something at the path of the label that is not one.
    """

    vectors: npt.NDArray[np.float32]
    texts: list[str]
    labels: list[str | None]
    attributes: dict[str, list[str | None]]
    without_vector: int
    odd_labels: int


async def read_sample(
    engine: Engine,
    target: Adoptable,
    most: int,
    *,
    attributes: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> Sample:
    """Read all points of a collection, or a random sample if there are more than ``most``."""
    source = target.source
    readers = {path: source.with_label(path).label_of for path in attributes}
    vectors: list[npt.NDArray[np.float32]] = []
    texts: list[str] = []
    labels: list[str | None] = []
    values: dict[str, list[str | None]] = {path: [] for path in attributes}
    without = odd = 0
    async for records in _pages(engine, target, most, [*source.keys, *attributes], seed):
        progress(len(records))
        rows = []
        for record in records:
            found = (source.vectors_of(record) or {}).get(BASE_VECTOR)
            if found is None:
                without += 1
                continue
            payload = payload_of(record)
            rows.append(found)
            texts.append(source.text_of(payload))
            labels.append(source.label_of(payload))
            odd += source.has_odd_label(payload)
            for path, read in readers.items():
                values[path].append(read(payload))
        if rows:
            vectors.append(np.array(rows, dtype=np.float32))
    empty = np.empty((0, target.dimension), dtype=np.float32)
    return Sample(np.concatenate(vectors) if vectors else empty, texts, labels, values, without, odd)


async def _pages(
    engine: Engine, target: Adoptable, most: int, paths: Sequence[str], seed: int
) -> AsyncIterator[Sequence[models.Record]]:
    asked: dict[str, Any] = {
        "with_payload": target.source.top_keys(paths),
        "with_vectors": [target.source.vector],
    }
    size = page_size(target.dimension)
    if await engine.count(target.points) <= most:
        async for records in scroll_pages(engine, target.points, page_size=size, **asked):
            yield records
        return
    chosen: list[PointId] = []
    seen, rng = 0, random.Random(seed)  # noqa: S311  nothing secret
    async for records in scroll_pages(engine, target.points, page_size=_IDS_PER_PAGE, with_payload=False):
        for record in records:  # each point is equally likely to stay, however many come (reservoir sampling)
            seen += 1
            place = len(chosen) if len(chosen) < most else rng.randrange(seen)
            chosen[place : place + 1] = [id_of(record)] if place < most else chosen[place : place + 1]
    for page in pages(chosen, size):
        yield await engine.retrieve(target.points, page, **asked)

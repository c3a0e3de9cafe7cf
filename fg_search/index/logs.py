"""A collection beside an index whose points are the entries of a log: payload alone, no vectors."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

from fg_search.engine.operations import Operation, call
from fg_search.engine.paging import IDS_PER_REQUEST, pages
from fg_search.index.collections import find_collection, index_payload
from fg_search.layout.logs import NO_VECTOR
from fg_search.layout.schema import PayloadIndexes


def make_log(name: str, indexes: PayloadIndexes) -> Operation[None]:
    """Make the collection, and those of its indexes that are missing: whoever made it may have been interrupted."""
    info = yield from find_collection(name)
    if info is None:
        sparse = {NO_VECTOR: models.SparseVectorParams()}
        try:
            yield call("create_collection", name, vectors_config={}, sparse_vectors_config=sparse)
        except Exception:
            if (yield from find_collection(name)) is None:  # else somebody else has just made it
                raise
    yield from index_payload(name, indexes, known=() if info is None else info.payload_schema)


def read_log(name: str) -> Operation[list[models.Record]]:
    """All entries of a log as they are stored; none if there is no log."""
    entries: list[models.Record] = []
    if (yield from find_collection(name)) is None:
        return entries
    offset = None
    while True:
        page, offset = yield call("scroll", name, limit=IDS_PER_REQUEST, offset=offset, with_payload=True)
        entries += page
        if offset is None:
            return entries


def write_log(name: str, indexes: PayloadIndexes, entries: Sequence[models.Record]) -> Operation[None]:
    """Write entries as they were read from another log; the log is made if it is missing and there are any."""
    if not entries:
        return
    yield from make_log(name, indexes)
    for page in pages(entries):
        points = [models.PointStruct(id=entry.id, vector={}, payload=entry.payload) for entry in page]
        yield call("upsert", name, points=points, wait=True)

"""A collection beside an index whose points are the entries of a log: payload alone, no vectors."""

from __future__ import annotations

from qdrant_client import models

from fg_search.index.opening import PayloadIndexes, find_collection, index_payload
from fg_search.storage.operations import Operation, call

_NO_VECTOR = "none"  # the embedded engine wants a collection to have some vector; entries have none


def make_log(name: str, indexes: PayloadIndexes) -> Operation[None]:
    """Make the collection, and those of its indexes that are missing: whoever made it may have been interrupted."""
    info = yield from find_collection(name)
    if info is None:
        sparse = {_NO_VECTOR: models.SparseVectorParams()}
        try:
            yield call("create_collection", name, vectors_config={}, sparse_vectors_config=sparse)
        except Exception:
            if (yield from find_collection(name)) is None:  # else somebody else has just made it
                raise
    yield from index_payload(name, indexes, known=() if info is None else info.payload_schema)

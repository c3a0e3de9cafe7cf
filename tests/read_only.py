"""Indexes that several tests share: whoever writes to one fails, and not the tests after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fg_search import ConfidenceIndex

_READS = (
    "close",
    "collection_exists",
    "count",
    "facet",
    "get_aliases",
    "get_collection",
    "get_collections",
    "query_batch_points",
    "query_points",
    "query_points_groups",
    "retrieve",
    "scroll",
)


class ReadOnlyClient:
    """A client all of whose methods that might write fail the test; no ``except Exception`` swallows that."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if name in _READS or not callable(attribute):
            return attribute
        return lambda *_, **__: pytest.fail(f"{name}: this index is shared with other tests; take one of your own")


def read_only(index: ConfidenceIndex) -> ConfidenceIndex:
    """The same index, on a client that does not write."""
    index.client = ReadOnlyClient(index.client)
    return index

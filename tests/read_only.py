"""Indexes that several tests share: whoever writes to one fails, and not the tests after it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from fg_search.layout.keys import MAP_KEY

if TYPE_CHECKING:
    from fg_search import ConfidenceIndex

_READS = {
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
}


def read_only(index: ConfidenceIndex) -> ConfidenceIndex:
    """The same index; from now on whatever might write to it fails the test, and no ``except Exception`` hides that."""
    client = index.client
    for name, _ in inspect.getmembers(type(client), inspect.isfunction):
        if not name.startswith("_") and name not in _READS:
            setattr(client, name, _refusing(name))
    update = type(client).update_collection.__get__(client)
    client.update_collection = lambda collection, metadata: (
        update(collection, metadata=metadata) if set(metadata) == {MAP_KEY} else _refusing("update_collection")()
    )  # whoever looks at the map leaves it as it was drawn
    return index


def _refusing(name: str) -> Any:
    return lambda *_, **__: pytest.fail(f"{name}: this index is shared with other tests; take one of your own")

"""The embedded engine, Qdrant Edge, with the interface of ``qdrant_client.QdrantClient``.

This package imports nothing else from fg_search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fg_search.edge.client import EdgeClient

__all__ = ["EdgeClient"]


def __getattr__(name: str) -> Any:
    if name != "EdgeClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fg_search.edge.client import EdgeClient  # lazy, so that importing the errors does not load the engine

    return EdgeClient

"""Qdrant Edge, the embedded engine, with the interface of ``qdrant_client.QdrantClient``.

This package imports nothing else of fg_search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fg_search.edge.client import EdgeClient

__all__ = ["EdgeClient"]


def __getattr__(name: str) -> Any:
    if name != "EdgeClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fg_search.edge.client import EdgeClient  # the engine is loaded when it is needed, not with the errors

    return EdgeClient

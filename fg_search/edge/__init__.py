"""The embedded engine, Qdrant Edge, with the interface of ``qdrant_client.QdrantClient``.

This package imports nothing else from fg_search.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fg_search.edge.async_client import AsyncEdgeClient
    from fg_search.edge.client import EdgeClient

__all__ = ["AsyncEdgeClient", "EdgeClient"]

_MODULES = {"AsyncEdgeClient": "async_client", "EdgeClient": "client"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # lazy, so that importing the errors does not load the engine
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

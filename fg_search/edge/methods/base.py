"""Base of the method classes of :class:`~fg_search.edge.client.EdgeClient`: the open folder and its collections."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qdrant_client import models

from fg_search.edge.collection import EdgeCollection
from fg_search.edge.errors import UnsupportedError
from fg_search.edge.folder import StorageFolder

if TYPE_CHECKING:
    from typing_extensions import Self

DONE = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

# Arguments of QdrantClient without a meaning for a single shard in this process: every write is complete when it
# returns, every read sees it, and nothing is sent over a network.
_NO_EFFECT = frozenset({"wait", "timeout", "ordering", "consistency", "parallel", "method", "max_retries"})
# Arguments that only a server can honour, and the values that are accepted nevertheless. None accepts any value: the
# argument does not change a result.
_ONLY: dict[str, tuple[Any, ...] | None] = {
    "shard_key_selector": (None,),
    "shard_number": (None, 1),
    "sharding_method": (None, models.ShardingMethod.AUTO),
    "replication_factor": (None, 1),
    "write_consistency_factor": (None, 1),
    "strict_mode_config": (None,),
    "wal_config": None,
    "api_key": (None,),
    "priority": (None, *models.SnapshotPriority),
}


def check_options(method: str, options: Mapping[str, Any], *also: str) -> None:
    """Refuse unknown keyword arguments, and those whose effect would be lost.

    Args:
        method: Name of the called method, for the error message.
        options: Its extra keyword arguments.
        *also: Names that the method accepts beside those without effect.
    """
    for name, value in options.items():
        if name in _NO_EFFECT:
            continue
        if name not in also:
            raise TypeError(f"{method}() got an unexpected keyword argument {name!r}")
        allowed = _ONLY[name]
        if allowed is not None and value not in allowed:
            raise UnsupportedError(f"{method}({name}={value!r}): not supported by Qdrant Edge")


class ClientBase:
    """Opens and closes the folder and its collections."""

    _closed = True  # until there is something to close: ``__del__`` also runs after a constructor that failed

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder = StorageFolder(path)
        self._closed = False
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._collections: dict[str, EdgeCollection] = {}
        try:
            self._aliases = self._folder.read_aliases()
        except Exception:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._closed

    @property
    def was_forked(self) -> bool:
        """Whether this process is a child of the one that opened the folder. Not in QdrantClient."""
        return os.getpid() != self._process

    def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:  # noqa: ARG002  for servers
        """Flush and close all collections and release the folder; further calls do nothing."""
        if self._closed:
            return
        self._closed = True
        if self.was_forked:
            self._folder.close()  # its own copy of the file; the lock stays with the parent
            return  # a forked child lacks the engine's threads
        with self._lock, ExitStack() as stack:  # closes the others even if one fails
            stack.callback(self._folder.close)
            for collection in self._collections.values():
                stack.callback(collection.close)
            self._collections = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Python prints whatever is raised here, and nobody can act on it: acknowledged writes are in the engine's log
        with suppress(Exception):
            self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder.path)!r}{', closed' if self._closed else ''})"

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("EdgeClient instance is closed. Please create a new instance.")
        if self.was_forked:
            raise RuntimeError(
                "This EdgeClient was opened before the process was forked. Open the folder in the child, after the "
                "parent has closed it, or run a Qdrant server for access by several processes."
            )

    def _collection(self, name: str) -> EdgeCollection:
        self._check_open()
        collection = self._collections.get(name)
        if collection is not None:
            return collection
        with self._lock:
            self._check_open()
            name = self._aliases.get(name, name)
            if name not in self._collections:
                if not self._folder.exists(name):
                    raise ValueError(f"Collection {name} not found")
                self._collections[name] = EdgeCollection(self._folder.path / name)
            return self._collections[name]

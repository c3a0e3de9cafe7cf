"""A folder of Qdrant Edge for several workers: one process has it open, and the others ask that one."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from fg_search.edge.client import EdgeClient
from fg_search.edge.signatures import public_methods
from fg_search.errors import FolderLockedError
from fg_search.integrations.ray.errors import as_raised

_PATIENCE = 30.0  # seconds: Ray needs some to end the owner of a run whose driver was killed
_PAUSE = 0.5  # seconds
_AT_ONCE = 16  # calls


class FolderClient(EdgeClient):
    """``EdgeClient`` for a folder that another process has open: each call is carried out there.

    It may be sent to workers on any node.

    Args:
        owner: Actor of the class :class:`_Owner`.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __reduce__(self) -> tuple[type, tuple[Any]]:
        return FolderClient, (self._owner,)

    def __repr__(self) -> str:
        return "FolderClient()"

    @property
    def closed(self) -> bool:
        """Always ``False``: the folder stays its owner's to close."""
        return False

    @property
    def was_forked(self) -> bool:
        """Always ``False``: nothing here is a process's own."""
        return False

    def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:
        """Do nothing: the folder stays its owner's to close."""


def _asking(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def ask(self: FolderClient, *args: Any, **kwargs: Any) -> Any:
        with as_raised():
            return ray.get(self._owner.call.remote(name, args, kwargs))

    return ask


for _name, _method in public_methods(EdgeClient).items():
    if _name not in vars(FolderClient):
        setattr(FolderClient, _name, _asking(_name, _method))


class _Owner:
    """Has a folder open."""

    def __init__(self) -> None:
        self._client: EdgeClient | None = None

    def open(self, folder: str) -> None:
        """Open the folder. One that an earlier run has open, which was killed, is waited for.

        Raises:
            FolderLockedError: If it stays open in another process.
        """
        until = time.monotonic() + _PATIENCE
        while self._client is None:
            try:
                self._client = EdgeClient(folder)
            except FolderLockedError:
                if time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        """Call a method of the client."""
        return getattr(self._client, name)(*args, **kwargs)

    def close(self) -> None:
        """Close the folder."""
        if self._client is not None:
            self._client.close()


@contextmanager
def shared_folder(folder: str | os.PathLike[str]) -> Iterator[FolderClient]:
    """Context with a client of a folder that any number of workers can use at once.

    Raises:
        FolderLockedError: If it is open in another process.
        StorageError: If it cannot be used.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    kind = ray.remote(_Owner)
    owner = kind.options(num_cpus=0, max_concurrency=_AT_ONCE, scheduling_strategy=here).remote()
    try:
        with as_raised():
            ray.get(owner.open.remote(os.fspath(folder)))
        yield FolderClient(owner)
    finally:
        try:
            with as_raised():
                ray.get(owner.close.remote(), timeout=_PATIENCE)
        finally:
            ray.kill(owner)

"""Port over the simulated server: an operation is suspended before every request, and goes on when its turn comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
from qdrant_client import models
from qdrant_client.http.exceptions import ResponseHandlingException
from simulated_server import SimulatedServer

from fg_search.engine.adapter import Adapter


class Mishap(Enum):
    """What befalls a process at one of its requests."""

    KILLED = "killed before the request"
    CANCELLED = "cancelled before the request"
    CANCELLED_AFTER = "cancelled after the request"
    REQUEST_LOST = "the server dies before the request, and is away for long"
    ANSWER_LOST = "the server dies after the request, and is away for long"
    ASKED_AGAIN = "the server dies after the request, and is back at once"
    HALF_DONE = "the server dies between the parts of a compound request, and is away for long"
    HALF_DONE_AND_ASKED_AGAIN = "the server dies between the parts of a compound request, and is back at once"


class Killed(BaseException):
    """Raised in an operation whose process is gone: whatever it does to clean up comes to nothing."""


@dataclass(frozen=True)
class Request:
    """A request that is about to be made. The operation goes on with what befalls it then."""

    method: str
    collection: str
    parts: int = 1

    def __await__(self) -> Generator[Request, Mishap | None, Mishap | None]:
        return (yield self)

    def __str__(self) -> str:
        return f"{self.method} {self.collection}".rstrip()


@dataclass(frozen=True)
class Pause:
    """An operation that waits."""

    seconds: float

    def __await__(self) -> Generator[Pause, None, None]:
        yield self

    def __str__(self) -> str:
        return f"waits {self.seconds:g} s"


class SimulatedEngine(Adapter):
    """Engine of one process.

    Args:
        server: Server that it shares with others.
        is_shared: Whether these may be other processes, as on a server.
        node: Number of the node that it asks, if the server is a cluster.
    """

    def __init__(self, server: SimulatedServer, *, is_shared: bool = True, node: int | None = None) -> None:
        super().__init__(server, "http://simulated")
        self.server = server
        self._is_shared = is_shared
        self._node = node
        self.is_dead = False
        if node is not None:
            server.cluster.join(node)

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use the same collections."""
        return self._is_shared

    async def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.is_dead:
            raise Killed
        operations = kwargs.get("change_aliases_operations", ())
        about = _described(operations) if operations else str(args[0]) if args else ""
        mishap = await Request(method.__name__, about, max(1, len(operations)))
        if mishap is Mishap.CANCELLED:
            raise asyncio.CancelledError
        if mishap in (Mishap.HALF_DONE, Mishap.HALF_DONE_AND_ASKED_AGAIN):
            method(change_aliases_operations=operations[: len(operations) // 2])
        elif mishap is not Mishap.REQUEST_LOST:
            self._inform_nodes(operations)
            answer = self._answer(method, *args, **kwargs)
        if mishap is None and self._node is not None and any(map(_is_waited_for, operations)):
            mishap = await Request("wait for all nodes", about)
            if mishap is Mishap.CANCELLED:
                raise asyncio.CancelledError
            self.server.cluster.wait_for_all()
        if mishap is Mishap.CANCELLED_AFTER:
            raise asyncio.CancelledError
        if mishap is not None:
            raise ResponseHandlingException(httpx.ReadError("connection lost"))
        return answer

    def _answer(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if method.__name__ == "get_aliases":
            return self._listed_aliases()
        return method(*map(self._resolved, args[:1]), *args[1:], **kwargs)

    def _inform_nodes(self, operations: Sequence[models.AliasOperations]) -> None:
        if self._node is not None and operations:
            self.server.cluster.change(self._node, self.server.aliases_now())

    def _shown_aliases(self) -> Mapping[str, str]:
        """Aliases as the node shows them, or as they are."""
        now = self.server.aliases_now()
        return now if self._node is None else self.server.cluster.aliases(self._node, now)

    def _listed_aliases(self) -> models.CollectionsAliasesResponse:
        shown = self._shown_aliases().items()
        described = [models.AliasDescription(alias_name=alias, collection_name=name) for alias, name in shown]
        return models.CollectionsAliasesResponse(aliases=described)

    def _resolved(self, name: str) -> str:
        """Collection that a name leads to where it is asked for."""
        found = self._shown_aliases().get(name, name)
        return f"{name} here" if found == name and name in self.server.aliases_now() else found

    async def pause(self, seconds: float) -> None:
        if self.is_dead:
            raise Killed
        await Pause(seconds)

    async def work(self, function: Callable[[], Any]) -> Any:
        return function()

    @asynccontextmanager
    async def background(self) -> AsyncIterator[_Later]:
        later = _Later()
        try:
            yield later
            await later.finish_all()
        finally:
            later.drop()

    # --- snapshots: of the simulated server, by name ------------------------------------------------------

    async def create_snapshot(self, collection: str) -> str:
        name = f"{collection}-{len(self.server.snapshots)}"

        def create_snapshot(collection: str) -> None:
            self.server.snapshots[name] = self.server.picture(collection)

        await self._repeat(create_snapshot, collection)
        return name

    async def fetch_snapshot(self, collection: str, snapshot: str, file: Path) -> None:
        def fetch_snapshot(collection: str) -> None:
            number = len(self.server.downloads)
            self.server.downloads.append(self.server.snapshots[snapshot])
            file.write_text(str(number))

        await self._repeat(fetch_snapshot, collection)

    async def delete_snapshot(self, collection: str, snapshot: str) -> None:
        def delete_snapshot(collection: str) -> None:
            self.server.snapshots.pop(snapshot, None)

        await self._repeat(delete_snapshot, collection)

    async def recover_snapshot(self, collection: str, file: Path) -> None:
        def recover_snapshot(collection: str) -> None:
            self.server.develop(collection, self.server.downloads[int(file.read_text())])

        await self._settle(_is_there, recover_snapshot, collection)


async def _is_there(error: Exception) -> bool:
    return "already exists" in str(error)


class _Later:
    """Calls that are made when they have to be finished: of all moments until then the last."""

    def __init__(self) -> None:
        self._calls: deque[Coroutine[Any, Any, None]] = deque()

    def start(self, call: Coroutine[Any, Any, None]) -> None:
        self._calls.append(call)

    async def finish(self) -> None:
        if self._calls:
            await self._calls.popleft()

    async def finish_all(self) -> None:
        while self._calls:
            await self.finish()

    def drop(self) -> None:
        for call in self._calls:
            call.close()


def _is_waited_for(operation: models.AliasOperations) -> bool:
    """Whether a cluster answers once all nodes have done it."""
    return not isinstance(operation, models.DeleteAliasOperation)


def _described(operations: Any) -> str:
    return ", ".join(
        " ".join([key, *map(str, next(iter(vars(operation).values())).model_dump().values())])
        for operation in operations
        for key in vars(operation)
    )

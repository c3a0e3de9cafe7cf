"""Port over a client that blocks: its coroutines never suspend, and run without an event loop."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from qdrant_client import QdrantClient

from fg_search.edge.client import EdgeClient
from fg_search.engine.adapter import Adapter
from fg_search.engine.nodes import Nodes
from fg_search.engine.retries import RETRY_FOR

P = ParamSpec("P")
T = TypeVar("T")

_LAST_WAIT = 0.2  # seconds for a call in the background when the user interrupts


def drive(operation: Coroutine[Any, Any, T]) -> T:
    """Run an operation on a :class:`BlockingEngine` to its end in the current thread.

    Raises:
        RuntimeError: If the operation awaits anything that suspends it.
    """
    try:
        operation.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    operation.close()
    raise RuntimeError("an operation on a blocking engine was suspended; await it on an AsyncEngine")


class BlockingEngine(Adapter):
    """Port over ``QdrantClient`` or ``EdgeClient``."""

    def __init__(
        self,
        client: QdrantClient | EdgeClient,
        location: str | None = None,
        api_key: str | None = None,
        retry_for: float = RETRY_FOR,
        nodes: Nodes | None = None,
    ) -> None:
        super().__init__(client, location, api_key, retry_for, nodes)
        self.client: QdrantClient | EdgeClient = client

    def close(self) -> None:
        """Close the client. A forked child leaves the connections that it shares alone."""
        if not self.was_forked or isinstance(self.client, EdgeClient):
            self.client.close()

    async def pause(self, seconds: float) -> None:
        thread = threading.current_thread()
        if isinstance(thread, _Call):
            thread.pause(seconds)
        else:
            time.sleep(seconds)

    async def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._turn:
            return method(*args, **kwargs)

    async def work(self, function: Callable[[], T]) -> T:
        return function()

    @asynccontextmanager
    async def background(self) -> AsyncIterator[_Threads]:
        threads = _Threads()
        try:
            yield threads
            await threads.finish_all()
        except (KeyboardInterrupt, SystemExit):
            threads.give_up()
            raise
        finally:
            threads.close()


class _Threads:
    """Runs each call in a thread."""

    def __init__(self) -> None:
        self._running: deque[_Call] = deque()  # in the order in which they were started

    def start(self, call: Coroutine[Any, Any, None]) -> None:
        self._running.append(_Call(call))
        self._running[-1].start()

    async def finish(self) -> None:
        if self._running:
            first = self._running[0]
            first.join()
            self._running.popleft()
            if first.error is not None:
                raise first.error

    async def finish_all(self) -> None:
        while self._running:
            await self.finish()

    def give_up(self) -> None:
        """Wait for the calls in progress a moment only: a server may never answer them."""
        running, self._running = self._running, deque()
        for call in running:
            call.give_up()
        for call in running:
            call.join(_LAST_WAIT)

    def close(self) -> None:
        for call in self._running:
            call.join()


class _Call(threading.Thread):
    """A call in a thread that does not keep the process from ending, unlike those of a pool.

    Attributes:
        error: What it raised.
    """

    def __init__(self, call: Coroutine[Any, Any, None]) -> None:
        super().__init__(name="fg-search-call", daemon=True)
        self._coroutine = call
        self._given_up = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            drive(self._coroutine)
        except BaseException as error:
            self.error = error

    def give_up(self) -> None:
        """Make no further attempt."""
        self._given_up.set()

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt."""
        if self._given_up.wait(seconds):
            raise InterruptedError("the user interrupted")

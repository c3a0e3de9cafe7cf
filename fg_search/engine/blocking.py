"""Port over a client that blocks: its coroutines never suspend, and run without an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from qdrant_client import QdrantClient
from tenacity import Retrying

from fg_search.edge.client import EdgeClient
from fg_search.engine.adapter import Adapter
from fg_search.engine.retries import is_transient, patience

P = ParamSpec("P")
T = TypeVar("T")


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
        self, client: QdrantClient | EdgeClient, location: str | None = None, api_key: str | None = None
    ) -> None:
        super().__init__(client, location, api_key)
        self.client: QdrantClient | EdgeClient = client

    def close(self) -> None:
        """Close the client."""
        self.client.close()

    async def _repeat(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with self._turn:
                return method(*args, **kwargs)
        except Exception as error:
            if not is_transient(error):
                raise
            failed = [error]

        def again() -> T:
            if failed:  # the first attempt was made above, without tenacity, as every search would pay for that
                raise failed.pop()
            with self._turn:
                return method(*args, **kwargs)

        return Retrying(**patience(f"{type(self.client).__name__}.{method.__name__}"))(again)

    async def _once(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._turn:
            return method(*args, **kwargs)

    async def work(self, function: Callable[[], T]) -> T:
        return function()

    @asynccontextmanager
    async def background(self) -> AsyncIterator[_Thread]:
        thread = _Thread()
        try:
            yield thread
            await thread.finish()
        finally:
            thread.close()


class _Thread:
    """Runs one call at a time in a thread of its own, which starts with the first call."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def start(self, call: Coroutine[Any, Any, None]) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=1)
        self._running = self._executor.submit(drive, call)

    async def finish(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()

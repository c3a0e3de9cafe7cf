"""Port for an event loop: coroutines of the client are awaited, and whatever blocks runs in a thread."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

from fg_search.edge.client import EdgeClient
from fg_search.engine.adapter import Adapter

P = ParamSpec("P")
T = TypeVar("T")

_LAST_WAIT = 0.2  # seconds for a call in the background when its operation is cancelled


class AsyncEngine(Adapter):
    """Port over ``AsyncQdrantClient``, or over a blocking client whose calls run in threads."""

    async def close(self) -> None:
        """Close the client. A forked child leaves the connections that it shares alone."""
        if not self.was_forked:
            await self._call(self._methods.close)
        elif isinstance(self.client, EdgeClient):
            self.client.close()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if inspect.iscoroutinefunction(method):
            return await cast("Awaitable[T]", method(*args, **kwargs))
        return await asyncio.to_thread(self._in_turn, partial(method, *args, **kwargs))

    def _in_turn(self, call: Callable[[], T]) -> T:
        with self._turn:
            return call()

    async def work(self, function: Callable[[], T]) -> T:
        return await asyncio.to_thread(function)

    @asynccontextmanager
    async def background(self) -> AsyncIterator[_Tasks]:
        tasks = _Tasks()
        try:
            yield tasks
            await tasks.finish_all()
        except asyncio.CancelledError:
            if self._remote is not None:  # Ctrl-C is a cancellation too, and a server may never answer
                await tasks.give_up()
            raise
        finally:
            await tasks.close()


class _Tasks:
    """Runs each call in a task of its own."""

    def __init__(self) -> None:
        self._running: deque[asyncio.Task[None]] = deque()  # in the order in which they were started

    def start(self, call: Coroutine[Any, Any, None]) -> None:
        self._running.append(asyncio.create_task(call))

    async def finish(self) -> None:
        if not self._running:
            return
        first = self._running[0]
        try:
            await asyncio.shield(first)  # if this is cancelled, close() still waits for the call
        finally:
            if first.done():
                self._running.popleft()

    async def finish_all(self) -> None:
        while self._running:
            await self.finish()

    async def give_up(self) -> None:
        """Wait for the calls in progress a moment only."""
        running, self._running = self._running, deque()
        if running:
            await asyncio.wait(running, timeout=_LAST_WAIT)
            for call in running:
                call.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def close(self) -> None:
        await asyncio.gather(*self._running, return_exceptions=True)

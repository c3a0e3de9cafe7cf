"""Port for an event loop: coroutines of the client are awaited, and whatever blocks runs in a thread."""

from __future__ import annotations

import asyncio
import inspect
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
    async def background(self) -> AsyncIterator[_Task]:
        task = _Task()
        try:
            yield task
            await task.finish()
        except asyncio.CancelledError:
            if self._remote is not None:  # Ctrl-C is a cancellation too, and a server may never answer
                await task.give_up()
            raise
        finally:
            await task.close()


class _Task:
    """Runs one call at a time in a task of its own."""

    def __init__(self) -> None:
        self._running: asyncio.Task[None] | None = None

    def start(self, call: Coroutine[Any, Any, None]) -> None:
        self._running = asyncio.create_task(call)

    async def finish(self) -> None:
        if self._running is None:
            return
        try:
            await asyncio.shield(self._running)  # if this is cancelled, close() still waits for the call
        finally:
            if self._running.done():
                self._running = None

    async def give_up(self) -> None:
        """Wait for the call in progress a moment only."""
        running, self._running = self._running, None
        if running is not None:
            await asyncio.wait([running], timeout=_LAST_WAIT)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def close(self) -> None:
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

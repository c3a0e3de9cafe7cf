"""Port for an event loop: coroutines of the client are awaited, and whatever blocks runs in a thread."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

from tenacity import AsyncRetrying

from fg_search.engine.adapter import Adapter
from fg_search.engine.retries import patience

P = ParamSpec("P")
T = TypeVar("T")


class AsyncEngine(Adapter):
    """Port over ``AsyncQdrantClient``, or over a blocking client whose calls run in threads."""

    async def close(self) -> None:
        """Close the client."""
        await self._once(self._methods.close)

    async def _repeat(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async for attempt in AsyncRetrying(**patience(f"{type(self.client).__name__}.{method.__name__}")):
            with attempt:
                return await self._once(method, *args, **kwargs)
        raise AssertionError("unreachable")

    async def _once(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if inspect.iscoroutinefunction(method):
            return await cast("Awaitable[T]", method(*args, **kwargs))
        return await asyncio.to_thread(self._in_turn, partial(method, *args, **kwargs))

    def _in_turn(self, call: Callable[[], T]) -> T:
        with self._turn:
            return call()

    async def work(self, function: Callable[[], T]) -> T:
        return await asyncio.to_thread(function)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def background(self) -> AsyncIterator[_Task]:
        task = _Task()
        try:
            yield task
            await task.finish()
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

    async def close(self) -> None:
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

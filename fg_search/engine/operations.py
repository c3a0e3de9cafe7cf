"""Operations on a Qdrant client, written once and run by synchronous and asynchronous code alike.

An operation is a generator. It yields steps: calls of the client, and work for the processor. Whoever runs it takes
each step and sends back what came of it, so the operation itself knows no thread and no event loop::

    def count_points(collection: str) -> Operation[int]:
        found = yield call("count", collection, exact=True)
        return found.count
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from qdrant_client import QdrantClient
from qdrant_client.local.qdrant_local import QdrantLocal
from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from fg_search.errors import StorageError

T = TypeVar("T")

_ATTEMPTS = 6
_LONGEST_PAUSE = 120.0  # seconds, whatever a server asks for
_BUSY = (429, 500, 502, 503, 504)
# repeating one of the others after a lost answer would fail, or do it twice
_REPEATABLE = frozenset(
    {
        "count",
        "create_payload_index",
        "delete",
        "delete_payload",
        "facet",
        "get_aliases",
        "get_collection",
        "get_collections",
        "query_batch_points",
        "query_points_groups",
        "retrieve",
        "scroll",
        "set_payload",
        "update_collection",
        "upsert",
    }
)


@dataclass(frozen=True)
class Call:
    """A call of one of the client's methods. A server that is busy or out of reach is asked again."""

    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Work:
    """A function that keeps the processor busy, such as encoding."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Begin:
    """A call that may go on while the operation does something else; its answer is the handle to :class:`End` it."""

    call: Call


@dataclass(frozen=True)
class End:
    """Wait for a call that was begun; its answer is that call's."""

    handle: Any


Step: TypeAlias = Call | Work | Begin | End
Operation: TypeAlias = Generator[Step, Any, T]


def call(method: str, *arguments: Any, **options: Any) -> Call:
    """A step that calls ``client.method(*arguments, **options)``."""
    return Call(method, arguments, options)


def run(client: Any, operation: Operation[T]) -> T:
    """Run an operation in this thread; what it begins runs in another one.

    Raises:
        StorageError: If a server stays busy or out of reach.
    """
    runner = _Runner(client)
    outcome = _Outcome()
    try:
        while (step := outcome.next_step(operation)) is not None:
            try:
                outcome.answer = runner.take(step)
            except BaseException as error:  # an interruption, too: the operation may have something to clean up
                outcome.error = error
    finally:
        runner.close()
    result: T = outcome.result
    return result


class _Runner:
    """Takes steps in this thread, those that may go on meanwhile in another one, which is started if there are any."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._background: ThreadPoolExecutor | None = None

    def take(self, step: Step) -> Any:
        if isinstance(step, Call):
            return _call(self._client, step)
        if isinstance(step, Work):
            return step.function()
        if isinstance(step, Begin):
            if self._background is None:
                self._background = ThreadPoolExecutor(max_workers=1)
            return self._background.submit(_call, self._client, step.call)
        handle: Future[Any] = step.handle
        return handle.result()

    def close(self) -> None:
        """Wait for what was begun."""
        if self._background is not None:
            self._background.shutdown()


async def run_async(client: Any, operation: Operation[T]) -> T:
    """Run an operation without blocking the event loop.

    A client without coroutines (such as the embedded engine's) and work for the processor run in threads.

    Raises:
        StorageError: If a server stays busy or out of reach.
    """
    begun: set[asyncio.Task[Any]] = set()

    async def take(step: Step) -> Any:
        if isinstance(step, Call):
            return await _call_async(client, step)
        if isinstance(step, Work):
            return await asyncio.to_thread(step.function)
        if isinstance(step, Begin):
            task = asyncio.create_task(_call_async(client, step.call))
            begun.add(task)
            return task
        answer = await asyncio.shield(step.handle)  # cancelled meanwhile, the call is still waited for below
        begun.discard(step.handle)
        return answer

    outcome = _Outcome()
    try:
        while (step := outcome.next_step(operation)) is not None:
            try:
                outcome.answer = await take(step)
            except BaseException as error:  # a cancellation, too
                outcome.error = error
    finally:
        operation.close()
        await asyncio.gather(*begun, return_exceptions=True)
    result: T = outcome.result
    return result


class _Outcome:
    """What came of the last step, to be handed to the operation, and in the end of the whole of it."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.error: BaseException | None = None
        self.result: Any = None

    def next_step(self, operation: Operation[Any]) -> Step | None:
        """The operation's next step, or ``None`` when it is done."""
        answer, error = self.answer, self.error
        self.answer = self.error = None
        try:
            return operation.send(answer) if error is None else operation.throw(error)
        except StopIteration as done:
            self.result = done.value
            return None


def _call(client: Any, step: Call) -> Any:
    method = _method(client, step.method)
    try:
        return method(*step.arguments, **step.options)
    except Exception as error:
        if step.method not in _REPEATABLE or not is_transient(error):
            raise
        failed = [error]

    def again() -> Any:
        if failed:  # the first attempt, which was made without the machinery for the others: it is in every search
            raise failed.pop()
        return method(*step.arguments, **step.options)

    return Retrying(**_patience(client, step))(again)


async def _call_async(client: Any, step: Call) -> Any:
    method = _method(client, step.method)

    def once() -> Awaitable[Any]:
        if inspect.iscoroutinefunction(method):
            answer: Awaitable[Any] = method(*step.arguments, **step.options)
            return answer
        return asyncio.to_thread(method, *step.arguments, **step.options)

    if step.method not in _REPEATABLE:
        return await once()
    async for attempt in AsyncRetrying(**_patience(client, step)):
        with attempt:
            return await once()
    raise AssertionError("unreachable")


def _method(client: Any, name: str) -> Callable[..., Any]:
    """A client's method; those of qdrant-client's local mode, which is not made for threads, run one at a time."""
    method: Callable[..., Any] = getattr(client, name)
    if not isinstance(client, QdrantClient) or not isinstance(client._client, QdrantLocal):
        return method
    lock: threading.Lock = client.__dict__.setdefault("_fg_search_lock", threading.Lock())

    def one_at_a_time(*arguments: Any, **options: Any) -> Any:
        with lock:
            return method(*arguments, **options)

    return one_at_a_time


def _patience(client: Any, step: Call) -> dict[str, Any]:
    """How long to go on asking: exponential back-off with jitter, or as long as the server says."""

    def give_up(state: RetryCallState) -> Any:
        error = None if state.outcome is None else state.outcome.exception()
        raise StorageError(
            f"{type(client).__name__}.{step.method} failed {state.attempt_number} times, the last time with: {error}; "
            "what was acknowledged before is kept, so run it again when the server answers"
        ) from error

    return {
        "retry": retry_if_exception(is_transient),
        "wait": _wait,
        "stop": stop_after_attempt(_ATTEMPTS),
        "retry_error_callback": give_up,
    }


_backoff = wait_random_exponential(multiplier=0.5, max=20)


def _wait(state: RetryCallState) -> float:
    error = None if state.outcome is None else state.outcome.exception()
    asked = getattr(error, "retry_after_s", None)
    return _backoff(state) if asked is None else min(float(asked), _LONGEST_PAUSE)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later: no connection, a timeout, a server that is busy."""
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, UnexpectedResponse):
        return error.status_code in _BUSY
    if isinstance(error, ResponseHandlingException):
        import httpx

        return isinstance(error.source, httpx.TransportError)
    return isinstance(error, ResourceExhaustedResponse)

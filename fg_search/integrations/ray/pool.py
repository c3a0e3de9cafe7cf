"""Pool of actors: each has an encoder and does what it is asked, one thing after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import ray
from ray.exceptions import RayActorError

from fg_search.integrations.ray.encoders import SharedEncoder, made
from fg_search.integrations.ray.errors import as_raised

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

T = TypeVar("T")

_AHEAD = 2  # tasks of a worker, so that the next one is there when one is done
_PATIENCE = 2.0  # seconds without a word
_ATTEMPTS = 3  # at a task whose worker dies


class Pool:
    """Pool of actors.

    Args:
        count: Number of actors.
        resources: What each asks Ray for.
    """

    def __init__(self, count: int, **resources: float) -> None:
        kind = ray.remote(_Worker).options(max_restarts=-1, max_task_retries=_ATTEMPTS, **resources)
        self._workers = [kind.remote() for _ in range(count)]

    def close(self) -> None:
        """End the actors."""
        for worker in self._workers:
            ray.kill(worker)

    def warm(self, encoder: SharedEncoder) -> None:
        """Have all of them load an encoder, without waiting for it."""
        for worker in self._workers:
            worker.warm.remote(encoder)

    def each(
        self,
        task: Callable[..., T],
        encoder: SharedEncoder,
        items: Iterable[tuple[Any, ...]],
        *rest: Any,
    ) -> Iterator[T | None]:
        """Do something with each item, and yield results as they come, ``None`` if none has come for some seconds.

        A task whose worker dies is done again by the one that takes its place.

        Args:
            task: Called with the encoder, what an item consists of, and the rest.
            encoder: The encoder.
            items: Items, which consist of values or of references to them. No more are taken than are worked on.
            *rest: Further arguments, the same for all items.

        Raises:
            Exception: What a task has raised.
            MemoryError: If the workers of one task died again and again.
        """
        waiting, is_over = iter(items), False
        idle = deque(self._workers * _AHEAD)
        busy: dict[Any, Any] = {}
        try:
            while busy or not is_over:
                while idle and not is_over:
                    try:
                        item = next(waiting)
                    except StopIteration:
                        is_over = True
                        break
                    worker = idle.popleft()
                    busy[worker.do.remote(task, encoder, rest, *item)] = worker
                ready, _ = ray.wait(list(busy), timeout=_PATIENCE) if busy else ([], [])
                for done in ready:
                    idle.append(busy.pop(done))
                    yield _result(done)
                if busy and not ready:
                    yield None
        finally:
            for left in busy:
                ray.cancel(left)


def _result(done: Any) -> Any:
    try:
        with as_raised():
            return ray.get(done)
    except RayActorError as error:
        raise MemoryError(
            f"the workers that did a task died {_ATTEMPTS + 1} times, mostly for lack of memory; have them take less "
            f"at once: Workers(items=…). Ray says: {error}"
        ) from error


class _Worker:
    """An actor."""

    def __init__(self) -> None:
        self._shared: SharedEncoder | None = None
        self._encoder: FeatureGroupEncoder | None = None

    def warm(self, encoder: SharedEncoder) -> None:
        """Load an encoder that will be needed. If that fails, whoever needs it will hear of it."""
        with suppress(Exception):
            self._load(encoder)

    def do(self, task: Callable[..., Any], encoder: SharedEncoder, rest: Sequence[Any], *item: Any) -> Any:
        """Do something with an item. References among what it consists of have become values."""
        return task(self._load(encoder), *item, *rest)

    def _load(self, encoder: SharedEncoder) -> FeatureGroupEncoder:
        if self._encoder is None or encoder != self._shared:
            self._encoder, self._shared = made(encoder.source), encoder
        return self._encoder

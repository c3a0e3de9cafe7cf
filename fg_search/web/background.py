"""Slow computations in a background thread, cached until they are out of date."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

_OLDEST = 600.0  # seconds; other processes may write to the same index


class Background(Generic[T]):
    """A value computed in the background on first use and cached.

    Args:
        compute: Slow function that returns the value.
        version: Cheap function; the cached value is out of date when its result changes.
    """

    def __init__(self, compute: Callable[[], T], version: Callable[[], Hashable]) -> None:
        self._compute, self._version = compute, version
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="fg-search-survey")
        self._lock = Lock()
        self._running: Future[T] | None = None
        self._of: Hashable = None
        self._since = 0.0
        self._before: Future[T] | None = None

    def get(self, patience: float, *, or_before: bool = False) -> T | None:
        """The value, or ``None`` if it is not ready after ``patience`` seconds; then ask again.

        Args:
            patience: Seconds to wait.
            or_before: Take the value before it, without waiting, while one that is out of date is computed again.
        """
        version = self._version()
        with self._lock:
            is_old = version != self._of or time.monotonic() - self._since > _OLDEST
            if self._running is None or (is_old and self._running.done()):
                self._before = self._running
                self._running = self._worker.submit(self._compute)
                self._of, self._since = version, time.monotonic()
            running = self._running
            if or_before and not running.done() and self._before is not None and self._before.exception() is None:
                running = self._before
        try:
            return running.result(timeout=patience)
        except NotYetError:
            return None
        except Exception:
            self.forget()  # the next call tries again
            raise

    def forget(self) -> None:
        """Drop the cached value, so that the next call computes it again."""
        with self._lock:
            self._running = None

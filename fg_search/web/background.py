"""Something that takes a while to compute: in a thread of its own, kept until it is out of date."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

_OLDEST = 600.0  # seconds; others may write to the same index


class Background(Generic[T]):
    """A value that is computed when it is asked for.

    Args:
        compute: What takes long.
        version: Cheap; the value is out of date when this is another one.
    """

    def __init__(self, compute: Callable[[], T], version: Callable[[], Hashable]) -> None:
        self._compute, self._version = compute, version
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="fg-search-survey")
        self._lock = Lock()
        self._running: Future[T] | None = None
        self._of: Hashable = None
        self._since = 0.0

    def get(self, patience: float) -> T | None:
        """The value; ``None`` if it is not there after so many seconds. Ask again then."""
        version = self._version()
        with self._lock:
            is_old = version != self._of or time.monotonic() - self._since > _OLDEST
            if self._running is None or (is_old and self._running.done()):
                self._running = self._worker.submit(self._compute)
                self._of, self._since = version, time.monotonic()
            running = self._running
        try:
            return running.result(timeout=patience)
        except NotYetError:
            return None
        except Exception:
            self.forget()  # the next one to ask has it tried again
            raise

    def forget(self) -> None:
        """Compute it anew when it is asked for again."""
        with self._lock:
            self._running = None

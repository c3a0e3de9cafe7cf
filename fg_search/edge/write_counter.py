"""Count of the writes to a collection, for readers that need several calls of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class WriteCounter:
    """Tells a reader whether a write came between its calls. Readers take no lock; writes come one at a time."""

    def __init__(self) -> None:
        self._begun = 0
        self._ended = 0

    @contextmanager
    def write(self) -> Iterator[None]:
        """Count what is done inside as one write."""
        self._begun += 1
        try:
            yield
        finally:
            self._ended += 1

    def mark(self) -> int | None:
        """Number of writes so far, to compare later; None while one is under way."""
        ended = self._ended  # read first: a write that begins meanwhile shows in the other number
        return ended if ended == self._begun else None

    def is_unchanged(self, mark: int) -> bool:
        """Whether no write has begun since the mark."""
        return self._begun == mark

"""Errors in files and rows, and the two ways to handle a bad row: stop, or skip and count it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from fg_search.errors import FgSearchError


class RecordError(FgSearchError, ValueError):
    """A file cannot be read as rows, or a row is invalid.

    Attributes:
        place: File, or file and row (``"file.jsonl:17"``).
        problem: Description of what is wrong.
    """

    def __init__(self, place: str | Path, problem: str) -> None:
        super().__init__(place, problem)  # the original arguments, so that copying and pickling work
        self.place = str(place)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


OnError = Callable[[RecordError], None]
"""Handler of a bad row's error: it raises to stop, or returns to skip the row."""


def stop(error: RecordError) -> NoReturn:
    """Stop at the first bad row.

    Raises:
        RecordError: Always; this is ``error``.
    """
    raise error


@dataclass
class SkippedRows:
    """Skip bad rows and collect their messages for a summary. One instance can serve several files.

    Attributes:
        report: Function called immediately with the message of each bad row.
        keep: Maximum number of messages to keep; every row of a file may be bad.
        count: Number of bad rows so far.
        messages: The first ``keep`` messages.
    """

    report: Callable[[str], None] | None = None
    keep: int = 20
    count: int = field(default=0, init=False)
    messages: list[str] = field(default_factory=list, init=False)

    def __call__(self, error: RecordError) -> None:
        """Count the bad row and report it."""
        self.count += 1
        if len(self.messages) < self.keep:
            self.messages.append(str(error))
        if self.report is not None:
            self.report(str(error))

"""What is wrong with a file or a row, and what to do about a bad row: stop, or skip and count it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from fg_search.errors import FgSearchError


class RecordError(FgSearchError, ValueError):
    """A file that cannot be read as rows, or a row that is not what was asked for.

    Attributes:
        place: The file, or the file and the row in it (``"file.jsonl:17"``).
        problem: What is wrong there.
    """

    def __init__(self, place: str | Path, problem: str) -> None:
        super().__init__(place, problem)  # as they are, so that a copy or a pickle can be made from them
        self.place = str(place)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


OnError = Callable[[RecordError], None]
"""What is called with the error of a bad row: it raises to stop, and returns to go on without the row."""


def stop(error: RecordError) -> NoReturn:
    """Stop at the first bad row.

    Raises:
        RecordError: Always, the one it was given.
    """
    raise error


@dataclass
class SkippedRows:
    """Go on without the bad rows, and remember them for a summary. One may serve several files.

    Attributes:
        report: Called with the message of each bad row at once.
        keep: How many messages are kept: there may be as many bad rows as rows.
        count: Bad rows so far.
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

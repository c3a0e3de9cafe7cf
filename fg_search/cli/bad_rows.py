"""Bad rows of a file on stderr: the first few of each reason and their number, not a line for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fg_search.cli.console import warn
from fg_search.cli.options import OnBadRow
from fg_search.records import RecordError, stop

_SHOWN = 3  # rows of a reason
_REASONS = 20
_VALUES = re.compile(r"(?<= )(?:'[^']*'|\"[^\"]*\")|\d+")  # not the name of the column, which begins a sentence


@dataclass
class BadRows:
    """Handler of bad rows that leaves them out, or stops at the first.

    Attributes:
        on_error: Whether to skip bad rows or stop at the first.
        count: Number of bad rows so far.
    """

    on_error: OnBadRow
    count: int = field(default=0, init=False)
    _first: dict[str, list[RecordError]] = field(default_factory=dict, init=False)  # by reason

    def __call__(self, error: RecordError) -> None:
        """Count a bad row."""
        if self.on_error == "stop":
            stop(error)
        self.count += 1
        reason = _VALUES.sub("…", error.problem)
        if len(self._first) < _REASONS or reason in self._first:
            first = self._first.setdefault(reason, [])
            first.extend([error][: _SHOWN - len(first)])

    def report(self, *, all_bad: bool) -> None:
        """Print the first ones of each reason; only one if all rows are bad for the same reason."""
        once = all_bad and len(self._first) == 1
        shown = [error for first in self._first.values() for error in first[: 1 if once else _SHOWN]]
        for error in shown:
            warn(str(error))
        if self.count > len(shown):
            warn(f"… and {self.count - len(shown):,} more" + (" for the same reason" if once else ""))


@contextmanager
def left_out(path: Path, on_error: OnBadRow) -> Iterator[BadRows]:
    """Collect the bad rows of a file within the block, and report them at its end."""
    bad = BadRows(on_error)
    try:
        yield bad
    except RecordError:
        bad.report(all_bad=True)
        raise
    bad.report(all_bad=False)
    if bad.count:
        warn(f"{path}: {bad.count:,} bad row(s) left out; --on-error stop would have stopped at the first")

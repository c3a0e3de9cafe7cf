"""What commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any, TypeVar

from rich.console import Console

T = TypeVar("T")

console = Console(highlight=False, emoji=False)
log = Console(stderr=True, highlight=False, emoji=False)


def say(text: str) -> None:
    """Print a line to stdout as it is."""
    console.print(text, soft_wrap=True, markup=False)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    log.print(text, style="yellow", markup=False, soft_wrap=True)


class _LoggedWarnings(logging.Handler):
    """Prints what the library warns about."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning."""
        warn(f"warning: {record.getMessage()}")


LOGGED_WARNINGS = _LoggedWarnings(logging.WARNING)


def print_json(value: object) -> None:
    """Print a value as one line of JSON, with null for NaN."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False) + "\n")


def show_each(found: Sequence[T], show: Callable[[Console, Sequence[T]], None], *, as_json: bool) -> None:
    """Print results: one JSON object per line, or all of them with ``show``."""
    if as_json:
        for result in found:
            print_json(result)
    else:
        show(console, found)


@contextmanager
def timed(done: str, *, quiet: bool = False) -> Iterator[None]:
    """Report on stderr how long the block took."""
    start = time.perf_counter()
    yield
    if not quiet:
        log.print(f"{done} in {time.perf_counter() - start:.1f} s", style="dim")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value

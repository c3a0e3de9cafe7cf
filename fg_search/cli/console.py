"""What commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import codecs
import io
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

_IN_ASCII = "fg_search.in_ascii"  # name of the error handler
# what tables and messages of the command line are drawn with; of the same width where it matters
_LOOKALIKES = {"█": "#", "░": ".", "·": "*", "³": "^3", "…": "...", "–": "-", "—": "-", "‘": "'", "’": "'"}  # noqa: RUF001

console = Console(highlight=False, emoji=False)
log = Console(stderr=True, highlight=False, emoji=False)


def prepare_streams() -> None:
    """Let no character stop a command: what the output lacks is written in ASCII, what the input lacks is kept.

    On Windows, output into a file or a pipe has an old code page; in a minimal container, it may be ASCII.
    """
    codecs.register_error(_IN_ASCII, _in_ascii)
    for stream, errors in ((sys.stdout, _IN_ASCII), (sys.stderr, _IN_ASCII), (sys.stdin, "surrogateescape")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    written = (_LOOKALIKES.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in lost)
    return "".join(written), error.end


def say(text: str) -> None:
    """Print a line to stdout verbatim."""
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
    """Print a value as one line of JSON, with null for NaN, and in ASCII where the output is not Unicode."""
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=not is_unicode, allow_nan=False) + "\n")


def report(text: str, facts: object, *, as_json: bool) -> None:
    """Print what a command did: a sentence for people, or the same as one line of JSON."""
    if as_json:
        print_json(facts)
    else:
        say(text)


def counted(count: int, one: str, several: str) -> str:
    """A number with its noun, such as "1 item removed" and "2 items removed"."""
    return f"{count:,} {one if count == 1 else several}"


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


@contextmanager
def announced(doing: str, done: str) -> Iterator[None]:
    """On a terminal, say what the block does before it begins, and at its end how long it took."""
    at_terminal = sys.stderr.isatty()
    if at_terminal:
        log.print(f"{doing} …", style="dim", markup=False, soft_wrap=True)
    with timed(done, quiet=not at_terminal):
        yield


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

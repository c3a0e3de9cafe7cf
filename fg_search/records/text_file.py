"""Text files, plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fg_search.records.errors import RecordError

GZIP_ENDING = ".gz"


@contextmanager
def open_text(path: Path, *, newline: str) -> Iterator[TextIO]:
    """Open a text file for reading line by line.

    A byte that is not UTF-8 is read as a lone surrogate, so that it invalidates its row and not the whole file.

    Args:
        path: UTF-8 file, with or without a byte order mark; gzipped if the name ends in ``.gz``.
        newline: Newline mode, passed to ``open``.

    Raises:
        RecordError: The file cannot be opened, or reading it inside the ``with`` block fails.
    """
    opener = gzip.open if path.suffix.lower() == GZIP_ENDING else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=newline) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(path, f"cannot be read: {error}") from None

"""Text files, plain or gzipped."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fg_search.records.errors import RecordError

GZIP_ENDING = ".gz"
MAX_LINE = 1 << 26  # characters; a file without line breaks must not fill the memory


def check_encoding(encoding: str) -> str:
    """Return the name of an encoding for opening files; UTF-8 becomes the one that skips a byte order mark.

    Raises:
        ValueError: There is no such encoding of text.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # refuses codecs that are no encodings of text
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        raise ValueError(f"there is no encoding {encoding!r}; utf-8, cp1252, latin-1 and utf-16 are some") from None
    return "utf-8-sig" if name == "utf-8" else name


def not_decoded(encoding: str | None) -> str:
    """What is wrong with a row that has bytes outside its encoding."""
    if encoding is not None:
        return f"not {encoding}; name another encoding, or save the file as UTF-8"
    return "not UTF-8; name the encoding of the file (encoding='cp1252', --encoding cp1252), or save it as UTF-8"


@contextmanager
def open_text(path: Path, *, newline: str, encoding: str | None = None) -> Iterator[TextIO]:
    """Open a text file for reading line by line.

    A byte that is not of the encoding is read as a lone surrogate, so that it invalidates its row and not the whole
    file.

    Args:
        path: File, with or without a byte order mark; gzipped if the name ends in ``.gz``.
        newline: Newline mode, passed to ``open``.
        encoding: Encoding of the file; UTF-8 by default.

    Raises:
        RecordError: The file cannot be opened, or reading it inside the ``with`` block fails.
    """
    opener = gzip.open if path.suffix.lower() == GZIP_ENDING else open
    name = check_encoding(encoding or "utf-8")
    try:
        with opener(path, "rt", encoding=name, errors="surrogateescape", newline=newline) as file:
            yield file
    except UnicodeError:  # an encoding of several bytes a character, where not every byte can become a surrogate
        raise RecordError(path, not_decoded(encoding)) from None
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(path, f"cannot be read: {error}") from None


def iterate_lines(file: TextIO, path: Path) -> Iterator[str]:
    """Yield the lines of a file with their ends.

    Raises:
        RecordError: A line is too long to be one.
    """
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise RecordError(f"{path}:{number}", f"the line has more than {MAX_LINE:,} characters")
        yield line

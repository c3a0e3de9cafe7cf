"""The encoding of a text file, found by its bytes."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from fg_search.records.errors import RecordError

AUTO = "auto"
"""Name of an encoding that is to be found."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_READ = 1 << 22  # bytes that are looked at
_UNUSED = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])  # which cp1252 gives no meaning


def find_encoding(path: Path) -> str:
    """Find the encoding: by its mark, else UTF-8 if it is that, else the usual one of spreadsheets on Windows.

    Zero bytes are of no text in these two: where they are in every other place, it is UTF-16 without its mark.

    Raises:
        RecordError: The file cannot be read.
    """
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rb") as file:
            start = file.read(_READ)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(path, f"cannot be read: {error}") from None
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    for name, zeros, others in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if zeros.count(0) > len(zeros) / 2 and not others.count(0):
            return name
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # its last character may be cut in two
    except UnicodeDecodeError:
        return "latin-1" if any(byte in start for byte in _UNUSED) else "cp1252"
    return "utf-8"

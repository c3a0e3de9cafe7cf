"""Rows of a JSONL file: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from fg_search.records.errors import RecordError
from fg_search.records.json_value import is_unicode
from fg_search.records.record import Row
from fg_search.records.text_file import iterate_lines, not_decoded, open_text


def read_jsonl(path: Path, *, encoding: str | None = None) -> Iterator[Row | RecordError]:
    """Read rows one at a time; an invalid line is yielded as an error. Empty lines are skipped.

    Args:
        path: The file.
        encoding: Encoding of the file; UTF-8 by default.

    Raises:
        RecordError: The file cannot be read.
    """
    with open_text(path, newline="\n", encoding=encoding) as file:
        for number, line in enumerate(iterate_lines(file, path), start=1):
            if line.strip():
                yield parse_line(line, f"{path}:{number}", encoding)


def parse_line(line: str, place: str, encoding: str | None = None) -> Row | RecordError:
    """The row of a line, or what is wrong with it.

    Args:
        line: The line.
        place: Name of the line in messages.
        encoding: Encoding that it was read in, for messages.
    """
    if not is_unicode(line):
        return RecordError(place, not_decoded(encoding))
    try:
        row = json.loads(line)
    except RecursionError:
        return RecordError(place, "nested too deeply")
    except ValueError as error:  # JSONDecodeError, or a number with more digits than Python converts
        return RecordError(place, f"not JSON: {error}")
    if not isinstance(row, dict):
        return RecordError(place, f"a {type(row).__name__}, not a JSON object")
    return Row(place, row)

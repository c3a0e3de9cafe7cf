"""Rows of a CSV or TSV file with a header; all values are strings."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fg_search.records.errors import RecordError
from fg_search.records.json_value import is_unicode
from fg_search.records.record import Row
from fg_search.records.text_file import open_text

if TYPE_CHECKING:
    from _csv import Reader


def read_delimited(path: Path, *, delimiter: str) -> Iterator[Row | RecordError]:
    """Read rows one at a time; an invalid line is yielded as an error. Empty lines are skipped.

    Args:
        path: File whose first row is the header. Fields in double quotes may contain line breaks.
        delimiter: Character between fields.

    Raises:
        RecordError: The file cannot be read, or its header is invalid or names a column twice.
    """
    with open_text(path, newline="") as file:
        rows = _parse(csv.reader(file, delimiter=delimiter, strict=True), path)
        header = next(rows, None)
        if header is None:
            return
        if isinstance(header, RecordError):
            raise header
        _, names = header
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RecordError(path, f"the header names {', '.join(map(repr, twice))} twice")
        for row in rows:
            if isinstance(row, RecordError):
                yield row
                continue
            place, fields = row
            if len(fields) == len(names):
                yield Row(place, dict(zip(names, fields, strict=True)))
            else:
                yield RecordError(place, f"another number of fields ({len(fields)}) than in the header ({len(names)})")


def _parse(reader: Reader, path: Path) -> Iterator[tuple[str, list[str]] | RecordError]:
    while True:
        start = reader.line_num + 1  # first line of the row; line_num is the last line read
        place = f"{path}:{start}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader continues with the next line
            lost = f" (up to line {reader.line_num})" if reader.line_num > start else ""
            yield RecordError(place, f"not CSV: {error}{lost}")
            continue
        if not all(map(is_unicode, fields)):
            yield RecordError(place, "not UTF-8")
        elif fields:
            yield place, fields

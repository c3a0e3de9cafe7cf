"""Rows of a CSV or TSV file with a header; all values are strings."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from fg_search.csv_rows import CsvError, CsvFlaw, CsvRow, check_delimiter, delimiter_hint, find_delimiter, read_csv
from fg_search.records.errors import RecordError
from fg_search.records.json_value import is_unicode
from fg_search.records.record import Row, listed
from fg_search.records.text_file import iterate_lines, not_decoded, open_text


def read_delimited(
    path: Path, *, delimiter: str | None, usual: str, encoding: str | None = None
) -> Iterator[Row | RecordError]:
    """Read rows one at a time; an invalid line is yielded as an error. Empty lines are skipped.

    Columns at the end whose name is empty are left out; spreadsheets write them for cells that were once used.

    Args:
        path: File whose first row is the header. Fields in double quotes may contain line breaks.
        delimiter: Character between fields; found in the header by default.
        usual: Delimiter to expect in a file of this ending.
        encoding: Encoding of the file; UTF-8 by default.

    Raises:
        RecordError: The file cannot be read, its header is invalid or names a column twice, or a quote is not closed.
    """
    if delimiter is not None:
        check_delimiter(delimiter)
    with open_text(path, newline="", encoding=encoding) as file:
        lines = iterate_lines(file, path)
        first = next(lines, None)
        if first is None:
            return
        chosen = find_delimiter(first, usual) if delimiter is None else delimiter
        rows = read_csv(chain([first], lines), delimiter=chosen)
        try:
            header = next(rows, None)
            if header is None:
                return
            columns = _Header(path, header, chosen, encoding)
            for row in rows:
                yield columns.row(row)
        except CsvError as error:
            raise RecordError(f"{path}:{error.line}", error.problem) from None


def chosen_delimiter(path: Path, *, delimiter: str | None, usual: str, encoding: str | None = None) -> str:
    """The character between the fields of a file, as :func:`read_delimited` finds it.

    Raises:
        RecordError: The file cannot be read.
    """
    if delimiter is not None:
        return delimiter
    with open_text(path, newline="", encoding=encoding) as file:
        return find_delimiter(next(iterate_lines(file, path), ""), usual)


class _Header:
    """The names of the columns, and rows made with them.

    Raises:
        RecordError: It is no row, or names a column twice.
    """

    def __init__(self, path: Path, header: CsvRow | CsvFlaw, delimiter: str, encoding: str | None) -> None:
        self._path, self._encoding = path, encoding
        checked = self._checked(header)
        if isinstance(checked, RecordError):
            raise checked
        self._width = len(checked.fields)
        self._names = list(checked.fields)
        while self._names and not self._names[-1].strip():
            self._names.pop()
        twice = sorted(name for name, count in Counter(self._names).items() if count > 1)
        if "" in twice:
            unnamed = [number for number, name in enumerate(self._names, start=1) if not name]
            raise RecordError(
                path, f"{len(unnamed):,} columns, the first of them column {unnamed[0]}, have no name; name them"
            )
        if twice:
            raise RecordError(path, f"the header names {listed(twice)} twice")
        self._hint = delimiter_hint(self._names, delimiter)

    def row(self, row: CsvRow | CsvFlaw) -> Row | RecordError:
        """The values of a row by column name, or what is wrong with it."""
        checked = self._checked(row)
        if isinstance(checked, RecordError):
            return checked
        fields, names, place = checked.fields, self._names, f"{self._path}:{checked.line}"
        if not len(names) <= len(fields) <= self._width:
            return RecordError(
                place, f"another number of fields ({len(fields)}) than in the header ({self._width}){self._hint}"
            )
        for number, field in enumerate(fields[len(names) :], start=len(names) + 1):
            if field.strip():
                return RecordError(
                    place, f"column {number} has no name, but holds {reprlib.repr(field)}; name it in the header"
                )
        return Row(place, dict(zip(names, fields, strict=False)), self._hint)

    def _checked(self, row: CsvRow | CsvFlaw) -> CsvRow | RecordError:
        place = f"{self._path}:{row.line}"
        if isinstance(row, CsvFlaw):
            return RecordError(place, row.problem)
        if not all(map(is_unicode, row.fields)):
            return RecordError(place, not_decoded(self._encoding))
        return row

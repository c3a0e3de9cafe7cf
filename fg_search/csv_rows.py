"""Rows of CSV text, with the lines they begin at; a quote that is never closed does not swallow the rows behind it.

A quote that opens a field and is not closed makes everything up to the next quote, or to the end of the file, part of
one field. The lines that were taken in tell: if they look like rows, then the quote is a stray one.
"""

from __future__ import annotations

import csv
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_ROW = 1 << 24  # characters; a quote that is never closed must not fill the memory
_DELIMITERS = (",", ";", "\t", "|")
_FIELD_LIMIT = threading.Lock()  # the module csv has one limit for the whole process


class CsvRow(NamedTuple):
    """One row.

    Attributes:
        line: Number of its first line, counted from 1.
        fields: Its fields; at least one.
    """

    line: int
    fields: list[str]


class CsvFlaw(NamedTuple):
    """A line, or several lines, that are no row.

    Attributes:
        line: Number of the first line, counted from 1.
        problem: What is wrong and what to do.
    """

    line: int
    problem: str


class CsvError(ValueError):
    """The file cannot be read any further: where its rows begin and end is unknown.

    Attributes:
        line: Number of the line where that begins, counted from 1.
        problem: What is wrong and what to do.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(line, problem)
        self.line = line
        self.problem = problem

    def __str__(self) -> str:
        return f"line {self.line}: {self.problem}"


def check_delimiter(delimiter: str) -> str:
    """Return a delimiter if it can be one.

    Raises:
        ValueError: It is not one character, or has another meaning in CSV.
    """
    if len(delimiter) != 1 or delimiter in '"\r\n\0 ':
        raise ValueError(f"the delimiter {delimiter!r} is not possible; give one character, such as ';' or a tab")
    return delimiter


def find_delimiter(header: str, usual: str = ",") -> str:
    """Return the delimiter of a header line: the usual one, unless only another one separates anything.

    Args:
        header: First line of the file.
        usual: Delimiter to expect.
    """
    if len(_split(header, usual) or ["", ""]) > 1:  # a header that is no row is reported as it is
        return usual
    counts = {delimiter: len(_split(header, delimiter) or []) for delimiter in (usual, *_DELIMITERS)}
    return max(counts, key=lambda delimiter: counts[delimiter])  # the usual one comes first among equals


def delimiter_hint(header: list[str], delimiter: str) -> str:
    """Return the end of an error message about a missing column; empty if the delimiter seems right."""
    other = find_delimiter(delimiter.join(header), delimiter) if len(header) == 1 else delimiter
    if other == delimiter:
        return ""
    return f"; its columns seem to be separated by {other!r}: say so (delimiter={other!r}, --delimiter {_shell(other)})"


def _shell(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else f"'{delimiter}'"


def read_csv(lines: Iterable[str], *, delimiter: str) -> Iterator[CsvRow | CsvFlaw]:
    """Yield the rows, empty lines left out. The first row is the header, which says how many fields a row has.

    Args:
        lines: Lines with their ends.
        delimiter: Character between fields.

    Raises:
        CsvError: A quote is not closed, and the lines behind it could be part of the text or rows.
    """
    source = _Lines(lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    columns: int | None = None
    while True:
        line = source.begin_row()
        try:
            fields = _next_row(reader, source)
        except StopIteration:
            return
        except (csv.Error, _TooLongError) as error:
            yield _flaw(error, line, source, columns, delimiter)
            continue
        if columns is not None and len(source.row) > 1 and _are_rows(source.row, columns, delimiter):
            yield from _taken_in(line, len(source.row))
        elif fields:
            columns = len(fields) if columns is None else columns
            yield CsvRow(line, fields)


class _TooLongError(Exception):
    """A row has more than ``MAX_ROW`` characters."""


class _Lines:
    """Lines for a reader, which remembers those of the current row and can take them back.

    Attributes:
        row: Lines that the reader took for the current row.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self._number = 0  # of the last line that the reader took
        self._size = 0
        self.row: list[str] = []

    def begin_row(self) -> int:
        """Forget the last row, and return the number of the line that comes next."""
        self.row = []
        self._size = 0
        return self._number + 1

    def take_back(self, first: int) -> None:
        """Hand out the lines of the current row again, from the given one on."""
        self._back.extendleft(reversed(self.row[first:]))
        self._number -= len(self.row) - first
        del self.row[first:]
        self._size = sum(map(len, self.row))

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self._number += 1
        self.row.append(line)
        self._size += len(line)
        if self._size > MAX_ROW:
            raise _TooLongError
        return line


def _next_row(reader: Iterator[list[str]], source: _Lines) -> list[str]:
    try:
        return next(reader)
    except csv.Error as error:
        if "field limit" not in str(error):
            raise
    source.take_back(0)
    with _FIELD_LIMIT:  # 131,072 characters by default, too few for a text
        limit = csv.field_size_limit(MAX_ROW)
        try:
            return next(reader)
        finally:
            csv.field_size_limit(limit)


def _flaw(error: Exception, line: int, source: _Lines, columns: int | None, delimiter: str) -> CsvFlaw:
    """Say what is wrong with a row that was not read, and go on behind it.

    Raises:
        CsvError: Where it ends is unknown.
    """
    count, unclosed = len(source.row), isinstance(error, _TooLongError) or "end of data" in str(error)
    if count == 1 and isinstance(error, csv.Error):
        return CsvFlaw(line, "not CSV: a quote is opened and never closed" if unclosed else f"not CSV: {error}")
    if columns is not None and columns > 1 and _are_mostly_rows(source.row, columns, delimiter):
        source.take_back(1)
        return CsvFlaw(line, "not CSV: a quote is opened in this line and not closed; close it, or write it twice")
    if count == 1:
        raise CsvError(line, f"the line has more than {MAX_ROW:,} characters")
    if unclosed or columns is None or columns == 1:
        raise CsvError(
            line,
            f"the quote opened here takes in the {count - 1:,} line(s) behind it, rows or not; "
            "close it where its field ends, or write it twice if it is part of the text",
        )
    return CsvFlaw(line, f"not CSV: {error} (up to line {line + count - 1})")


def _taken_in(line: int, count: int) -> Iterator[CsvFlaw]:
    """One flaw for each line of a field that took in rows, so that their number is right."""
    last = line + count - 1
    yield CsvFlaw(
        line,
        f"the quote opened here takes in the lines up to {last}, which look like rows; close it, or write it twice; "
        "if they are one text, hand the file in as JSONL",
    )
    for taken in range(line + 1, last + 1):
        yield CsvFlaw(taken, f"taken in by the quote that is opened in line {line}")


def _are_rows(lines: list[str], columns: int, delimiter: str) -> bool:
    """Whether each line of a field with line breaks looks like a row, too, so that its quotes are probably stray ones.

    The fewer the columns, the more lines of a text have as many delimiters by chance. Many lines of letters end in one.
    """
    if columns < 2 or len(lines) < max(2, 6 - columns):
        return False
    return all(_is_row(line, columns, delimiter) and not line.rstrip().endswith(delimiter) for line in lines)


def _are_mostly_rows(lines: list[str], columns: int, delimiter: str) -> bool:
    found = [_is_row(line, columns, delimiter) for line in lines]
    return found[0] and 2 * sum(found) >= len(found) and sum(found) > 1


def _is_row(line: str, columns: int, delimiter: str) -> bool:
    """Whether a line by itself has the right number of fields, whatever its quotes mean. Text has spaces at commas."""
    line = line.rstrip("\r\n")
    fields: list[str] | None = line.split(delimiter) if line.count(delimiter) == columns - 1 else None
    fields = _split(line, delimiter) if fields is None else fields
    return fields is not None and len(fields) == columns and not any(field.startswith(" ") for field in fields[1:])


def _split(line: str, delimiter: str) -> list[str] | None:
    """Fields of a line by itself, or ``None`` if it is no row."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), None)
    except csv.Error:
        return None

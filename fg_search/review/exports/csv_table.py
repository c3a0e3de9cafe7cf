"""Items to review as a CSV table with a column to fill in, and the corrections read back."""

from __future__ import annotations

import csv
import io
import json
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator

from fg_search.csv_rows import CsvFlaw, CsvRow, check_delimiter, delimiter_hint, find_delimiter, read_csv
from fg_search.ids import UserId
from fg_search.review.exports.corrections import Correction, Flaw, checked_label, labels_by_id, parsed_id, read_each
from fg_search.review.exports.fields import CORRECTED, FIELDS, ID
from fg_search.review.exports.spreadsheet import escape, unescape
from fg_search.review.items import ReviewItem
from fg_search.validation import is_blank

_PLAIN = re.compile(r"[^\W\d_][^\s\"\[\]{}]*")  # an id that is no JSON, and none that a spreadsheet takes for a formula
_SHOWN = 12  # maximum number of column names in an error message: a file that is not CSV may seem to have any number


def to_csv(items: Iterable[ReviewItem]) -> str:
    """Return a table with an empty column ``corrected_label``.

    An id that begins with a letter is written as it is. Others are JSON, so that 7 and "7" differ. Text that a
    spreadsheet would run as a formula is prefixed with a single quote; :func:`from_csv` removes it.
    """
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow((*FIELDS, CORRECTED))
    for item in items:
        user_id, *values = [getattr(item, field) for field in FIELDS]
        cells = ["" if value is None else escape(value) for value in values]
        writer.writerow([_written(user_id), *cells, ""])
    return target.getvalue()


def cell_id(text: str) -> UserId:
    """Return the id that :func:`to_csv` wrote: JSON, or a text that begins with a letter.

    Raises:
        ValueError: The cell holds neither.
    """
    return text if _PLAIN.fullmatch(text) else parsed_id(text)


def _written(user_id: UserId) -> str:
    plain = isinstance(user_id, str) and _PLAIN.fullmatch(user_id) is not None
    return str(user_id) if plain else json.dumps(user_id, ensure_ascii=False)


def from_csv(text: str, *, delimiter: str | None = None) -> dict[UserId, str]:
    """Return corrected labels by id, from the rows of :func:`to_csv` with a ``corrected_label``.

    Args:
        text: The table, as a person or a spreadsheet has saved it.
        delimiter: Character between cells; found in the header by default.

    Raises:
        ValueError: A column is missing or a row is invalid; the message names the line.
    """
    return labels_by_id(csv_corrections(text, delimiter=delimiter), "line")


def csv_corrections(
    text: str, *, delimiter: str | None = None, read_id: Callable[[str], UserId] = cell_id
) -> Iterator[Correction | Flaw]:
    """Yield the corrections of :func:`from_csv`, and a flaw for each bad row, with the line that the row starts at.

    Args:
        text: Content of the file.
        delimiter: Character between cells; by default it is found in the header.
        read_id: Function that reads an id from its cell; by default as it is exported.

    Raises:
        ValueError: The header is missing, lacks a column or names one twice, or a quote is never closed.
    """
    first = text[: text.find("\n") + 1] or text
    chosen = find_delimiter(first) if delimiter is None else check_delimiter(delimiter)
    rows = read_csv(io.StringIO(text, newline=""), delimiter=chosen)
    begin = next(rows, CsvRow(1, []))
    if isinstance(begin, CsvFlaw):
        raise ValueError(f"line {begin.line}: {begin.problem}")  # noqa: TRY004
    header = begin.fields
    for column in (ID, CORRECTED):
        if header.count(column) != 1:
            there = ", ".join(map(reprlib.repr, header[:_SHOWN])) or "none"
            problem = f"{column!r} twice" if column in header else f"no column {column!r}"
            raise ValueError(
                f"line {begin.line}: {problem}; there are {there}, separated by {chosen!r}"
                f"{delimiter_hint(header, chosen)}"
            )

    def read(row: CsvRow | CsvFlaw) -> tuple[UserId, str] | None:
        if isinstance(row, CsvFlaw):
            raise ValueError(row.problem)  # noqa: TRY004
        if len(row.fields) > len(header):
            raise ValueError(
                f"{len(row.fields)} cells, the header has {len(header)}; put a text that holds {chosen!r} in quotes"
            )
        cells = dict(zip(header, row.fields, strict=False))  # spreadsheets drop empty cells at the end
        label = unescape(cells.get(CORRECTED, ""))
        return None if is_blank(label) else (read_id(cells[ID]), checked_label(label, CORRECTED))

    yield from read_each(((row.line, row) for row in rows), read)

"""Items to review as a CSV table with a column to fill in, and the corrections read back."""

from __future__ import annotations

import csv
import io
import json
import reprlib
from collections.abc import Iterable, Iterator

from fg_search.ids import UserId
from fg_search.review.exports.corrections import Correction, Flaw, checked_label, labels_by_id, parsed_id, read_each
from fg_search.review.exports.fields import CORRECTED, FIELDS, ID
from fg_search.review.exports.spreadsheet import escape, unescape
from fg_search.review.items import ReviewItem

_SHOWN = 12  # maximum number of column names in an error message: a file that is not CSV may seem to have any number


def to_csv(items: Iterable[ReviewItem]) -> str:
    """Return a table with an empty column ``corrected_label``; ids are JSON, so that 7 and "7" differ.

    Text that a spreadsheet would run as a formula is prefixed with a single quote; :func:`from_csv` removes it.
    """
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow((*FIELDS, CORRECTED))
    for item in items:
        user_id, *values = [getattr(item, field) for field in FIELDS]
        cells = ["" if value is None else escape(value) for value in values]
        writer.writerow([json.dumps(user_id, ensure_ascii=False), *cells, ""])
    return target.getvalue()


def from_csv(text: str) -> dict[UserId, str]:
    """Return corrected labels by id, from the rows of :func:`to_csv` with a ``corrected_label``.

    Raises:
        ValueError: A column is missing or a row is invalid; the message names the line.
    """
    return labels_by_id(csv_corrections(text), "line")


def csv_corrections(text: str) -> Iterator[Correction | Flaw]:
    """Yield the corrections of :func:`from_csv`, and a flaw for each bad row, with the line that the row starts at.

    Raises:
        ValueError: The header is missing, lacks a column or names one twice.
    """
    rows = _csv_rows(text)
    number, header = next(rows, (1, []))
    if isinstance(header, csv.Error):
        raise ValueError(f"line {number}: not CSV: {header}")  # noqa: TRY004
    for column in (ID, CORRECTED):
        if header.count(column) != 1:
            there = ", ".join(map(reprlib.repr, header[:_SHOWN])) or "none"
            problem = f"{column!r} twice" if column in header else f"no column {column!r}"
            raise ValueError(f"line {number}: {problem}; there are {there}, separated by commas")

    def read(cells: list[str] | csv.Error) -> tuple[UserId, str] | None:
        if isinstance(cells, csv.Error):
            raise ValueError(f"not CSV: {cells}")  # noqa: TRY004
        if len(cells) > len(header):
            raise ValueError(f"{len(cells)} cells, the header has {len(header)}; put a text with commas in quotes")
        row = dict(zip(header, cells, strict=False))  # spreadsheets drop empty cells at the end
        label = unescape(row.get(CORRECTED, ""))
        return (parsed_id(row[ID]), checked_label(label, CORRECTED)) if label.strip() else None

    yield from read_each(rows, read)


def _csv_rows(text: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield non-empty rows with the number of their first line; the csv module continues after an error."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        number = reader.line_num + 1
        cells: list[str] | csv.Error
        limit = csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # 131,072 by default, too small for a text
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = error
        finally:
            csv.field_size_limit(limit)
        if cells != []:
            yield number, cells

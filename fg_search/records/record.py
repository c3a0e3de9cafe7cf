"""A row of a file, and the record that is made from it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fg_search.ids import UserId
from fg_search.records.errors import RecordError
from fg_search.records.json_value import check_value


@dataclass(frozen=True)
class Record:
    """One row: the columns that were named, and the rest of it as payload.

    Attributes:
        text: Never empty, unless no column of texts was named.
        id: ``None`` if no column of ids was named.
        label: ``None`` if it is unknown, or no column of labels was named.
        payload: All other columns, as JSON values.
        place: File and line (``"file.jsonl:17"``) or row (``"file.parquet:row 17"``), counted from 1.
    """

    text: str
    id: UserId | None
    label: str | None
    payload: dict[str, Any]
    place: str


class Row(NamedTuple):
    """One row as it is in the file."""

    place: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """The names of the columns that are more than payload."""

    text: str | None
    label: str | None
    id: str | None

    def check_present(self, row: Row) -> None:
        """Make sure that the row has them.

        Raises:
            RecordError: On the first that it lacks.
        """
        for column in (self.text, self.label, self.id):
            if column is not None and column not in row.values:
                there = ", ".join(map(repr, row.values)) or "none"
                raise RecordError(row.place, f"no column {column!r}; there are {there}")


def to_record(row: Row, columns: Columns, *, reserved: str) -> Record:
    """Make a record from a row.

    Args:
        row: Its values are of the types that ``json.loads`` makes.
        columns: Which columns are text, label and id.
        reserved: The key that the payload must not have.

    Raises:
        RecordError: If a column is missing, empty or of the wrong type, or a value cannot be stored as it is.
    """
    columns.check_present(row)
    named = {columns.text, columns.label, columns.id}
    record = Record(
        text="" if columns.text is None else _check_text(row, columns.text),
        id=None if columns.id is None else _check_id(row, columns.id),
        label=None if columns.label is None else _check_label(row, columns.label),
        payload={key: value for key, value in row.values.items() if key not in named},
        place=row.place,
    )
    if reserved in record.payload:
        raise RecordError(row.place, f"the column name {reserved!r} is reserved; rename the column")
    for column, value in row.values.items():
        try:
            check_value(column)
            check_value(value)
        except ValueError as error:
            raise RecordError(row.place, f"{column!r} {error}") from None
    return record


def _check_text(row: Row, column: str) -> str:
    value = row.values[column]
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RecordError(row.place, f"{column!r} is empty")
    if not isinstance(value, str):
        raise RecordError(row.place, f"{column!r} is {reprlib.repr(value)}, not a text")
    return value


def _check_id(row: Row, column: str) -> UserId:
    value = row.values[column]
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise RecordError(row.place, f"{column!r} is {reprlib.repr(value)}; an id is an integer or a text")
    return value


def _check_label(row: Row, column: str) -> str | None:
    value = row.values[column]
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise RecordError(row.place, f"{column!r} is {reprlib.repr(value)}; a label is a text")
    return value

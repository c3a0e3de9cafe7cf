"""Rows of a file, and the records made from them."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fg_search.ids import UserId
from fg_search.records.errors import RecordError
from fg_search.records.json_value import check_value
from fg_search.validation import is_blank, is_missing

_SHOWN = 12  # column names in an error message
_ENDS = (".", "!", "?", ":", ";", ",", "…", "。")


@dataclass(frozen=True)
class Record:
    """One row: its text, id and label, and all other columns as payload.

    Attributes:
        text: Text of the row; empty only if no text column was named.
        id: Id of the row, or ``None`` if no id column was named.
        label: Label of the row, or ``None`` if it is unknown or no label column was named. A whole number is given as
            its digits.
        payload: JSON values of all other columns.
        place: File and line (``"file.jsonl:17"``) or row (``"file.parquet:row 17"``), counted from 1.
        vector: ``(d,)`` float32 embedding of the row, or ``None`` if no column of vectors was named.
    """

    text: str
    id: UserId | None
    label: str | None
    payload: dict[str, Any]
    place: str
    vector: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


class Row(NamedTuple):
    """One row of a file, unchecked.

    Attributes:
        place: File and line or row.
        values: Values by column name.
        hint: What may be wrong with the file if a column is missing; the end of an error message.
    """

    place: str
    values: Mapping[str, Any]
    hint: str = ""


@dataclass(frozen=True)
class Columns:
    """Names of the columns for text, label, id and vector; all others are payload, as are those of a joined text."""

    text: tuple[str, ...]
    label: str | None
    id: str | None
    vector: str | None = None

    def check_present(self, row: Row) -> None:
        """Check that a row has the named columns.

        Raises:
            RecordError: A column is missing.
        """
        for column in (*self.text, self.label, self.id, self.vector):
            if column is not None and column not in row.values:
                raise RecordError(row.place, f"no column {column!r}; there are {listed(row.values)}{row.hint}")


def listed(columns: Iterable[str]) -> str:
    """Names of columns for an error message; a file of another form may seem to have any number."""
    names = list(columns)
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return (", ".join(map(reprlib.repr, names[:_SHOWN])) or "none") + more


def to_record(row: Row, columns: Columns, *, reserved: str) -> Record:
    """Make a record from a row.

    Args:
        row: Row with values of the types that ``json.loads`` returns.
        columns: Names of the columns for text, label and id.
        reserved: Column name that the payload must not contain.

    Raises:
        RecordError: A column is missing, empty or of the wrong type, or a value cannot be stored unchanged.
    """
    columns.check_present(row)
    whole = columns.text if len(columns.text) == 1 else ()  # what a joined text is made of, is kept beside it
    named = {*whole, columns.label, columns.id, columns.vector}
    record = Record(
        text=_check_text(row, columns.text),
        id=None if columns.id is None else _check_id(row, columns.id),
        label=None if columns.label is None else _check_label(row, columns.label),
        payload={key: value for key, value in row.values.items() if key not in named},
        place=row.place,
        vector=None if columns.vector is None else _check_vector(row, columns.vector),
    )
    if reserved in record.payload:
        raise RecordError(row.place, f"the column name {reserved!r} is reserved; rename the column")
    for column, value in row.values.items():
        if column == columns.vector:
            continue
        try:
            check_value(column)
            if column != columns.label or record.label is not None:  # NaN is no label
                check_value(value)
        except ValueError as error:
            raise RecordError(row.place, f"{column!r} {error}") from None
    return record


def _check_text(row: Row, columns: Sequence[str]) -> str:
    """The text of a row; of several columns those that are filled, joined."""
    parts = []
    for column in columns:
        value = row.values[column]
        if value is None or (isinstance(value, str) and is_blank(value)):
            if len(columns) == 1:
                raise RecordError(row.place, f"{column!r} is empty")
            continue
        if not isinstance(value, str):
            raise RecordError(row.place, f"{column!r} is {reprlib.repr(value)}, not a text")
        parts.append(value)
    if columns and not parts:
        raise RecordError(row.place, f"{listed(columns)} are empty")
    return parts[0] if len(parts) == 1 else joined(parts)


def joined(parts: Iterable[str]) -> str:
    """Sentences or titles as one text: a full stop is put where a part ends without any sign."""
    stripped = [part.strip() for part in parts]
    ended = [part if part[-1:] in _ENDS else f"{part}." for part in stripped[:-1]]
    return " ".join([*ended, *stripped[-1:]])


def _check_id(row: Row, column: str) -> UserId:
    value = row.values[column]
    if isinstance(value, bool) or not isinstance(value, (int, str)) or (isinstance(value, str) and not value.strip()):
        raise RecordError(row.place, f"{column!r} is {reprlib.repr(value)}; an id is an integer or a text")
    return value


def _check_vector(row: Row, column: str) -> npt.NDArray[np.float32]:
    """Return the vector of a row: a list of numbers, or, in a table, such a list as JSON."""
    value = row.values[column]
    try:
        found = np.array(json.loads(value) if isinstance(value, str) else value, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(())
    if found.ndim != 1 or not len(found):
        raise RecordError(row.place, f"{column!r} is {reprlib.repr(value)}, not a vector, a list of numbers")
    with np.errstate(over="ignore"):
        vector = found.astype(np.float32)
    if not np.isfinite(vector).all():
        raise RecordError(row.place, f"{column!r} holds a number that is missing, NaN or infinite")
    if not vector.any():
        raise RecordError(row.place, f"{column!r} holds zeros alone, which point nowhere")
    return vector


def _check_label(row: Row, column: str) -> str | None:
    """Return the label without the spaces around it; a whole number is a label by its digits, as CSV has it."""
    value = row.values[column]
    if isinstance(value, float) and value.is_integer():  # a data frame makes floats of integers with gaps
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if is_missing(value) or (isinstance(value, str) and is_blank(value)):
        return None
    if not isinstance(value, str):
        raise RecordError(row.place, f"{column!r} is {reprlib.repr(value)}; a label is a text or a whole number")
    return value.strip()

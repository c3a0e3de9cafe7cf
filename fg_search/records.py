"""Rows from JSONL and CSV files; an error names the file and the line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fg_search.ids import UserId


class RecordError(ValueError):
    """A file that cannot be read as rows, or a row that lacks what was asked for."""


@dataclass(frozen=True)
class Record:
    """One row: the columns that were named, and the rest of it as payload."""

    text: str
    id: UserId | None
    label: str | None
    payload: dict[str, Any]


def read_records(
    path: Path,
    *,
    text: str,
    label: str | None = None,
    id: str | None = None,  # noqa: A002  # the column's name
) -> list[Record]:
    """Read all rows of a file before anything is done with them.

    Args:
        path: A ``.jsonl`` (one JSON object a line) or ``.csv`` file (with a header), UTF-8.
        text: Column of the text; no row may lack it or leave it empty.
        label: Column of the label; no row may lack it, an empty or null value means unknown.
        id: Column of the id; no row may lack it or leave it empty.

    Raises:
        RecordError: If the file is not there, has another ending, or on the first bad row, with its line.
    """
    if not path.is_file():
        raise RecordError(f"there is no file {str(path)!r}")
    readers = {".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RecordError(f"{path}: the ending {path.suffix!r} is not known; use one of {', '.join(readers)}")
    records = [_to_record(row, place, text, label, id) for place, row in reader(path)]
    if not records:
        raise RecordError(f"{path}: the file has no rows")
    return records


def _to_record(row: Mapping[str, Any], place: str, text: str, label: str | None, id_column: str | None) -> Record:
    for column in filter(None, (text, label, id_column)):
        if column not in row:
            raise RecordError(f"{place}: no column {column!r}; there are {', '.join(map(repr, row))}")
    named = {text, label, id_column}
    content = row[text]
    if content is None or (isinstance(content, str) and not content.strip()):
        raise RecordError(f"{place}: {text!r} is empty")
    if not isinstance(content, str):
        raise RecordError(f"{place}: {text!r} is {content!r}, not a text")
    return Record(
        text=content,
        id=None if id_column is None else _check_id(row[id_column], place, id_column),
        label=None if label is None else _check_label(row[label], place, label),
        payload={key: value for key, value in row.items() if key not in named},
    )


def _check_id(value: Any, place: str, column: str) -> UserId:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise RecordError(f"{place}: {column!r} is {value!r}; an id is an integer or a text")
    return value


def _check_label(value: Any, place: str, column: str) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise RecordError(f"{place}: {column!r} is {value!r}; a label is a text")
    return value


def _read_jsonl(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}:{number}", _parse_line(line, f"{path}:{number}")
        except UnicodeDecodeError as error:
            raise RecordError(f"{path}: not UTF-8: {error}") from None


def _parse_line(line: str, place: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise RecordError(f"{place}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise RecordError(f"{place}: a {type(row).__name__}, not a JSON object")
    return row


def _read_csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    raise RecordError(f"{place}: the row has another number of fields than the header")
                yield place, row
        except UnicodeDecodeError as error:
            raise RecordError(f"{path}: not UTF-8: {error}") from None
        except csv.Error as error:
            raise RecordError(f"{path}:{reader.line_num}: not CSV: {error}") from None

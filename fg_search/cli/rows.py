"""Rows of the files that commands read: bad ones are reported, and left out or the end of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fg_search.cli.console import warn
from fg_search.cli.options import OnBadRow
from fg_search.ids import UserId, point_id, text_id
from fg_search.records import OnError, Record, RecordError, SkippedRows, iterate_records, read_records, stop


def rows_of(path: Path, on_error: OnBadRow, **columns: str | None) -> list[Record]:
    """All good rows of a file; bad ones are reported on stderr."""
    skipped = SkippedRows(report=warn)
    records = read_records(path, on_error=stop if on_error == "stop" else skipped, **columns)
    _summarise(path, skipped)
    return records


@dataclass(frozen=True)
class ItemRows:
    """The rows of a file as items to add; they are read anew each time, and never all in memory.

    Attributes:
        path: The file.
        columns: Names of the columns of text, label and id.
        count: Number of good rows.
    """

    path: Path
    columns: dict[str, str | None]
    count: int

    @classmethod
    def scan(cls, path: Path, on_error: OnBadRow, **columns: str | None) -> ItemRows:
        """Look at every row before anything is done with one, and report the bad ones.

        Raises:
            RecordError: At a bad row, if it is to stop.
        """
        skipped = SkippedRows(report=warn)
        rows = cls(path, columns, 0)
        count = sum(1 for _ in rows.read(stop if on_error == "stop" else skipped))
        _summarise(path, skipped)
        return cls(path, columns, count)

    def __iter__(self) -> Iterator[Record]:
        return self.read(_ignore)

    def read(self, on_error: OnError) -> Iterator[Record]:
        """The good rows; of rows that share an id and differ, the first is good."""
        seen: dict[int | str, tuple[str, int]] = {}
        for record in iterate_records(self.path, on_error=on_error, **self.columns):
            try:
                key = point_id(text_id(record.text) if record.id is None else record.id)
            except ValueError as error:
                on_error(RecordError(record.place, str(error)))
                continue
            content = hash((record.text, record.label, json.dumps(record.payload, sort_keys=True)))
            place, known = seen.setdefault(key, (record.place, content))
            if known == content:
                yield record
            else:
                same = "text" if record.id is None else f"id {record.id!r}"
                on_error(RecordError(record.place, f"it has the {same} of {place} and differs from it"))


def ids_of(records: Sequence[Record]) -> list[UserId]:
    """The ids of rows that were read with a column for them."""
    return [record.id for record in records if record.id is not None]


def attributes_of(records: Sequence[Record], names: Sequence[str]) -> dict[str, list[str | None]] | None:
    """The named columns as attributes; an empty or missing value is unknown.

    Raises:
        ValueError: If no row has a value in a column.
    """
    columns: dict[str, list[str | None]] = {}
    for name in names:
        values = [record.payload.get(name) for record in records]
        columns[name] = [None if value is None or value == "" else str(value) for value in values]
        if not any(columns[name]):
            raise ValueError(f"no row has a value in the column {name!r}")
    return columns or None


def queries_of(
    paths: Sequence[Path], on_error: OnBadRow, *, text: str, relevant: Sequence[str], out_of_scope: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """Queries, and for each its right answers; none where the index has none.

    Raises:
        RecordError: If the first row of a file has no such column, or another one, if it is to stop.
    """
    records: list[Record] = []
    for path in paths:
        skipped = SkippedRows(report=warn)
        for i, record in enumerate(rows_of(path, on_error, text=text)):
            missing = [column for column in relevant if column not in record.payload]
            if not missing:
                records.append(record)
                continue
            there = ", ".join(map(repr, record.payload)) or "none"
            error = RecordError(record.place, f"no column {missing[0]!r}; beside the text there are {there}")
            if not i or on_error == "stop":  # in the first row it is a mistyped name
                raise error
            skipped(error)
        _summarise(path, skipped)
    answers = []
    for record in records:
        values = [record.payload[column] for column in relevant]
        listed = [one for value in values for one in (value if isinstance(value, list) else [value])]
        answers.append([one for one in listed if one is not None and one != "" and one not in out_of_scope])
    return [record.text for record in records], answers


def _summarise(path: Path, skipped: SkippedRows) -> None:
    if skipped.count:
        warn(f"{path}: {skipped.count:,} bad row(s) left out; --on-error stop would have stopped at the first")


def _ignore(_: RecordError) -> None:
    """They were reported by the scan."""

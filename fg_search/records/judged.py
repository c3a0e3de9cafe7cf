"""Rows that are queries whose right answers are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fg_search.ids import UserId
from fg_search.records.errors import OnError, RecordError
from fg_search.records.read import iterate_records
from fg_search.records.record import Record, listed

_NUMBER = re.compile(r"[-+]?\d{1,15}(\.\d{1,15})?")  # as a cell of a table has it


@dataclass(frozen=True)
class JudgedRows:
    """Queries whose right answers are known, from files.

    Attributes:
        texts: The queries; ``None`` if they have no column of texts.
        answers: For each, its right answers; an empty list where the index has no answer.
        records: The rows.
    """

    texts: list[str] | None
    answers: list[list[Any]]
    records: list[Record]

    @classmethod
    def of(
        cls,
        records: list[Record],
        *,
        relevant: Sequence[str],
        out_of_scope: Collection[str] = (),
        read_id: Callable[[UserId], UserId] = lambda value: value,
        has_texts: bool = True,
    ) -> JudgedRows:
        """Take right answers from the columns of rows.

        Args:
            records: The rows.
            relevant: Columns with a right answer, or a list of them.
            out_of_scope: Values that stand for no answer.
            read_id: Reads a value that may be an id.
            has_texts: Whether the rows have texts.
        """
        answers = [list(_answers(record, relevant, out_of_scope, read_id)) for record in records]
        return cls([record.text for record in records] if has_texts else None, answers, records)

    def column(self, name: str) -> list[Any]:
        """A column, as numbers if it holds nothing else.

        Raises:
            RecordError: If no row has it.
        """
        values = [record.payload.get(name) for record in self.records]
        if all(value is None for value in values):
            first = self.records[0]
            raise RecordError(first.place, f"no column {name!r}; beside the text there are {listed(first.payload)}")
        known = [value for value in values if value not in (None, "")]
        if not all(isinstance(value, str) and _NUMBER.fullmatch(value) for value in known):
            return values
        return [float(value) if value not in (None, "") else None for value in values]


def read_judged(
    path: Path, *, text: Sequence[str] | None, relevant: Sequence[str], on_error: OnError, **form: str | None
) -> Iterator[Record]:
    """Read rows of a file that has columns of right answers.

    Args:
        path: The file.
        text: As for :func:`fg_search.records.iterate_records`.
        relevant: Columns with right answers.
        on_error: Handler called with the error of each bad row; if it returns, the row is skipped.
        **form: Column of embeddings and form of the file, as for ``iterate_records``.

    Raises:
        RecordError: What ``iterate_records`` raises, or if the first row lacks a column of right answers.
    """
    for i, record in enumerate(iterate_records(path, text=text, on_error=on_error, **form)):
        missing = [column for column in relevant if column not in record.payload]
        if not missing:
            yield record
            continue
        error = RecordError(
            record.place, f"no column {missing[0]!r}; beside the text there are {listed(record.payload)}"
        )
        if not i:  # missing from the first row, the column name is probably mistyped
            raise error
        on_error(error)


def _answers(
    record: Record, relevant: Sequence[str], out_of_scope: Collection[str], read_id: Callable[[UserId], UserId]
) -> Iterator[Any]:
    values = [record.payload[column] for column in relevant]
    for answer in (answer for value in values for answer in (value if isinstance(value, list) else [value])):
        if answer is not None and answer != "" and answer not in out_of_scope:
            yield read_id(answer) if isinstance(answer, (str, int)) else answer

"""Columns of files of judged queries: which options name them, if they are called otherwise than is usual."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from fg_search.records import RecordError
from fg_search.records.found_columns import find_named
from fg_search.records.read import first_row
from fg_search.records.record import listed

_QUERIES = ("query", "question", "text", "utterance", "search", "sentence", "message")
_ANSWERS = ("label", "right", "answer", "relevant", "expected", "category", "class", "intent", "topic")


def check_judged_columns(
    path: Path, text: Sequence[str] | None, relevant: Sequence[str], form: dict[str, str | None]
) -> None:
    """Say which options name the columns of a file that was refused, if it was because its first row lacks one.

    Raises:
        RecordError: If it lacks the column of the query or of the right answers.
    """
    first = first_row(path, **form)
    if first is None or first.hint:  # what is wrong with the whole file is told as it is read
        return
    missing = [column for column in (*(text or ()), *relevant) if column not in first.values]
    if not missing:
        return
    options = []
    if missing_text := any(column in missing for column in text or ()):
        options.append(_option("--text", _QUERIES, first.values))
    if any(column in missing for column in relevant):
        options.append(_option("--relevant", _ANSWERS, first.values))
    what = "the query" if missing_text else "the right answer"
    raise RecordError(
        first.place,
        f"no column {missing[0]!r} for {what}; there are {listed(first.values)}: say which it is, {' '.join(options)}",
    )


def _option(name: str, known: Sequence[str], columns: Iterable[str]) -> str:
    found = find_named(columns, known)
    return f"{name} {'COLUMN' if found is None else shlex.quote(found)}"

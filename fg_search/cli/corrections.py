"""Reading files that reviewers filled in, as rows with an id and the chosen label."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fg_search.integrations import argilla
from fg_search.records import OnError, Record, RecordError
from fg_search.review.exports import formats as export
from fg_search.review.exports.corrections import Correction, Flaw

_TEXT_READERS: dict[export.Form, Callable[[str], Iterable[Correction | Flaw]]] = {
    "csv": export.csv_corrections,
    "jsonl": export.jsonl_corrections,
}
_JSON_READERS: dict[export.Form, tuple[Callable[[list[Any]], Iterable[Correction | Flaw]], str]] = {
    "label-studio": (export.label_studio_corrections, "task"),
    "argilla": (argilla.argilla_corrections, "record"),
}


def read_corrections(path: Path, form: export.Form, *, on_error: OnError) -> Iterator[Record]:
    """Yield the rows in which a label was chosen.

    Args:
        path: A UTF-8 file.
        form: Format of the file.
        on_error: Called with the error of each bad row; if it returns, the row is skipped.

    Raises:
        RecordError: If the file cannot be read or has another format, whatever ``on_error`` does.
    """
    text = _text(path)
    try:
        if form in _TEXT_READERS:
            found, unit = _TEXT_READERS[form](text), ""
        else:
            read, unit = _JSON_READERS[form]
            found = read(_json_list(text))
        for row in found:
            place = f"{path}:{unit} {row.number}" if unit else f"{path}:{row.number}"
            if isinstance(row, Flaw):
                on_error(RecordError(place, row.problem))
            else:
                yield Record(text="", id=row.id, label=row.label, payload={}, place=place)
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(path, str(error)) from None


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(path, f"cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"not UTF-8: byte 0x{content[error.start]:02x} in line {line}; save it as UTF-8"
        raise RecordError(path, problem) from None
    if not text.strip():
        raise RecordError(path, "the file is empty")
    return text


def _json_list(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}; choose the form of the file with --format") from None
    if not isinstance(found, list):
        raise ValueError(f"a {type(found).__name__}, not a list of exported items")  # noqa: TRY004
    return found

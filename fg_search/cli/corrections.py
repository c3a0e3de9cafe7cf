"""Files that come back from those who reviewed, as rows with an id and the label that was chosen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fg_search.integrations import argilla
from fg_search.records import OnError, Record, RecordError
from fg_search.review.exports import formats as export
from fg_search.review.exports.corrections import Correction, Flaw

_OF_TEXT: dict[export.Form, Callable[[str], Iterable[Correction | Flaw]]] = {
    "csv": export.csv_corrections,
    "jsonl": export.jsonl_corrections,
}
_OF_JSON: dict[export.Form, tuple[Callable[[list[Any]], Iterable[Correction | Flaw]], str]] = {
    "label-studio": (export.label_studio_corrections, "task"),
    "argilla": (argilla.argilla_corrections, "record"),
}


def read_corrections(path: Path, form: export.Form, *, on_error: OnError) -> Iterator[Record]:
    """The rows in which a label was chosen.

    Args:
        path: UTF-8.
        form: Of the file.
        on_error: Called with the error of each bad row; if it returns, the row is skipped.

    Raises:
        RecordError: Whatever ``on_error`` says, if the file cannot be read, or is not of this form at all.
    """
    text = _text(path)
    try:
        if form in _OF_TEXT:
            found, unit = _OF_TEXT[form](text), ""
        else:
            read, unit = _OF_JSON[form]
            found = read(_json_list(text))
        for one in found:
            place = f"{path}:{unit} {one.number}" if unit else f"{path}:{one.number}"
            if isinstance(one, Flaw):
                on_error(RecordError(place, one.problem))
            else:
                yield Record(text="", id=one.id, label=one.label, payload={}, place=place)
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
        raise ValueError(f"a {type(found).__name__}, not a list of what was exported")  # noqa: TRY004
    return found

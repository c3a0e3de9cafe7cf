"""Reading files that reviewers filled in, as rows with an id and the chosen label."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fg_search.cli.options import IdsAs
from fg_search.integrations import argilla
from fg_search.records import OnError, Record, RecordError
from fg_search.records.found_encoding import AUTO, find_encoding
from fg_search.records.text_file import check_encoding
from fg_search.review.exports import formats as export
from fg_search.review.exports.corrections import Correction, Flaw

_UNITS: dict[export.Form, str] = {"label-studio": "task", "argilla": "record"}  # what is counted, if not lines


@dataclass(frozen=True)
class CorrectionsForm:
    """How to read a file of corrections.

    Attributes:
        name: Format of the file.
        ids: How to read ids. As text, the ids of a table need not be JSON.
        control: Name of the control or question that holds the labels, if the file may have several.
        delimiter: Character between the cells of a table; found in its header by default.
        encoding: Encoding of the file; UTF-8 by default.
    """

    name: export.Form
    ids: IdsAs = "json"
    control: str | None = None
    delimiter: str | None = None
    encoding: str | None = None


def read_corrections(path: Path, form: CorrectionsForm, *, on_error: OnError) -> Iterator[Record]:
    """Yield the rows in which a label was chosen.

    Args:
        path: The file.
        form: How to read it.
        on_error: Called with the error of each bad row; if it returns, the row is skipped.

    Raises:
        RecordError: If the file cannot be read or has another format, whatever ``on_error`` does.
    """
    text = _text(path, find_encoding(path) if form.encoding == AUTO else form.encoding)
    unit = _UNITS.get(form.name, "")
    try:
        for row in _corrections(text, form):
            place = f"{path}:{unit} {row.number}" if unit else f"{path}:{row.number}"
            if isinstance(row, Flaw):
                on_error(RecordError(place, row.problem))
            else:
                user_id = str(row.id) if form.ids == "text" else row.id
                yield Record(text="", id=user_id, label=row.label, payload={}, place=place)
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(path, str(error)) from None


def _corrections(text: str, form: CorrectionsForm) -> Iterable[Correction | Flaw]:
    if form.name == "csv":
        read_id = export.cell_id if form.ids == "json" else str
        return export.csv_corrections(text, delimiter=form.delimiter, read_id=read_id)
    if form.name == "jsonl":
        return export.jsonl_corrections(text)
    if form.name == "label-studio":
        return export.label_studio_corrections(_json_list(text), control=form.control)
    return argilla.argilla_corrections(_json_list(text), control=form.control)


def _text(path: Path, encoding: str | None) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(path, f"cannot be read: {error.strerror}") from None
    try:
        text = content.decode(check_encoding(encoding or "utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        name = encoding or "UTF-8"
        problem = (
            f"not {name}: byte 0x{content[error.start]:02x} in line {line}; save it as UTF-8, or name its encoding"
        )
        raise RecordError(path, f"{problem} (--encoding cp1252)") from None
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

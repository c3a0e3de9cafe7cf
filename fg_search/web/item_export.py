"""Items of a list as a file: a table with a column to fill in, or JSONL."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Literal

from fg_search.index.items import IndexedItem
from fg_search.review.exports.fields import CORRECTED, SUGGESTED
from fg_search.review.exports.spreadsheet import escape

ExportForm = Literal["csv", "jsonl"]
MEDIA_TYPES: dict[ExportForm, str] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}

_FIELDS = ("text", "label", "confidence", "familiarity", SUGGESTED, "wrong", "decided")


def exported(items: Iterable[IndexedItem], form: ExportForm) -> Iterator[str]:
    """Lines of the file, one an item. ``fg-search relabel`` takes it back with ``corrected_label`` filled in."""
    return _csv(items) if form == "csv" else _jsonl(items)


def _csv(items: Iterable[IndexedItem]) -> Iterator[str]:
    yield _row(["id", *_FIELDS, "payload", CORRECTED])
    for item in items:
        cells = ["" if value is None else escape(value) for value in (getattr(item, name) for name in _FIELDS)]
        yield _row([_json(item.id), *cells, _json(item.payload), ""])


def _jsonl(items: Iterable[IndexedItem]) -> Iterator[str]:
    for item in items:
        yield _json({name: getattr(item, name) for name in ("id", *_FIELDS, "payload")}) + "\n"


def _row(cells: list[object]) -> str:
    target = io.StringIO(newline="")
    csv.writer(target).writerow(cells)
    return target.getvalue()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

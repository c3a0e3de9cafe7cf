"""Items to review in the forms that annotators use, and their answers back.

Every form keeps an item's id as it is, an integer or a text, so that answers find their way home.
"""

from __future__ import annotations

import csv
import io
import json
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from fg_search.ids import UserId
from fg_search.review.exports.corrections import (
    Correction,
    Flaw,
    checked,
    checked_id,
    checked_label,
    labels_by_id,
    parsed_id,
    read_each,
)
from fg_search.review.exports.spreadsheet import escape, unescape
from fg_search.review.items import ReviewItem

Form = Literal["csv", "jsonl", "label-studio", "argilla"]  # that can be read back, too
TableForm = Literal["csv", "jsonl", "label-studio", "argilla", "cleanlab"]

_COLUMNS = ("id", "text", "label", "kind", "score", "suggested_label", "suggested_probability", "reason")
_ID, _CORRECTED = "id", "corrected_label"  # the columns that are read back
_SHOWN = 12  # names of columns in a message, at most: what is no CSV may have any number
_DECIMALS = 4  # that scores are stored with
_FROM, _TO = "label", "text"  # names of the control and the object in the labelling configuration below
LABEL_STUDIO_CONFIG = (
    f'<View><Text name="{_TO}" value="$text"/><Choices name="{_FROM}" toName="{_TO}" choice="single" '
    'showInLine="true" value="$labels"/></View>'
)
"""Labelling configuration of a Label Studio project for these tasks."""


def to_csv(items: Iterable[ReviewItem]) -> str:
    """A table with a column ``corrected_label`` to fill in; ids are written as JSON, so that 7 is not "7".

    A text that a spreadsheet would take for a formula has a single quote before it; :func:`from_csv` takes it off.
    """
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow((*_COLUMNS, _CORRECTED))
    for item in items:
        user_id, *row = [getattr(item, column) for column in _COLUMNS]
        cells = ["" if one is None else escape(one) for one in row]
        writer.writerow([json.dumps(user_id, ensure_ascii=False), *cells, ""])
    return target.getvalue()


def to_jsonl(items: Iterable[ReviewItem]) -> str:
    """One JSON object a line, evidence included; add ``corrected_label``."""
    return "".join(
        json.dumps(
            {
                **{column: getattr(item, column) for column in _COLUMNS},
                "agreeing": [vars(one) for one in item.agreeing],
                "contradicting": [vars(one) for one in item.contradicting],
                "payload": item.payload,
            },
            ensure_ascii=False,
        )
        + "\n"
        for item in items
    )


def to_label_studio(items: Iterable[ReviewItem], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Tasks with the suggested label as a prediction, for a project with :data:`LABEL_STUDIO_CONFIG`.

    Args:
        items: To review.
        labels: That can be chosen.
    """
    choices = [{"value": label} for label in labels]
    return [
        {
            "data": {
                "fg_id": json.dumps(item.id, ensure_ascii=False),
                "text": item.text,
                "label": item.label,
                "reason": item.reason,
                "labels": choices,
            },
            "predictions": []
            if item.suggested_label is None
            else [
                {
                    "model_version": "fg_search",
                    "score": item.suggested_probability,
                    "result": [_choice(item.suggested_label)],
                }
            ],
        }
        for item in items
    ]


def to_cleanlab(items: Iterable[ReviewItem]) -> dict[str, list[Any]]:
    """The columns of a table of issues, named as cleanlab's Datalab names them; ``pandas.DataFrame`` takes it.

    One row an item, whatever lists it is on. As there, a score is in [0, 1] and low where there is an issue; it is
    ``None`` for an issue that the item is not listed for. ``label_score`` is the probability that the given label is
    right, and its issue one below one half; ``outlier_score`` is the cosine to the tenth nearest item,
    ``near_duplicate_score`` one minus that to the nearest copy, and ``near_duplicate_sets`` has the ids of some.

    Args:
        items: Of the kinds contradicted, outlier, conflicting and duplicate; of each item the latest of a kind counts.
    """
    rows: dict[UserId, dict[str, Any]] = {}
    for item in items:
        row = rows.setdefault(item.id, {"id": item.id, **_NO_ISSUE, "given_label": item.label})
        row.update(_issue(item, row))
    return {column: [row[column] for row in rows.values()] for column in ("id", *_NO_ISSUE)}


_NO_ISSUE: dict[str, Any] = {
    "is_label_issue": False,
    "label_score": None,
    "given_label": None,
    "predicted_label": None,
    "is_outlier_issue": False,
    "outlier_score": None,
    "is_near_duplicate_issue": False,
    "near_duplicate_score": None,
    "near_duplicate_sets": (),
}


def _issue(item: ReviewItem, row: Mapping[str, Any]) -> dict[str, Any]:
    if item.kind == "contradicted":
        right = round(1 - item.score, _DECIMALS)
        is_other = (item.suggested_probability or 0) > right
        return {
            "is_label_issue": item.score > 1 / 2,
            "label_score": right,
            "predicted_label": item.suggested_label if is_other else item.label,
        }
    if item.kind == "outlier":
        return {"is_outlier_issue": True, "outlier_score": round(1 - item.score, _DECIMALS)}
    if item.kind in ("conflicting", "duplicate"):
        farther = row["near_duplicate_score"]
        score = 0.0 if item.kind == "duplicate" else round(1 - item.score, _DECIMALS)
        copies = [one.id for one in (*item.agreeing, *item.contradicting)]
        return {
            "is_near_duplicate_issue": True,
            "near_duplicate_score": score if farther is None else min(score, farther),
            "near_duplicate_sets": tuple(dict.fromkeys([*row["near_duplicate_sets"], *copies])),
        }
    return {}


def to_cleanlab_csv(items: Iterable[ReviewItem]) -> str:
    """The table of :func:`to_cleanlab`; no value is an empty cell, and sets are JSON lists.

    A text that a spreadsheet would take for a formula has a single quote before it.
    """
    columns = to_cleanlab(items)
    columns["near_duplicate_sets"] = [
        json.dumps(ids, ensure_ascii=False) if ids else None for ids in columns["near_duplicate_sets"]
    ]
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(columns)
    writer.writerows(map(escape, row) for row in zip(*columns.values(), strict=True))
    return target.getvalue()


def from_csv(text: str) -> dict[UserId, str]:
    """Corrections by id: the rows of :func:`to_csv` whose ``corrected_label`` was filled in.

    Raises:
        ValueError: If a column is missing, or a row is none of these; the message names the line.
    """
    return labels_by_id(csv_corrections(text), "line")


def csv_corrections(text: str) -> Iterator[Correction | Flaw]:
    """The rows of :func:`to_csv` whose ``corrected_label`` was filled in, and bad ones, by the line they begin at.

    Raises:
        ValueError: If there is no header, or it lacks a column or names one twice.
    """
    rows = _csv_rows(text)
    number, header = next(rows, (1, []))
    if isinstance(header, csv.Error):
        raise ValueError(f"line {number}: not CSV: {header}")  # noqa: TRY004
    for column in (_ID, _CORRECTED):
        if header.count(column) != 1:
            there = ", ".join(map(reprlib.repr, header[:_SHOWN])) or "none"
            problem = f"{column!r} twice" if column in header else f"no column {column!r}"
            raise ValueError(f"line {number}: {problem}; there are {there}, separated by commas")

    def read(cells: list[str] | csv.Error) -> tuple[UserId, str] | None:
        if isinstance(cells, csv.Error):
            raise ValueError(f"not CSV: {cells}")  # noqa: TRY004
        if len(cells) > len(header):
            raise ValueError(f"{len(cells)} cells, the header has {len(header)}; put a text with commas in quotes")
        row = dict(zip(header, cells, strict=False))  # spreadsheets leave empty cells at the end out
        label = unescape(row.get(_CORRECTED, ""))
        return (parsed_id(row[_ID]), checked_label(label, _CORRECTED)) if label.strip() else None

    yield from read_each(rows, read)


def _csv_rows(text: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Rows that are not empty, by the number of their first line; the csv module goes on after an error."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        number = reader.line_num + 1
        cells: list[str] | csv.Error
        known = csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # of 131,072; texts may be longer
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = error
        finally:
            csv.field_size_limit(known)
        if cells != []:
            yield number, cells


def from_jsonl(text: str) -> dict[UserId, str]:
    """Corrections by id: the lines of :func:`to_jsonl` that were given a ``corrected_label``.

    Raises:
        ValueError: If a line is no such object, or none has that key; the message names the line.
    """
    return labels_by_id(jsonl_corrections(text), "line")


def jsonl_corrections(text: str) -> Iterator[Correction | Flaw]:
    """The lines of :func:`to_jsonl` that were given a ``corrected_label``, and bad ones.

    Raises:
        ValueError: In the end, if there were lines and none has that key.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    is_filled_in = False

    def read(line: str) -> tuple[UserId, str] | None:
        nonlocal is_filled_in
        row = checked(_parsed_line(line), dict, "the line")
        is_filled_in = is_filled_in or _CORRECTED in row
        if _ID not in row:
            raise ValueError(f"no {_ID!r}; leave what was exported as it is")
        label = row.get(_CORRECTED)
        if label is None or (isinstance(label, str) and not label.strip()):
            return None
        return checked_id(row[_ID]), checked_label(label, _CORRECTED)

    found = list(read_each(lines, read))
    yield from found
    if lines and not is_filled_in and not any(isinstance(one, Flaw) for one in found):
        raise ValueError(f"no line has a {_CORRECTED!r}; add it to those whose label is to change")


def _parsed_line(line: str) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, or a number of more digits than Python converts
        raise ValueError(f"not JSON: {error}") from None


def from_label_studio(tasks: Sequence[Mapping[str, Any]]) -> dict[UserId, str]:
    """Labels that annotators chose, by id, from Label Studio's JSON export; of several answers the latest.

    Tasks that were skipped or left alone are left out.

    Raises:
        ValueError: If a task is not one of :func:`to_label_studio`; the message has its number, from 1.
    """
    return labels_by_id(label_studio_corrections(tasks), "task")


def label_studio_corrections(tasks: Sequence[Any]) -> Iterator[Correction | Flaw]:
    """The labels of :func:`from_label_studio`, and bad tasks."""
    return read_each(enumerate(tasks, start=1), _read_task)


def _read_task(task: Any) -> tuple[UserId, str] | None:
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or "fg_id" not in data:
        raise ValueError("no fg_id in its data: it was not exported from here; import Label Studio's JSON export")
    user_id = parsed_id(data["fg_id"])
    answers = [checked(one, dict, "an annotation") for one in checked(task.get("annotations", []), list, "annotations")]
    answers = [one for one in answers if not one.get("was_cancelled") and one.get("result")]
    answers.sort(key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
    label = None
    for answer in answers:
        for result in checked(answer["result"], list, "result"):
            if checked(result, dict, "a result").get("from_name") == _FROM:
                value = checked(result.get("value"), dict, "a result's value")
                choices = checked(value.get("choices", []), list, "choices")
                if len(choices) > 1:
                    raise ValueError(f"{len(choices)} choices in one answer; an item has one label")
                label = checked_label(choices[0], "the choice") if choices else label
    return None if label is None else (user_id, label)


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": _FROM, "to_name": _TO, "type": "choices", "value": {"choices": [label]}}

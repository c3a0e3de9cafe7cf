"""Items to review in the forms that annotators use, and their answers back.

Every form keeps an item's id as it is, an integer or a text, so that answers find their way home.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from fg_search.ids import UserId
from fg_search.review.items import ReviewItem

Form = Literal["csv", "jsonl", "label-studio", "argilla"]  # that can be read back, too
TableForm = Literal["csv", "jsonl", "label-studio", "argilla", "cleanlab"]

_COLUMNS = ("id", "text", "label", "kind", "score", "suggested_label", "suggested_probability", "reason")
_DECIMALS = 4  # that scores are stored with
_FROM, _TO = "label", "text"  # names of the control and the object in the labelling configuration below
LABEL_STUDIO_CONFIG = (
    f'<View><Text name="{_TO}" value="$text"/><Choices name="{_FROM}" toName="{_TO}" choice="single" '
    'showInLine="true" value="$labels"/></View>'
)
"""Labelling configuration of a Label Studio project for these tasks."""


def to_csv(items: Iterable[ReviewItem]) -> str:
    """A table with a column ``corrected_label`` to fill in; ids are written as JSON, so that 7 is not "7"."""
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow((*_COLUMNS, "corrected_label"))
    for item in items:
        row = [getattr(item, column) for column in _COLUMNS]
        writer.writerow([json.dumps(row[0], ensure_ascii=False), *("" if one is None else one for one in row[1:]), ""])
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
    """The table of :func:`to_cleanlab`; no value is an empty cell, and sets are JSON lists."""
    columns = to_cleanlab(items)
    columns["near_duplicate_sets"] = [
        json.dumps(ids, ensure_ascii=False) if ids else None for ids in columns["near_duplicate_sets"]
    ]
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return target.getvalue()


def from_csv(text: str) -> dict[UserId, str]:
    """Corrections by id: the rows of :func:`to_csv` whose ``corrected_label`` was filled in.

    Raises:
        ValueError: If a column is missing or an id cannot be read; the message names the line.
    """
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return dict(_corrections(((f"line {rows.line_num}", row) for row in rows), parse_id=True))


def from_jsonl(text: str) -> dict[UserId, str]:
    """Corrections by id: the lines of :func:`to_jsonl` that were given a ``corrected_label``.

    Raises:
        ValueError: If a line is no such object; the message names it.
    """

    def rows() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"line {number}: not JSON: {error}") from None
                if not isinstance(row, dict):
                    raise ValueError(f"line {number}: a {type(row).__name__}, not a JSON object")
                yield f"line {number}", row

    return dict(_corrections(rows(), parse_id=False))


def from_label_studio(tasks: Sequence[Mapping[str, Any]]) -> dict[UserId, str]:
    """Labels that annotators chose, by id, from Label Studio's JSON export; of several answers the latest.

    Tasks that were skipped or left alone are left out.

    Raises:
        ValueError: If a task is not one of :func:`to_label_studio`.
    """
    chosen: dict[UserId, str] = {}
    for position, task in enumerate(tasks):
        try:
            user_id = parsed_id(task["data"]["fg_id"])
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"task {position} has no fg_id in its data: it was not exported from here") from None
        answers = [one for one in task.get("annotations", ()) if not one.get("was_cancelled") and one.get("result")]
        answers.sort(key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
        for answer in answers:
            for result in answer["result"]:
                if result.get("from_name") == _FROM and result["value"].get("choices"):
                    chosen[user_id] = result["value"]["choices"][0]
    return chosen


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": _FROM, "to_name": _TO, "type": "choices", "value": {"choices": [label]}}


def _corrections(rows: Iterable[tuple[str, Mapping[str, Any]]], *, parse_id: bool) -> Iterator[tuple[UserId, str]]:
    for place, row in rows:
        missing = [column for column in ("id", "corrected_label") if parse_id and column not in row]
        if missing or "id" not in row:
            raise ValueError(f"{place}: no column {(missing or ['id'])[0]!r}")
        label = row.get("corrected_label")
        if label is None or (isinstance(label, str) and not label.strip()):
            continue
        if not isinstance(label, str):
            raise ValueError(f"{place}: corrected_label is {label!r}; a label is a text")  # noqa: TRY004
        try:
            yield (parsed_id(row["id"]) if parse_id else _checked_id(row["id"])), label
        except ValueError:
            raise ValueError(f"{place}: {row['id']!r} is no id as it was exported") from None


def parsed_id(text: Any) -> UserId:
    """An id as it was written by ``json.dumps``.

    Raises:
        ValueError: If it is none.
    """
    return _checked_id(json.loads(text) if isinstance(text, str) else text)


def _checked_id(value: Any) -> UserId:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{value!r} is no id")  # noqa: TRY004
    return value

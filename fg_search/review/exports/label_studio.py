"""Items to review as Label Studio tasks, and annotators' answers back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fg_search.ids import UserId
from fg_search.review.exports.corrections import (
    Correction,
    Flaw,
    checked,
    checked_label,
    chosen_control,
    labels_by_id,
    parsed_id,
    read_each,
)
from fg_search.review.items import ReviewItem

_FROM, _TO = "label", "text"  # control and object in the labelling configuration below
_KINDS = _CHOICES, _TAXONOMY = "choices", "taxonomy"  # what the value of a control that holds labels is called
LABEL_STUDIO_CONFIG = (
    f'<View><Text name="{_TO}" value="$text"/><Choices name="{_FROM}" toName="{_TO}" choice="single" '
    'showInLine="true" value="$labels"/></View>'
)
"""Labelling configuration of a Label Studio project for these tasks."""


def to_label_studio(items: Iterable[ReviewItem], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return tasks with the suggested label as a prediction, for a project with :data:`LABEL_STUDIO_CONFIG`.

    Args:
        items: Items to review.
        labels: Labels to choose from.
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


def from_label_studio(tasks: Sequence[Mapping[str, Any]], *, control: str | None = None) -> dict[UserId, str]:
    """Return the labels that annotators chose, by id, from Label Studio's JSON export; the latest answer wins.

    Skipped and unanswered tasks are left out. A choice of a taxonomy is the last of its levels.

    Args:
        tasks: The export.
        control: Name of the control that holds the labels; by default ``label``, as in :data:`LABEL_STUDIO_CONFIG`, or
            the only one with choices or a taxonomy.

    Raises:
        ValueError: A task does not come from :func:`to_label_studio`, in which case the message has its number, counted
            from 1; or there are answers, and it is not clear which control holds the labels.
    """
    return labels_by_id(label_studio_corrections(tasks, control=control), "task")


def label_studio_corrections(tasks: Sequence[Any], *, control: str | None = None) -> Iterator[Correction | Flaw]:
    """Yield the labels of :func:`from_label_studio`, and a flaw for each bad task."""
    chosen = chosen_control(control, _FROM, _answered_controls(tasks), "control")
    yield from read_each(enumerate(tasks, start=1), partial(_read_task, control=chosen))


def _answered_controls(tasks: Sequence[Any]) -> dict[str, str]:
    """Kind of each control with an answer: ``choices``, ``taxonomy``, or empty for what holds no labels.

    What is malformed is passed over: it is a flaw of its task.
    """
    kinds: dict[str, str] = {}
    for task in tasks:
        for annotation in _objects(task.get("annotations") if isinstance(task, dict) else None):
            results = [] if annotation.get("was_cancelled") else _objects(annotation.get("result"))
            for result in results:
                name, value = result.get("from_name"), result.get("value")
                if isinstance(name, str):
                    kind = next((kind for kind in _KINDS if isinstance(value, dict) and kind in value), "")
                    kinds[name] = kinds.get(name) or kind
    return kinds


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _read_task(task: Any, control: str | None) -> tuple[UserId, str] | None:
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or "fg_id" not in data:
        raise ValueError("no fg_id in its data: it was not exported from here; import Label Studio's JSON export")
    user_id = parsed_id(data["fg_id"])
    annotations = checked(task.get("annotations", []), list, "annotations")
    answers = [checked(annotation, dict, "an annotation") for annotation in annotations]
    answers = [answer for answer in answers if not answer.get("was_cancelled") and answer.get("result")]
    answers.sort(key=lambda answer: str(answer.get("updated_at") or answer.get("created_at") or ""))
    label = None
    for answer in answers:
        for result in checked(answer["result"], list, "result"):
            if checked(result, dict, "a result").get("from_name") == (control or _FROM):
                value = checked(result.get("value"), dict, "a result's value")
                choices = _choices(value)
                if len(choices) > 1:
                    raise ValueError(f"{len(choices)} choices in one answer; an item has one label")
                label = checked_label(choices[0], "the choice") if choices else label
    return None if label is None else (user_id, label)


def _choices(value: dict[str, Any]) -> list[Any]:
    """What was chosen; of a path through a taxonomy its end."""
    if _TAXONOMY in value and _CHOICES not in value:
        paths = [checked(path, list, "a path of the taxonomy") for path in checked(value[_TAXONOMY], list, _TAXONOMY)]
        return [path[-1] for path in paths if path]
    return checked(value.get(_CHOICES, []), list, _CHOICES)


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": _FROM, "to_name": _TO, "type": "choices", "value": {"choices": [label]}}

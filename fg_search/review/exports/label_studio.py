"""Items to review as Label Studio tasks, and annotators' answers back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fg_search.ids import UserId
from fg_search.review.exports.corrections import (
    Correction,
    Flaw,
    checked,
    checked_label,
    labels_by_id,
    parsed_id,
    read_each,
)
from fg_search.review.items import ReviewItem

_FROM, _TO = "label", "text"  # control and object in the labelling configuration below
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


def from_label_studio(tasks: Sequence[Mapping[str, Any]]) -> dict[UserId, str]:
    """Return the labels that annotators chose, by id, from Label Studio's JSON export; the latest answer wins.

    Skipped and unanswered tasks are left out.

    Raises:
        ValueError: A task does not come from :func:`to_label_studio`; the message has its number, counted from 1.
    """
    return labels_by_id(label_studio_corrections(tasks), "task")


def label_studio_corrections(tasks: Sequence[Any]) -> Iterator[Correction | Flaw]:
    """Yield the labels of :func:`from_label_studio`, and a flaw for each bad task."""
    return read_each(enumerate(tasks, start=1), _read_task)


def _read_task(task: Any) -> tuple[UserId, str] | None:
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
            if checked(result, dict, "a result").get("from_name") == _FROM:
                value = checked(result.get("value"), dict, "a result's value")
                choices = checked(value.get("choices", []), list, "choices")
                if len(choices) > 1:
                    raise ValueError(f"{len(choices)} choices in one answer; an item has one label")
                label = checked_label(choices[0], "the choice") if choices else label
    return None if label is None else (user_id, label)


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": _FROM, "to_name": _TO, "type": "choices", "value": {"choices": [label]}}

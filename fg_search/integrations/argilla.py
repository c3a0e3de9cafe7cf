"""Items to review as records of Argilla 2, and its answers back; Argilla itself is not needed for it."""

from __future__ import annotations

import json
from collections import Counter
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

_QUESTION = "label"
ARGILLA_SETTINGS = (
    'rg.Settings(fields=[rg.TextField("text"), rg.TextField("reason", required=False)], '
    f'questions=[rg.LabelQuestion("{_QUESTION}", labels=labels)])'
)
"""Settings of a dataset for these records, ``labels`` being those to choose from."""


def to_argilla(items: Iterable[ReviewItem]) -> list[dict[str, Any]]:
    """Records as Argilla writes and reads them: ``rg.Record.from_dict`` takes one, ``dataset.records.from_json`` all.

    The dataset has :data:`ARGILLA_SETTINGS`. A suggested label is a suggestion; it has to be one of the labels.

    Args:
        items: To review.
    """
    return [
        {
            "id": json.dumps(item.id, ensure_ascii=False),
            "fields": {"text": item.text, "reason": item.reason},
            "metadata": {
                "kind": item.kind,
                "score": item.score,
                **({} if item.label is None else {"given_label": item.label}),
            },
            "suggestions": {}
            if item.suggested_label is None
            else {
                _QUESTION: {
                    "value": item.suggested_label,
                    "score": item.suggested_probability,
                    "agent": "fg_search",
                }
            },
            "responses": {},
            "vectors": {},
        }
        for item in items
    ]


def from_argilla(records: Sequence[Mapping[str, Any]]) -> dict[UserId, str]:
    """Labels that annotators chose, by id, from what ``dataset.records.to_json`` writes.

    Only records that are completed count: the others may hold drafts. Of several answers the most frequent is taken;
    where none is, the record is left out.

    Raises:
        ValueError: If a record is not one of :func:`to_argilla`; the message has its number, from 1.
    """
    return labels_by_id(argilla_corrections(records), "record")


def argilla_corrections(records: Sequence[Any]) -> Iterator[Correction | Flaw]:
    """The labels of :func:`from_argilla`, and bad records."""
    return read_each(enumerate(records, start=1), _read_record)


def _read_record(record: Any) -> tuple[UserId, str] | None:
    if not isinstance(record, dict) or "id" not in record or not isinstance(record.get("responses"), dict):
        raise ValueError(
            "no id or responses as they are exported from here; import what dataset.records.to_json writes"
        )
    user_id = parsed_id(record["id"])
    if record.get("status") != "completed":
        return None
    answers = checked(record["responses"].get(_QUESTION, []), list, f"responses.{_QUESTION}")
    counts = Counter(
        checked_label(checked(one, dict, "a response").get("value"), "a response's value") for one in answers
    ).most_common(2)
    is_tied = len(counts) > 1 and counts[0][1] == counts[1][1]
    return (user_id, counts[0][0]) if counts and not is_tied else None

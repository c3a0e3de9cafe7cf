"""Items to review as Argilla 2 records, and annotators' answers back. Argilla need not be installed."""

from __future__ import annotations

import json
from collections import Counter
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

_QUESTION = "label"
ARGILLA_SETTINGS = (
    'rg.Settings(fields=[rg.TextField("text"), rg.TextField("reason", required=False)], '
    f'questions=[rg.LabelQuestion("{_QUESTION}", labels=labels)])'
)
"""Settings of a dataset for these records; ``labels`` lists the labels to choose from."""


def to_argilla(items: Iterable[ReviewItem]) -> list[dict[str, Any]]:
    """Convert items to records in Argilla's JSON form, for a dataset with :data:`ARGILLA_SETTINGS`.

    ``rg.Record.from_dict`` reads one record, ``dataset.records.from_json`` reads all. A suggested label becomes a
    suggestion, which has to be one of the dataset's labels.

    Args:
        items: Items to review.
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


def from_argilla(records: Sequence[Mapping[str, Any]], *, control: str | None = None) -> dict[UserId, str]:
    """Return the labels that annotators chose, by id, from the output of ``dataset.records.to_json``.

    Only completed records count, because others may hold drafts. The most frequent answer wins; a record whose answers
    tie is left out.

    Args:
        records: The records.
        control: Name of the question that holds the labels; by default ``label``, as in :data:`ARGILLA_SETTINGS`, or
            the only one that is answered with a text.

    Raises:
        ValueError: A record does not come from :func:`to_argilla`, in which case the message has its number, counted
            from 1; or there are answers, and it is not clear which question holds the labels.
    """
    return labels_by_id(argilla_corrections(records, control=control), "record")


def argilla_corrections(records: Sequence[Any], *, control: str | None = None) -> Iterator[Correction | Flaw]:
    """Yield the labels of :func:`from_argilla`, and a flaw for each bad record."""
    chosen = chosen_control(control, _QUESTION, _answered_questions(records), "question")
    yield from read_each(enumerate(records, start=1), partial(_read_record, question=chosen or _QUESTION))


def _answered_questions(records: Sequence[Any]) -> dict[str, str]:
    """``text`` for each question that is answered with one, empty for others; what is malformed is passed over."""
    kinds: dict[str, str] = {}
    for record in records:
        is_complete = isinstance(record, dict) and record.get("status") == "completed"
        responses = record.get("responses") if is_complete else None
        for name, answers in responses.items() if isinstance(responses, dict) else ():
            for answer in answers if isinstance(answers, list) else ():
                is_text = isinstance(answer, dict) and isinstance(answer.get("value"), str)
                kinds[name] = kinds.get(name) or ("text" if is_text else "")
    return kinds


def _read_record(record: Any, question: str) -> tuple[UserId, str] | None:
    if not isinstance(record, dict) or "id" not in record or not isinstance(record.get("responses"), dict):
        raise ValueError(
            "no id or responses as they are exported from here; import what dataset.records.to_json writes"
        )
    user_id = parsed_id(record["id"])
    if record.get("status") != "completed":
        return None
    answers = checked(record["responses"].get(question, []), list, f"responses.{question}")
    counts = Counter(
        checked_label(checked(answer, dict, "a response").get("value"), "a response's value") for answer in answers
    ).most_common(2)
    is_tied = len(counts) > 1 and counts[0][1] == counts[1][1]
    return (user_id, counts[0][0]) if counts and not is_tied else None

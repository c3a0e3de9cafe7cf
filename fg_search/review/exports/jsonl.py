"""Items to review as JSONL, and the corrections read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from fg_search.ids import UserId
from fg_search.review.exports.corrections import (
    Correction,
    Flaw,
    checked,
    checked_id,
    checked_label,
    labels_by_id,
    read_each,
)
from fg_search.review.exports.fields import CORRECTED, FIELDS, ID
from fg_search.review.items import ReviewItem


def to_jsonl(items: Iterable[ReviewItem]) -> str:
    """Return one JSON object per line, evidence included. Add ``corrected_label`` to correct an item."""
    return "".join(
        json.dumps(
            {
                **{field: getattr(item, field) for field in FIELDS},
                "agreeing": [vars(example) for example in item.agreeing],
                "contradicting": [vars(example) for example in item.contradicting],
                "payload": item.payload,
            },
            ensure_ascii=False,
        )
        + "\n"
        for item in items
    )


def from_jsonl(text: str) -> dict[UserId, str]:
    """Return corrected labels by id, from the lines of :func:`to_jsonl` with a ``corrected_label``.

    Raises:
        ValueError: A line is invalid, in which case the message names it, or no line has a ``corrected_label``.
    """
    return labels_by_id(jsonl_corrections(text), "line")


def jsonl_corrections(text: str) -> Iterator[Correction | Flaw]:
    """Yield the corrections of :func:`from_jsonl`, and a flaw for each bad line.

    Raises:
        ValueError: At the end, if all lines are valid and none has a ``corrected_label``.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    is_filled_in = False

    def read(line: str) -> tuple[UserId, str] | None:
        nonlocal is_filled_in
        row = checked(_parsed_line(line), dict, "the line")
        is_filled_in = is_filled_in or CORRECTED in row
        if ID not in row:
            raise ValueError(f"no {ID!r}; leave what was exported as it is")
        label = row.get(CORRECTED)
        if label is None or (isinstance(label, str) and not label.strip()):
            return None
        return checked_id(row[ID]), checked_label(label, CORRECTED)

    found = list(read_each(lines, read))
    yield from found
    if lines and not is_filled_in and not any(isinstance(result, Flaw) for result in found):
        raise ValueError(f"no line has a {CORRECTED!r}; add it to those whose label is to change")


def _parsed_line(line: str) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, or a number with more digits than Python converts
        raise ValueError(f"not JSON: {error}") from None

"""What the Items view and the API select: conditions on items as a filter of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qdrant_client import models

from fg_search.confidence_index import ConfidenceIndex
from fg_search.ids import UserId, id_from_json, point_id
from fg_search.layout.conditions import equals, has_ids, is_empty, is_present
from fg_search.layout.keys import (
    CONFIDENCE_KEY,
    FAMILIARITY_KEY,
    LABEL_KEY,
    PAYLOAD_KEY,
    REVIEW_SCORE_KEY,
    REVIEWED_ACTION_KEY,
)
from fg_search.records.conditions import Payloads, WrittenCondition, conditions_of
from fg_search.web.parameters import ItemsRequest

_LONGEST = 40  # characters of a value that is shown


def filter_of(
    asked: ItemsRequest, tenant: str | None, within: Callable[[str], Sequence[UserId]]
) -> models.Filter | None:
    """The filter for what is asked, ``None`` for all items.

    Args:
        asked: What is asked.
        tenant: Tenant that is served, in an index with tenants.
        within: Ids of the items in a region of the map.

    Raises:
        ValueError: If a condition on the payload cannot be read.
    """
    conditions = [*_own(asked), *map(condition_of, asked.where)]
    if asked.id:
        conditions.append(has_ids([point_id(id_from_json(text), tenant=tenant) for text in asked.id]))
    if asked.region is not None:
        conditions.append(has_ids([point_id(user_id, tenant=tenant) for user_id in within(asked.region)]))
    return models.Filter(must=conditions) if conditions else None


def search_filter(index: ConfidenceIndex, where: Sequence[str]) -> tuple[models.Filter | None, list[str]]:
    """The filter of a search for conditions on the payload, and what is to be told about those that no item can meet.

    Raises:
        ValueError: If a condition cannot be read.
    """
    if not where:
        return None, []
    conditions, told = conditions_of([WrittenCondition.parse(one) for one in where], Payloads(index))
    return models.Filter(must=conditions), told


def condition_of(text: str) -> models.Condition:
    """The condition that a text such as ``colour=red`` or ``price<50`` stands for.

    A value may be meant as a text, a number or a truth; it is compared as each that it can be.

    Raises:
        ValueError: If it cannot be read.
    """
    try:
        written = WrittenCondition.parse(text)
    except ValueError as error:
        raise ValueError(f"where: {error}") from None
    if not written.value:
        raise ValueError(f"where: {text!r} compares with nothing; write such as colour=red")
    if written.key == PAYLOAD_KEY or written.key.startswith(f"{PAYLOAD_KEY}."):
        raise ValueError(
            f"where: {written.key!r} is the index's own; there are fields of their own for labels and confidences"
        )
    return written.condition(None)


def short_values(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys and values of a payload that are short, as conditions read them."""
    for key, value in payload.items():
        if isinstance(value, (str, int, float)):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if (
                0 < len(text) <= _LONGEST
                and len(key) <= _LONGEST
                and not set(key) & set("=<>!")
                and text.strip() == text
            ):
                yield key, text


def _own(asked: ItemsRequest) -> Iterator[models.Condition]:
    if asked.label is not None:
        yield equals(LABEL_KEY, asked.label)
    if asked.unlabelled:
        yield is_empty(LABEL_KEY)
    for key, least, most in (
        (CONFIDENCE_KEY, asked.min_confidence, asked.max_confidence),
        (FAMILIARITY_KEY, asked.min_familiarity, asked.max_familiarity),
        (REVIEW_SCORE_KEY, asked.min_wrong, None),
    ):
        if least is not None or most is not None:
            yield models.FieldCondition(key=key, range=models.Range(gte=least, lte=most))
    if asked.decided == "no":
        yield is_empty(REVIEWED_ACTION_KEY)
    elif asked.decided == "yes":
        yield is_present(REVIEWED_ACTION_KEY)
    elif asked.decided is not None:
        yield equals(REVIEWED_ACTION_KEY, asked.decided)

"""What the Items view and the API select: conditions on items as a filter of the engine."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from qdrant_client import models

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
from fg_search.web.parameters import ItemsRequest

_CONDITION = re.compile(r"\s*([^=<>!]+?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_RANGES = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_TRUTHS = {"true": True, "false": False}
_MAX_INTEGER = 2**63


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


def condition_of(text: str) -> models.Condition:
    """The condition that a text such as ``colour=red`` or ``price<50`` stands for.

    A value may be meant as a text, a number or a truth; it is compared as each that it can be.

    Raises:
        ValueError: If it cannot be read.
    """
    read = _CONDITION.fullmatch(text)
    if read is None or not read[3]:
        raise ValueError(f"where: {text!r} is no condition; write such as colour=red, price<50 or size!=XL")
    key, sign, value = read.groups()
    if key == PAYLOAD_KEY or key.startswith(f"{PAYLOAD_KEY}."):
        raise ValueError(f"where: {key!r} is the index's own; there are fields of their own for labels and confidences")
    if sign in ("=", "!="):
        same = models.Filter(should=list(_equal(key, value)))
        return same if sign == "=" else models.Filter(must_not=[same])
    return models.FieldCondition(key=key, range=_range(text, sign, value))


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


def _equal(key: str, value: str) -> Iterator[models.Condition]:
    yield equals(key, value)
    if value.lower() in _TRUTHS:
        yield equals(key, _TRUTHS[value.lower()])
    number = _number(value)
    if number is not None:
        yield models.FieldCondition(key=key, range=models.Range(gte=number, lte=number))


def _range(text: str, sign: str, value: str) -> models.Range | models.DatetimeRange:
    number = _number(value)
    if number is not None:
        return models.Range(**{_RANGES[sign]: number})
    try:
        return models.DatetimeRange(**{_RANGES[sign]: datetime.fromisoformat(value)})
    except ValueError:
        raise ValueError(f"where: {text!r} compares with neither a number nor a date such as 2026-01-31") from None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < _MAX_INTEGER else None

"""Filters as integrations are given them: Qdrant's own, values by payload field, and conditions of other languages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from qdrant_client import models

from fg_search.layout.conditions import equals, is_empty

NOTHING = models.HasIdCondition(has_id=[])
"""No item has an id out of none."""

_ORDERS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def as_filter(given: models.Filter | Mapping[str, Any] | None) -> models.Filter | None:
    """A Qdrant filter. A mapping asks for these values, or for one of a list of values, in all of its fields.

    Raises:
        TypeError: If it is something else, or a value is none that can be compared.
    """
    if given is None or isinstance(given, models.Filter):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(
            f"a filter is a qdrant_client.models.Filter or a mapping of values by payload field, got "
            f"{type(given).__name__}"
        )
    return models.Filter(
        must=[one_of(key, value) if isinstance(value, list) else equal(key, value) for key, value in given.items()]
    )


def equal(key: str, value: Any) -> models.Condition:
    """Items whose payload has this value; with ``None``, those that have none.

    Raises:
        TypeError: If it is none that can be compared.
    """
    if value is None:
        return is_empty(key)
    if isinstance(value, (bool, str)):
        return equals(key, value)
    if isinstance(value, (int, float)):
        return models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
    raise TypeError(f"{key} can be compared with a text, a number, a boolean or None, got {type(value).__name__}")


def one_of(key: str, values: Any) -> models.Condition:
    """Items whose payload has one of these values.

    Raises:
        TypeError: If they are no list, or one is none that can be compared.
    """
    return models.Filter(should=[equal(key, value) for value in values]) if listed(key, values) else NOTHING


def listed(key: str, values: Any) -> list[Any]:
    """The values.

    Raises:
        TypeError: If they are no list.
    """
    if not isinstance(values, list):
        raise TypeError(f"{key} is compared with a list of values, got {type(values).__name__}")
    return values


def ordered(key: str, operator: str, value: Any) -> models.Condition:
    """Items whose number or date is before or after a value; with ``None``, none.

    Args:
        key: Payload key.
        operator: ``">"``, ``">="``, ``"<"`` or ``"<="``.
        value: A number, a date, or its text in ISO 8601.

    Raises:
        TypeError, ValueError: If it is something else.
    """
    if value is None:
        return NOTHING
    order = _ORDERS[operator]
    if isinstance(value, (str, datetime)):
        return models.FieldCondition(key=key, range=models.DatetimeRange(**{order: _time(key, value)}))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{key} {operator} takes a number or a date, got {type(value).__name__}")
    return models.FieldCondition(key=key, range=models.Range(**{order: value}))


def negated(condition: models.Condition) -> models.Filter:
    """Items that do not match."""
    return models.Filter(must_not=[condition])


def _time(key: str, value: str | datetime) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{key} can be ordered by numbers and ISO dates alone, got {value!r}") from None

"""Qdrant filters of Haystack's filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from haystack.errors import FilterError
from qdrant_client import models

from fg_search.layout.conditions import equals, is_empty
from fg_search.layout.keys import LABEL_KEY, PAYLOAD_KEY, TEXT_KEY

_NOTHING = models.HasIdCondition(has_id=[])
_FIELDS = {"id": f"{PAYLOAD_KEY}.id", "content": TEXT_KEY, "label": LABEL_KEY}
_META = "meta."
_ORDERS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def to_qdrant(filters: Mapping[str, Any] | None) -> models.Filter | None:
    """The filter for the engine; ``None`` if nothing is to be filtered.

    Raises:
        FilterError: If it is none of Haystack's filters, or a value does not suit its operator.
    """
    if not filters:
        return None
    return models.Filter(must=[_condition(filters)])


def key_of(field: str) -> str:
    """Payload key of a field of documents: of their metadata, ``id``, or ``content``."""
    return field.removeprefix(_META) if field.startswith(_META) else _FIELDS.get(field, field)


def _condition(filters: Mapping[str, Any]) -> models.Condition:
    if not isinstance(filters, Mapping):
        raise FilterError(f"a filter is a mapping, got {type(filters).__name__}")
    return _comparison(filters) if "field" in filters else _logic(filters)


def _logic(filters: Mapping[str, Any]) -> models.Condition:
    for key in ("operator", "conditions"):
        if key not in filters:
            raise FilterError(f"a filter without 'field' needs {key!r}: {dict(filters)!r}")
    conditions = [_condition(part) for part in filters["conditions"]]
    operator = filters["operator"]
    if operator == "AND":
        return models.Filter(must=conditions)
    if operator == "OR":
        return models.Filter(should=conditions)
    if operator == "NOT":
        return models.Filter(must_not=[models.Filter(must=conditions)])
    raise FilterError(f"the operator of conditions must be AND, OR or NOT, got {operator!r}")


def _comparison(filters: Mapping[str, Any]) -> models.Condition:
    for key in ("operator", "value"):
        if key not in filters:
            raise FilterError(f"a filter with 'field' needs {key!r}: {dict(filters)!r}")
    key, operator, value = key_of(filters["field"]), filters["operator"], filters["value"]
    if operator in _ORDERS:
        return _ordered(key, operator, value)
    if operator not in _COMPARISONS:
        raise FilterError(f"unknown operator {operator!r}; there are {', '.join([*_COMPARISONS, *_ORDERS])}")
    return _COMPARISONS[operator](key, value)


def _equal(key: str, value: Any) -> models.Condition:
    if value is None:
        return is_empty(key)
    if isinstance(value, (bool, str)):
        return equals(key, value)
    if isinstance(value, (int, float)):
        return models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
    raise FilterError(f"{key} can be compared with a text, a number, a boolean or None, got {type(value).__name__}")


def _ordered(key: str, operator: str, value: Any) -> models.Condition:
    if value is None:
        return _NOTHING
    order = _ORDERS[operator]
    if isinstance(value, (str, datetime)):
        return models.FieldCondition(key=key, range=models.DatetimeRange(**{order: _time(key, value)}))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FilterError(f"{key} {operator} takes a number or a date, got {type(value).__name__}")
    return models.FieldCondition(key=key, range=models.Range(**{order: value}))


def _time(key: str, value: str | datetime) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise FilterError(f"{key} can be ordered by numbers and ISO dates alone, got {value!r}") from None


def _one_of(key: str, values: Any) -> models.Condition:
    if not isinstance(values, list):
        raise FilterError(f"{key} in … takes a list, got {type(values).__name__}")
    return models.Filter(should=[_equal(key, value) for value in values]) if values else _NOTHING


def _negated(condition: Callable[[str, Any], models.Condition]) -> Callable[[str, Any], models.Condition]:
    return lambda key, value: models.Filter(must_not=[condition(key, value)])


_COMPARISONS: dict[str, Callable[[str, Any], models.Condition]] = {
    "==": _equal,
    "!=": _negated(_equal),
    "in": _one_of,
    "not in": _negated(_one_of),
}

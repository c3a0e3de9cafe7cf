"""Qdrant filters of Haystack's filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haystack.errors import FilterError
from qdrant_client import models

from fg_search.integrations.filters import equal, negated, one_of, ordered
from fg_search.layout.keys import LABEL_KEY, PAYLOAD_KEY, TEXT_KEY

_FIELDS = {"id": f"{PAYLOAD_KEY}.id", "content": TEXT_KEY, "label": LABEL_KEY}
_META = "meta."
_ORDERS = (">", ">=", "<", "<=")


def to_qdrant(filters: Mapping[str, Any] | None) -> models.Filter | None:
    """The filter for the engine; ``None`` if nothing is to be filtered.

    Raises:
        FilterError: If it is none of Haystack's filters, or a value does not suit its operator.
    """
    if not filters:
        return None
    try:
        return models.Filter(must=[_condition(filters)])
    except (TypeError, ValueError) as error:
        raise FilterError(str(error)) from None


def key_of(field: str) -> str:
    """Payload key of a field of documents: of their metadata, ``id``, ``content``, or ``label``."""
    return field.removeprefix(_META) if field.startswith(_META) else _FIELDS.get(field, field)


def _condition(filters: Mapping[str, Any]) -> models.Condition:
    if not isinstance(filters, Mapping):
        raise TypeError(f"a filter is a mapping, got {type(filters).__name__}")
    if "field" not in filters:
        return _logic(filters)
    for key in ("operator", "value"):
        if key not in filters:
            raise ValueError(f"a filter with 'field' needs {key!r}: {dict(filters)!r}")
    return _comparison(key_of(filters["field"]), filters["operator"], filters["value"])


def _logic(filters: Mapping[str, Any]) -> models.Condition:
    for key in ("operator", "conditions"):
        if key not in filters:
            raise ValueError(f"a filter without 'field' needs {key!r}: {dict(filters)!r}")
    conditions = [_condition(part) for part in filters["conditions"]]
    operator = filters["operator"]
    if operator == "AND":
        return models.Filter(must=conditions)
    if operator == "OR":
        return models.Filter(should=conditions)
    if operator == "NOT":
        return negated(models.Filter(must=conditions))
    raise ValueError(f"the operator of conditions must be AND, OR or NOT, got {operator!r}")


def _comparison(key: str, operator: str, value: Any) -> models.Condition:
    if operator in _ORDERS:
        return ordered(key, operator, value)
    if operator in ("==", "!="):
        condition = equal(key, value)
    elif operator in ("in", "not in"):
        condition = one_of(key, value)
    else:
        raise ValueError(f"unknown operator {operator!r}; there are ==, !=, in, not in, {', '.join(_ORDERS)}")
    return condition if operator in ("==", "in") else negated(condition)

"""Qdrant filters of LlamaIndex's filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from qdrant_client import models

from fg_search.integrations.filters import equal, listed, negated, one_of, ordered
from fg_search.layout.conditions import is_empty


def to_qdrant(filters: MetadataFilters | None) -> models.Filter | None:
    """The filter for the engine; ``None`` if nothing is to be filtered.

    Raises:
        TypeError, ValueError: If a value does not suit its operator, or there is no such operator here.
    """
    if filters is None or not filters.filters:
        return None
    conditions = [_condition(part) for part in filters.filters]
    if filters.condition == FilterCondition.OR:
        return models.Filter(should=conditions)
    if filters.condition == FilterCondition.NOT:
        return models.Filter(must_not=conditions)
    return models.Filter(must=conditions)


def _condition(part: MetadataFilter | MetadataFilters) -> models.Condition:
    if isinstance(part, MetadataFilters):
        return to_qdrant(part) or models.Filter()
    if part.operator.value in (">", ">=", "<", "<="):
        return ordered(part.key, part.operator.value, part.value)
    if part.operator not in _CONDITIONS:
        raise ValueError(f"filters by {part.operator.value!r} are not supported")
    return _CONDITIONS[part.operator](part.key, part.value)


def _all_of(key: str, values: Any) -> models.Condition:
    return models.Filter(must=[equal(key, value) for value in listed(key, values)])


def _with_text(key: str, text: Any) -> models.Condition:
    return models.FieldCondition(key=key, match=models.MatchText(text=text))


_CONDITIONS: dict[FilterOperator, Callable[[str, Any], models.Condition]] = {
    FilterOperator.EQ: equal,
    FilterOperator.NE: lambda key, value: negated(equal(key, value)),
    FilterOperator.IN: one_of,
    FilterOperator.NIN: lambda key, values: negated(one_of(key, values)),
    FilterOperator.ANY: one_of,
    FilterOperator.ALL: _all_of,
    FilterOperator.CONTAINS: equal,
    FilterOperator.TEXT_MATCH: _with_text,
    FilterOperator.IS_EMPTY: lambda key, _: is_empty(key),
}

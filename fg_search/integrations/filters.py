"""Filters as they are given to integrations: Qdrant's own, or values by payload field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from fg_search.layout.conditions import equals


def as_filter(given: models.Filter | Mapping[str, Any] | None) -> models.Filter | None:
    """A Qdrant filter. A mapping asks for these values, or for one of a list of values, in all of its fields.

    Raises:
        TypeError: If it is something else.
    """
    if given is None or isinstance(given, models.Filter):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(
            f"a filter is a qdrant_client.models.Filter or a mapping of values by payload field, got "
            f"{type(given).__name__}"
        )
    return models.Filter(must=[_condition(key, value) for key, value in given.items()])


def _condition(key: str, value: Any) -> models.Condition:
    if isinstance(value, (list, tuple, set, frozenset)):
        return models.FieldCondition(key=key, match=models.MatchAny(any=list(value)))
    return equals(key, value)

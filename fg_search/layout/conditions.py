"""Conditions of payload keys, for the engine's filters."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models


def equals(key: str, value: str | int | bool) -> models.FieldCondition:
    """Points whose payload has this value."""
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def is_empty(key: str) -> models.IsEmptyCondition:
    """Points whose payload lacks the key, or has null or an empty list there."""
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))


def is_present(key: str) -> models.Filter:
    """Points whose payload has a value."""
    return models.Filter(must_not=[is_empty(key)])


def is_null(key: str) -> models.IsNullCondition:
    """Points whose payload has null there, which is neither a value nor the lack of the key."""
    return models.IsNullCondition(is_null=models.PayloadField(key=key))


def has_ids(ids: Sequence[int | str]) -> models.HasIdCondition:
    """Points with one of these ids of the engine."""
    return models.HasIdCondition(has_id=[*ids])

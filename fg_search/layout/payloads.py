"""Payloads of users: JSON objects, checked before they are stored and compared afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import numpy as np

from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.validation import is_missing, plain_text

MAX_DEPTH = 64
"""Levels of nesting of a payload, itself included. Beyond a hundred the engine cannot read what it wrote."""

_INTEGERS = range(-(2**63), 2**64)  # the engine keeps these exactly
_ROUNDING = 1e-14  # relative; the engine may return a float that is off by one unit in the last place


def checked_payload(
    payload: Mapping[str, Any] | None, name: str, *, tenant_key: str | None = None, tenant: str | None = None
) -> Mapping[str, Any]:
    """Return a copy of a payload, with its tenant.

    Args:
        payload: User's payload; ``None`` is an empty one.
        name: Name of the payload in error messages.
        tenant_key: Payload key of the tenant, in an index with tenants.
        tenant: Tenant that the item belongs to.

    Raises:
        TypeError, ValueError: If it is not a JSON object that the engine returns unchanged, uses our key, or names
            another tenant.
    """
    if payload is None:
        payload = {}
    if not isinstance(payload, Mapping):
        raise TypeError(f"{name} is {type(payload).__name__}, not a mapping")
    if PAYLOAD_KEY in payload:
        raise ValueError(f"{name} uses the key {PAYLOAD_KEY!r}, which is reserved; rename the key")
    payload = {key: _checked_value(value, name) for key, value in _checked_members(payload, name)}
    if tenant_key is None:
        return payload
    if payload.get(tenant_key, tenant) != tenant:
        raise ValueError(f"{name}[{tenant_key!r}] is {payload[tenant_key]!r}, but this is the tenant {tenant!r}")
    return {**payload, tenant_key: tenant}


def are_same(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal but for the rounding of floats."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(are_same(value, second[key]) for key, value in first.items())
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(are_same, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=_ROUNDING)
    return type(first) is type(second) and bool(first == second)


def _checked_value(value: Any, name: str, depth: int = 1) -> Any:
    """Copy a JSON value. Values that JSON or the engine would not return unchanged are refused.

    Numbers of arrays are numbers; dates and times become texts in ISO 8601, by which the engine filters, too.
    """
    if isinstance(value, (np.integer, np.bool_, np.floating)):
        value = value.item()
    if isinstance(value, date):
        return None if is_missing(value) else value.isoformat()
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, (bool, float)) or value is None:
        return value
    if isinstance(value, int):
        if value not in _INTEGERS:
            raise ValueError(f"{name} holds {value}, which does not fit into 64 bits; use a string")
        return int(value)
    if not isinstance(value, (Mapping, list, tuple)):
        raise ValueError(f"{name} cannot be stored as JSON: it holds {type(value).__name__}")  # noqa: TRY004
    if depth >= MAX_DEPTH:
        raise ValueError(f"{name} is nested more than {MAX_DEPTH} levels deep; flatten it, or store it as a string")
    if isinstance(value, Mapping):
        return {key: _checked_value(member, name, depth + 1) for key, member in _checked_members(value, name)}
    return [_checked_value(element, name, depth + 1) for element in value]


def _checked_members(value: Mapping[Any, Any], name: str) -> Iterator[tuple[str, Any]]:
    for key, member in value.items():
        if not isinstance(key, str):
            raise TypeError(f"{name} has the key {key!r}; keys of JSON objects are strings")
        yield plain_text(key), member

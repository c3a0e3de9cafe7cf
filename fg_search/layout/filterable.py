"""Fields of the user's payload that have an index of the engine, by which searches may filter and group."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from fg_search.layout.json_paths import check_key
from fg_search.layout.keys import PAYLOAD_KEY

if TYPE_CHECKING:
    from qdrant_client import models

FieldKind: TypeAlias = Literal["keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo"]

_KINDS: tuple[str, ...] = get_args(FieldKind)


def check_filterable(fields: Mapping[str, str]) -> dict[str, str]:
    """Check the kinds of fields, and that they can be fields of the user's.

    Raises:
        TypeError, ValueError: If not.
    """
    if not isinstance(fields, Mapping):
        raise TypeError(f'filterable must map fields to kinds, such as {{"category": "keyword"}}, got {fields!r}')
    for key, kind in fields.items():
        check_key(key)
        if key.split(".")[0].strip('"') == PAYLOAD_KEY:
            raise ValueError(f"{key!r} cannot be made filterable: {PAYLOAD_KEY!r} is the index's own")
        if kind not in _KINDS:
            raise ValueError(f"the kind of {key!r} must be one of {', '.join(_KINDS)}, got {kind!r}")
    return dict(fields)


def filterable_indexes(fields: Mapping[str, str]) -> dict[str, models.PayloadSchemaType]:
    """Payload indexes of fields."""
    from qdrant_client import models

    return {key: models.PayloadSchemaType(kind) for key, kind in fields.items()}


def guessed_kind(key: str, payloads: Iterable[Mapping[str, Any]]) -> str:
    """Kind of a field, guessed from its values. It is a keyword if they are of several kinds.

    Raises:
        ValueError: If no payload has a value that can be indexed.
    """
    kinds = {_kind_of(value) for payload in payloads for value in _values(payload, key)} - {None}
    if not kinds:
        shown = json.dumps(key, ensure_ascii=False)
        raise ValueError(
            f"no item has a value in {shown} to guess its kind from; say which: one of {', '.join(_KINDS)}"
        )
    if len(kinds) == 1:
        return str(kinds.pop())
    return "float" if kinds == {"integer", "float"} else "keyword"


def _values(payload: Mapping[str, Any], key: str) -> Iterable[Any]:
    from qdrant_client.local.payload_value_extractor import value_by_key

    for value in value_by_key(dict(payload), key) or []:
        yield from value if isinstance(value, list) else [value]


def _kind_of(value: object) -> str | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "float"
    if isinstance(value, dict):
        return "geo" if {"lon", "lat"} <= value.keys() else None
    if isinstance(value, str):
        return "datetime" if _is_datetime(value) else "keyword"
    return None


def _is_datetime(text: str) -> bool:
    if len(text) < len("2026-01-01") or text[4:5] != "-":  # "20260101" may well be a number of something
        return False
    try:
        return bool(datetime.fromisoformat(text.replace("Z", "+00:00")))
    except ValueError:
        return False

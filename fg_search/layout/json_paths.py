"""Keys of filters: paths into payloads, such as ``size.eu``, in which odd names are quoted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from qdrant_client import models

_NAME = r"[\w-]+"
_STEP = rf'(?:"[^"]*"|{_NAME})(?:\[[0-9]*\])*'
_PATH = re.compile(rf"{_STEP}(?:\.{_STEP})*")


def check_filter(query_filter: models.Filter) -> None:
    """Check the keys of a filter.

    Raises:
        ValueError: A key is no path; the message says how to write it.
    """
    for key in filter_keys(query_filter):
        check_key(key, " of the filter")


def check_key(key: str, whose: str = "") -> None:
    """Check that a key is a path.

    Args:
        key: The key.
        whose: Where it comes from, for the message.

    Raises:
        ValueError: If it is none; the message says how to write it.
    """
    if _PATH.fullmatch(key):
        return
    if '"' in key or not key:
        raise ValueError(f"the key {key!r}{whose} is no path; quotes go around a whole name: {_shown(quoted('a b'))}")
    steps = [step if re.fullmatch(_STEP, step) else quoted(step) for step in key.split(".")]
    raise ValueError(
        f"the key {key!r}{whose} is no path; put names with spaces or signs in quotes: {_shown('.'.join(steps))}"
    )


def _shown(path: str) -> str:
    return f"{path!r} in Python, {json.dumps(path, ensure_ascii=False)} in JSON"


def quoted(name: str) -> str:
    """Return the path of a key of the payload itself, whatever signs are in its name."""
    return f'"{name}"'


def filter_keys(condition: object) -> Iterator[str]:
    """Yield the keys of a filter, of the conditions in it, and of the filters in those."""
    if isinstance(condition, BaseModel):
        for name in type(condition).model_fields:
            value = getattr(condition, name)
            if name == "key" and isinstance(value, str):
                yield value
            else:
                yield from filter_keys(value)
    elif isinstance(condition, (list, tuple)):
        for each in condition:
            yield from filter_keys(each)

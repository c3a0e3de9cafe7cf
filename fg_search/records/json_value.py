"""Which values can be kept as JSON without becoming other values on the way."""

from __future__ import annotations

import math
import reprlib
from typing import Any

MAX_DEPTH = 100  # readers of JSON give up somewhere, serde_json (Qdrant's) at 128 levels, of which a request takes some
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


def is_unicode(text: str) -> bool:
    """Whether it can be encoded: a lone surrogate is half a character, or a byte that was not UTF-8."""
    if text.isascii():  # the usual case, without a copy
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_value(value: Any, *, depth: int = 0) -> None:
    """Make sure that a decoded JSON value survives being stored.

    Args:
        value: Of the types that ``json.loads`` makes.
        depth: How many lists and objects are around it.

    Raises:
        ValueError: On a lone surrogate, NaN or infinity, an integer that fits neither signed nor unsigned 64
            bits, or more than ``MAX_DEPTH`` levels. The message goes on where one says the column.
    """
    if depth >= MAX_DEPTH and isinstance(value, (dict, list)):
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_scalar(key)
            check_value(item, depth=depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_value(item, depth=depth + 1)
    else:
        _check_scalar(value)


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        if not is_unicode(value):
            raise ValueError(f"holds a lone surrogate, which is no character: {reprlib.repr(value)}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"holds {value}, which is not JSON; use null")
    elif isinstance(value, int) and not _MIN_INTEGER <= value <= _MAX_INTEGER:
        raise ValueError(f"holds {reprlib.repr(value)}, which does not fit into 64 bits; write it as a text")

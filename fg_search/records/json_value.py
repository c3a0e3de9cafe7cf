"""Check that values survive being stored as JSON."""

from __future__ import annotations

import math
import reprlib
from typing import Any

from fg_search.layout.payloads import MAX_DEPTH

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


def is_unicode(text: str) -> bool:
    """Whether a string has no lone surrogates, which are half characters or bytes that were not UTF-8."""
    if text.isascii():  # the usual case, without a copy
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_value(value: Any, *, depth: int = 1) -> None:
    """Check that a decoded JSON value survives being stored.

    Args:
        value: Value of the types that ``json.loads`` returns.
        depth: Number of lists and objects around the value; the row is one.

    Raises:
        ValueError: The value contains a lone surrogate, NaN or infinity, an integer that fits neither signed nor
            unsigned 64 bits, or more than ``MAX_DEPTH`` levels, as in an index. The message lacks its subject, such as
            the column.
    """
    if depth >= MAX_DEPTH and isinstance(value, (dict, list)):
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep; flatten it, or write it as a text")
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

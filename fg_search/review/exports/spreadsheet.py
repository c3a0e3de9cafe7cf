"""Escape table cells so that a spreadsheet does not run text as a formula.

Following OWASP's advice on CSV injection (https://owasp.org/www-community/attacks/CSV_Injection), text that starts like
a formula is prefixed with a single quote. So is text that starts with quotes followed by such a start, which makes
:func:`unescape` the exact inverse of :func:`escape`.
"""

from __future__ import annotations

import re
from typing import TypeVar

T = TypeVar("T")

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001  # spreadsheets accept full-width characters too


def escape(value: T) -> T | str:
    """Return the cell for a value; numbers are returned unchanged."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unescape(text: str) -> str:
    """Return the text of a cell."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text

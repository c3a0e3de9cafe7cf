"""Cells of a table that is opened in a spreadsheet: a text must not become a formula there.

As OWASP advises on CSV injection (https://owasp.org/www-community/attacks/CSV_Injection), a text that begins like a
formula gets a single quote before it. So does one that begins with quotes and then like a formula: what was escaped
can be told from what was not, and :func:`unescape` is the inverse of :func:`escape`.
"""

from __future__ import annotations

import re
from typing import TypeVar

T = TypeVar("T")

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001  # spreadsheets take the full-width ones, too


def escape(value: T) -> T | str:
    """The cell for a value; numbers are no formulas and stay as they are."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unescape(text: str) -> str:
    """The text of a cell."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text

"""Types of the columns of a table whose cells are all texts: numbers, truth values and points in time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

ColumnType: TypeAlias = Literal["text", "integer", "float", "bool", "datetime"]

TYPES: tuple[str, ...] = get_args(ColumnType)

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")  # with a leading zero it is a code, such as a postcode
_FLOAT = re.compile(r"[-+]?(?=\.?[0-9])(0|[1-9][0-9]*)?(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_TIME = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[-+][0-9]{2}:?[0-9]{2})?"
_DATE = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}({_TIME})?")
_TRUTH = {"true": True, "false": False}


class ColumnTypes:
    """Finds the types of columns, row by row. A column has a type if all its cells that are not empty have it."""

    def __init__(self) -> None:
        self._possible: dict[str, list[ColumnType]] = {}
        self._filled: set[str] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at a row."""
        for column, cell in row.items():
            possible = self._possible.setdefault(column, ["integer", "float", "bool", "datetime"])
            if not possible or cell == "":
                continue
            self._filled.add(column)
            possible[:] = [each for each in possible if isinstance(cell, str) and is_a(cell, each)]

    def found(self) -> dict[str, ColumnType]:
        """Types by column, without columns of text."""
        return {name: possible[0] for name, possible in self._possible.items() if possible and name in self._filled}


def typed(row: Mapping[str, Any], types: Mapping[str, ColumnType]) -> dict[str, Any]:
    """A row with the values that its texts stand for; an empty cell of a column that is no text becomes ``None``.

    Points in time stay texts, since JSON has no other way to write them.

    Raises:
        ValueError: If a cell is not of the type of its column.
    """
    return {column: _value(column, cell, types.get(column, "text")) for column, cell in row.items()}


def chosen_types(written: Iterable[str]) -> tuple[bool, dict[str, ColumnType]]:
    """Read ``auto``, ``text`` and ``COLUMN=TYPE``, as they are written on a command line.

    Returns:
        Whether the types of other columns are to be found, and the types of those that are named.

    Raises:
        ValueError: If one is neither.
    """
    find, named = True, {}
    for each in written:
        column, sign, kind = each.rpartition("=")
        if sign and column and kind in TYPES:
            named[column] = kind
        elif each in ("auto", "text"):
            find = each == "auto"
        else:
            raise ValueError(f"{each!r} is no type of columns: write auto, text, or COLUMN=TYPE ({', '.join(TYPES)})")
    return find, named  # type: ignore[return-value]  # each is one of TYPES


def _value(column: str, cell: Any, kind: ColumnType) -> Any:
    if kind == "text" or not isinstance(cell, str):
        return cell
    if cell == "":
        return None
    if not is_a(cell, kind):
        raise ValueError(f"{column!r} holds {cell[:40]!r}, which is no {kind}; correct it, or --types {column}=text")
    return value_of(cell, kind)


def value_of(cell: str, kind: ColumnType) -> Any:
    """The value that a cell of a type stands for; a point in time stays a text."""
    return _READ[kind](cell)


def is_a(cell: str, kind: ColumnType) -> bool:
    """Whether a cell that is not empty is of a type; every one is a text."""
    text = cell.strip()
    if kind == "integer":
        return _INTEGER.fullmatch(text) is not None
    if kind == "float":
        return _FLOAT.fullmatch(text) is not None
    if kind == "bool":
        return text.lower() in _TRUTH
    if kind == "text":
        return True
    return _DATE.fullmatch(text) is not None and _is_datetime(text)


def _is_datetime(text: str) -> bool:
    try:
        datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


_READ: dict[str, Callable[[str], Any]] = {
    "text": str,
    "integer": int,
    "float": float,
    "bool": lambda text: _TRUTH[text.strip().lower()],
    "datetime": str.strip,
}

"""Types of the columns of a table whose cells are all texts: numbers, truth values and points in time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

NamedType: TypeAlias = Literal["text", "integer", "float", "bool", "datetime"]
ColumnType: TypeAlias = NamedType | Literal["float with decimal commas"]

TYPES: tuple[str, ...] = get_args(NamedType)
DECIMAL_COMMAS: Literal["float with decimal commas"] = "float with decimal commas"

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")  # with a leading zero it is a code, such as a postcode
_FLOAT = re.compile(r"[-+]?(?=\.?[0-9])(0|[1-9][0-9]*)?(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_COMMA = re.compile(r"[-+]?(?=,?[0-9])(0|[1-9][0-9]*|[1-9][0-9]{0,2}(\.[0-9]{3})+(?=,))?(,[0-9]+)?")
_EITHER = re.compile(r"[-+]?[1-9][0-9]{0,2},[0-9]{3}")  # 1,234 is one thousand in one country, and little in another
_DIGITS = re.compile(r"[-+0-9.,]+")
_TIME = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[-+][0-9]{2}:?[0-9]{2})?"
_DATE = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}({_TIME})?")
_TRUTH = {"true": True, "false": False}


class ColumnTypes:
    """Finds the types of columns, row by row. A column has a type if all its cells that are not empty have it.

    Args:
        decimal_commas: Whether ``15,90`` may be a number, since no comma stands between the fields. It is one if all
            cells of the column can be, and at least one can be nothing else, as ``1,234`` can.
    """

    def __init__(self, *, decimal_commas: bool = False) -> None:
        self._may_be: list[ColumnType] = ["integer", "float", "bool", "datetime"]
        if decimal_commas:
            self._may_be.insert(2, DECIMAL_COMMAS)
        self._decimal_commas = decimal_commas
        self._possible: dict[str, list[ColumnType]] = {}
        self._filled: set[str] = set()
        self._commas: set[str] = set()  # columns with a decimal comma that nothing else can be
        self._points: set[str] = set()  # columns with a decimal point

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at a row."""
        for column, cell in row.items():
            if self._decimal_commas and isinstance(cell, str):
                self._look_for_decimals(column, cell.strip())
            possible = self._possible.setdefault(column, [*self._may_be])
            if not possible or cell == "":
                continue
            self._filled.add(column)
            possible[:] = [each for each in possible if isinstance(cell, str) and is_a(cell, each)]

    def found(self) -> dict[str, ColumnType]:
        """Types by column, without columns of text."""
        first = {name: possible[0] for name, possible in self._possible.items() if possible and name in self._filled}
        return {name: kind for name, kind in first.items() if kind != DECIMAL_COMMAS or name in self._commas}

    def as_written(self, named: Mapping[str, ColumnType]) -> dict[str, ColumnType]:
        """Types that somebody has named: floats have decimal commas where the cells have them, and never a point."""
        commas = self._commas - self._points
        return {name: DECIMAL_COMMAS if kind == "float" and name in commas else kind for name, kind in named.items()}

    def _look_for_decimals(self, column: str, cell: str) -> None:
        if "," in cell and _COMMA.fullmatch(cell) and not _EITHER.fullmatch(cell):
            self._commas.add(column)
        elif "." in cell and _FLOAT.fullmatch(cell):
            self._points.add(column)


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
        right = "write it as 1234.5" if "," in cell and _DIGITS.fullmatch(cell.strip()) else "correct it"
        raise ValueError(f"{column!r} holds {cell[:40]!r}, which is no {kind}; {right}, or --types {column}=text")
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
    if kind == DECIMAL_COMMAS:
        return _COMMA.fullmatch(text) is not None
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
    DECIMAL_COMMAS: lambda text: float(text.replace(".", "").replace(",", ".")),
    "bool": lambda text: _TRUTH[text.strip().lower()],
    "datetime": str.strip,
}

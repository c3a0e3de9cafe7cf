"""Tables for notebooks, as HTML, and as data frames: results show themselves where they end a cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_TEXT = 200  # characters of a cell
_ROWS = 50


def html_table(rows: Sequence[Mapping[str, Any]], *, title: str = "", note: str = "") -> str:
    """A table with a row for each mapping, at most 50 of them. All texts are escaped.

    Args:
        rows: Cells by column; the first row names the columns.
        title: A line above it.
        note: A line below it.
    """
    parts = [f"<p>{_cell(title)}</p>"] if title else []
    if rows:
        head = "".join(f"<th>{_cell(name)}</th>" for name in rows[0])
        body = "".join(f"<tr>{_cells(row.values())}</tr>" for row in rows[:_ROWS])
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    if len(rows) > _ROWS:
        parts.append(f"<p><small>{len(rows) - _ROWS:,} more rows</small></p>")
    if note:
        parts.append(f"<p><small>{_cell(note)}</small></p>")
    return "\n".join(parts)


def html_facts(facts: Mapping[str, Any], *, title: str = "") -> str:
    """A table of two columns: names, and what is known."""
    rows = "".join(f"<tr><th>{_cell(name)}</th><td>{_cell(value)}</td></tr>" for name, value in facts.items())
    return (f"<p>{_cell(title)}</p>\n" if title else "") + f"<table><tbody>{rows}</tbody></table>"


def to_frame(rows: Iterable[Mapping[str, Any]]) -> Any:
    """A data frame of pandas with a row for each mapping.

    Raises:
        ModuleNotFoundError: If pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise ModuleNotFoundError("a data frame needs pandas; pip install 'fg-search[notebook]'") from None
    return pd.DataFrame(list(rows))


def _cells(values: Iterable[Any]) -> str:
    return "".join(f'<td style="text-align: {"right" if _is_number(v) else "left"}">{_cell(v)}</td>' for v in values)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return escape(text if len(text) <= _TEXT else f"{text[:_TEXT]} …")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

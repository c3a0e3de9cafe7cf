"""Tables of pandas, polars and Arrow as rows; others, such as Hugging Face datasets, are iterated by row themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fg_search.validation import is_missing

_ROWS = 1_000  # of a data frame that are made at once


def rows_of(table: Iterable[Any]) -> Iterable[Any]:
    """Rows of a table as mappings, without what is missing; anything else as it is."""
    rows = _rows(table)
    return table if rows is None else map(_present, rows)


def _rows(table: Any) -> Iterator[Mapping[str, Any]] | None:
    if hasattr(table, "iter_rows"):  # polars
        return (row for row in table.iter_rows(named=True))
    if hasattr(table, "to_batches"):  # Arrow
        return (row for batch in table.to_batches(max_chunksize=_ROWS) for row in batch.to_pylist())
    if hasattr(table, "iloc") and hasattr(table, "columns"):  # pandas; a column has no columns
        return _of_frame(table)
    return None


def _of_frame(frame: Any) -> Iterator[Mapping[str, Any]]:
    for start in range(0, len(frame), _ROWS):
        yield from frame.iloc[start : start + _ROWS].to_dict("records")


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not is_missing(value)}

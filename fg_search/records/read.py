"""Read records from a file of any supported format, as a stream or a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.records.delimited import read_delimited
from fg_search.records.errors import OnError, RecordError, stop
from fg_search.records.jsonl import read_jsonl
from fg_search.records.record import Columns, Record, Row, to_record
from fg_search.records.text_file import GZIP_ENDING


def iterate_records(
    path: Path,
    *,
    text: str | None,
    label: str | None = None,
    id: str | None = None,  # noqa: A002  # name of the column
    on_error: OnError = stop,
) -> Iterator[Record]:
    """Stream a file of any size row by row; reading starts with the first record requested.

    Args:
        path: File in UTF-8: ``.jsonl`` or ``.ndjson`` (one JSON object per line), ``.csv`` or ``.tsv`` (with a header),
            each optionally gzipped (``.jsonl.gz``). Or a ``.parquet`` file.
        text: Column with the text, required and non-empty in every row; ``None`` if texts are not needed.
        label: Column with the label, required in every row; an empty or null value means unknown.
        id: Column with the id, required and non-empty in every row.
        on_error: Handler called with the error of each bad row; if it returns, the row is skipped.

    Returns:
        Records of the good rows in file order.

    Raises:
        RecordError: Immediately if the file is missing, its ending is unknown, or pyarrow is not installed. While
            reading, regardless of ``on_error``, if the file is damaged, has no rows or no good row, or if its first
            row lacks a column, since a mistyped column name is not a bad row.
    """
    if not path.is_file():
        raise RecordError(path, "there is no file of this name")
    return _records(path, _find_reader(path)(path), Columns(text, label, id), on_error)


def read_records(
    path: Path,
    *,
    text: str | None,
    label: str | None = None,
    id: str | None = None,  # noqa: A002  # name of the column
    on_error: OnError = stop,
) -> list[Record]:
    """Read a whole file into a list, in the formats of :func:`iterate_records`.

    Args:
        path: File to read.
        text: Column with the text, required and non-empty in every row; ``None`` if texts are not needed.
        label: Column with the label, required in every row; an empty or null value means unknown.
        id: Column with the id, required and non-empty in every row.
        on_error: Handler called with the error of each bad row; by default reading stops at the first.

    Returns:
        Records of the good rows in file order.

    Raises:
        RecordError: The file cannot be read, has no good row, or its first row lacks a column.
    """
    return list(iterate_records(path, text=text, label=label, id=id, on_error=on_error))


def _records(path: Path, rows: Iterator[Row | RecordError], columns: Columns, on_error: OnError) -> Iterator[Record]:
    seen = good = 0
    columns_known = False
    for row in rows:
        seen += 1
        if isinstance(row, RecordError):
            on_error(row)
            continue
        if not columns_known:
            columns.check_present(row)
            columns_known = True
        try:
            record = to_record(row, columns, reserved=PAYLOAD_KEY)
        except RecordError as error:
            on_error(error)
            continue
        good += 1
        yield record
    if not good:
        raise RecordError(path, f"no good row among {seen:,}" if seen else "the file has no rows")


_READERS: dict[str, Callable[[Path], Iterator[Row | RecordError]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": partial(read_delimited, delimiter=","),
    ".tsv": partial(read_delimited, delimiter="\t"),
}


def _find_reader(path: Path) -> Callable[[Path], Iterator[Row | RecordError]]:
    ending = path.suffix.lower()
    if ending == ".parquet":
        return _parquet_reader(path)
    if ending == GZIP_ENDING:
        ending = Path(path.stem).suffix.lower()
    if ending not in _READERS:
        known = ", ".join([*_READERS, ".parquet"])
        raise RecordError(
            path, f"the ending {ending!r} is not known; use one of {known}, all but the last also with .gz"
        )
    return _READERS[ending]


def _parquet_reader(path: Path) -> Callable[[Path], Iterator[Row | RecordError]]:
    try:
        from fg_search.records.parquet import read_parquet
    except ModuleNotFoundError:
        raise RecordError(path, "Parquet needs pyarrow; pip install 'fg-search[parquet]'") from None
    return read_parquet

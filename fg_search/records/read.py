"""Records from a file of any format, as a stream or as a list."""

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
    id: str | None = None,  # noqa: A002  # the column's name
    on_error: OnError = stop,
) -> Iterator[Record]:
    """Read a file row by row, however large it is; nothing is read before the first record is asked for.

    Args:
        path: ``.jsonl`` or ``.ndjson`` (one JSON object a line), ``.csv`` or ``.tsv`` (with a header), each UTF-8
            and perhaps gzipped (``.jsonl.gz``), or ``.parquet``.
        text: Column of the text; no row may lack it or leave it empty. ``None`` if the texts are not needed.
        label: Column of the label; no row may lack it, an empty or null value means unknown.
        id: Column of the id; no row may lack it or leave it empty.
        on_error: Called with the error of each bad row; if it returns, the row is skipped.

    Returns:
        The records of the good rows, in the order of the file.

    Raises:
        RecordError: At once if the file is not there, its ending is not known, or pyarrow is missing. While
            reading, whatever ``on_error`` says, if the file is damaged, has no rows or no good one, or its
            first row lacks a column: a mistyped name is no bad row.
    """
    if not path.is_file():
        raise RecordError(path, "there is no file of this name")
    return _records(path, _find_reader(path)(path), Columns(text, label, id), on_error)


def read_records(
    path: Path,
    *,
    text: str | None,
    label: str | None = None,
    id: str | None = None,  # noqa: A002  # the column's name
    on_error: OnError = stop,
) -> list[Record]:
    """Read all rows of a file before anything is done with them.

    Args:
        path: As for :func:`iterate_records`.
        text: Column of the text.
        label: Column of the label.
        id: Column of the id.
        on_error: Called with the error of each bad row; by default the first one stops.

    Raises:
        RecordError: As :func:`iterate_records` does.
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

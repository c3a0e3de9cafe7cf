"""Read records from a file of any supported format, as a stream or a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fg_search.csv_rows import check_delimiter
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.records.delimited import chosen_delimiter, read_delimited
from fg_search.records.errors import OnError, RecordError, stop
from fg_search.records.found_encoding import AUTO, find_encoding
from fg_search.records.jsonl import read_jsonl
from fg_search.records.record import Columns, Record, Row, to_record
from fg_search.records.text_file import GZIP_ENDING, check_encoding


def iterate_records(
    path: Path,
    *,
    text: str | Sequence[str] | None,
    label: str | None = None,
    id: str | None = None,  # noqa: A002  # name of the column
    vector: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    on_error: OnError = stop,
) -> Iterator[Record]:
    """Stream a file of any size row by row; reading starts with the first record requested.

    Args:
        path: Text file: ``.jsonl`` or ``.ndjson`` (one JSON object per line), ``.csv`` or ``.tsv`` (with a header),
            each optionally gzipped (``.jsonl.gz``). Or a ``.parquet`` file.
        text: Column with the text, required and non-empty in every row; ``None`` if texts are not needed. Of several
            columns, what they say is joined, and they are payload as well; one of them has to be non-empty.
        label: Column with the label, required in every row; an empty value, null or NaN means unknown, and a whole
            number is a label by its digits.
        id: Column with the id, required and non-empty in every row.
        vector: Column with the embedding, a list of numbers in every row.
        delimiter: Character between the fields of a CSV or TSV file; found in the header by default.
        encoding: Encoding of a text file, such as ``"cp1252"``, or ``"auto"`` to find it; UTF-8 by default.
        on_error: Handler called with the error of each bad row; if it returns, the row is skipped.

    Returns:
        Records of the good rows in file order.

    Raises:
        RecordError: Immediately if the file is missing, its ending is unknown, or pyarrow is not installed. While
            reading, regardless of ``on_error``, if the file is damaged, has no rows or no good row, if its first row
            lacks a column, since a mistyped column name is not a bad row, or if a quote is never closed, since what it
            takes in may be any number of rows.
        ValueError: There is no such encoding, or the delimiter is not possible.
    """
    texts = () if text is None else (text,) if isinstance(text, str) else tuple(text)
    rows = iterate_rows(path, delimiter=delimiter, encoding=encoding)
    return _records(path, rows, Columns(texts, label, id, vector), on_error)


def iterate_rows(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None
) -> Iterator[Row | RecordError]:
    """Stream the rows of a file as they are, in the formats of :func:`iterate_records`; a bad one is an error.

    Raises:
        RecordError: The file is missing, its ending is unknown, or pyarrow is not installed; while reading, if the
            file is damaged.
        ValueError: There is no such encoding, or the delimiter is not possible.
    """
    _check_there(path)
    return _read(path, delimiter, encoding)


def first_row(path: Path, **form: str | None) -> Row | None:
    """The first good row of a file as it is, or ``None``; errors are those of :func:`iterate_rows`."""
    return next((row for row in iterate_rows(path, **form) if isinstance(row, Row)), None)


def read_records(
    path: Path,
    *,
    text: str | Sequence[str] | None,
    label: str | None = None,
    id: str | None = None,  # noqa: A002  # name of the column
    vector: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    on_error: OnError = stop,
) -> list[Record]:
    """Read a whole file into a list, in the formats of :func:`iterate_records`.

    Args:
        path: File to read.
        text: Column with the text, required and non-empty in every row; ``None`` if texts are not needed. Of several
            columns, what they say is joined, and they are payload as well; one of them has to be non-empty.
        label: Column with the label, required in every row; an empty value, null or NaN means unknown, and a whole
            number is a label by its digits.
        id: Column with the id, required and non-empty in every row.
        vector: Column with the embedding, a list of numbers in every row.
        delimiter: Character between the fields of a CSV or TSV file; found in the header by default.
        encoding: Encoding of a text file, such as ``"cp1252"``, or ``"auto"`` to find it; UTF-8 by default.
        on_error: Handler called with the error of each bad row; by default reading stops at the first.

    Returns:
        Records of the good rows in file order.

    Raises:
        RecordError: The file cannot be read, has no good row, or its first row lacks a column.
    """
    return list(
        iterate_records(
            path,
            text=text,
            label=label,
            id=id,
            vector=vector,
            delimiter=delimiter,
            encoding=encoding,
            on_error=on_error,
        )
    )


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


_USUAL_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINE_ENDINGS = (".jsonl", ".ndjson")


def is_table(path: Path) -> bool:
    """Whether it is a CSV or TSV file by its name, whose values are all texts."""
    return _usual_delimiter(path) is not None


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise RecordError(path, "there is no file of this name")


def _usual_delimiter(path: Path) -> str | None:
    """The delimiter to expect in a file of this name; ``None`` if it is no table."""
    endings = (suffix.lower() for suffix in path.suffixes[-2:])
    return next((_USUAL_DELIMITERS[ending] for ending in endings if ending in _USUAL_DELIMITERS), None)


def may_have_decimal_commas(path: Path, *, delimiter: str | None = None, encoding: str | None = None) -> bool:
    """Whether a comma in a cell can be a decimal one: it is a table, and other characters separate its fields.

    Raises:
        RecordError: The file cannot be read.
        ValueError: There is no such encoding.
    """
    _check_there(path)
    usual = _usual_delimiter(path)
    if usual is None:
        return False
    encoding = find_encoding(path) if encoding == AUTO else encoding
    return chosen_delimiter(path, delimiter=delimiter, usual=usual, encoding=encoding) != ","


def has_encoding(path: Path) -> bool:
    """Whether it is a text file by its name."""
    return path.suffix.lower() != ".parquet"


def _read(path: Path, delimiter: str | None, encoding: str | None) -> Iterator[Row | RecordError]:
    """Choose the reader by the ending of the file's name."""
    ending = path.suffix.lower()
    if ending == GZIP_ENDING:
        ending = Path(path.stem).suffix.lower()
    is_parquet = not has_encoding(path)
    if not is_parquet and ending not in (*_LINE_ENDINGS, *_USUAL_DELIMITERS):
        known = ", ".join([*_LINE_ENDINGS, *_USUAL_DELIMITERS, ".parquet"])
        raise RecordError(
            path, f"the ending {ending!r} is not known; use one of {known}, all but the last also with .gz"
        )
    if encoding == AUTO:
        encoding = None if is_parquet else find_encoding(path)
    if encoding is not None:
        check_encoding(encoding)
        if is_parquet:
            raise RecordError(path, "a Parquet file has no encoding to choose; leave it out")
    if ending in _USUAL_DELIMITERS:
        if delimiter is not None:
            check_delimiter(delimiter)
        return read_delimited(path, delimiter=delimiter, usual=_USUAL_DELIMITERS[ending], encoding=encoding)
    if delimiter is not None:
        raise RecordError(path, "a delimiter is only for CSV and TSV files; leave it out")
    return _parquet_reader(path)(path) if is_parquet else read_jsonl(path, encoding=encoding)


def _parquet_reader(path: Path) -> Callable[[Path], Iterator[Row | RecordError]]:
    try:
        from fg_search.records.parquet import read_parquet
    except ModuleNotFoundError:
        raise RecordError(path, "Parquet needs pyarrow; pip install 'fg-search[parquet]'") from None
    return read_parquet

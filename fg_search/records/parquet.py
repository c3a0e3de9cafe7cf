"""Rows of a Parquet file as JSON values. Needs pyarrow (extra ``parquet``)."""

from __future__ import annotations

import datetime
import decimal
import itertools
import math
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet, types

from fg_search.records.errors import RecordError
from fg_search.records.record import Row, listed

_BATCH_SIZE = 1024  # rows in memory at a time, at most
_BATCH_BYTES = 32 << 20  # what rows may take in memory at a time, if one alone does not take more
_VALUE_BYTES = 32  # of a number in a list of Python
_BUFFER_SIZE = 1 << 20  # bytes per column; without a buffer pyarrow reads whole row groups
_SMALL_CHUNK = 4 << 20  # bytes; of a smaller chunk, its distinct texts can be kept, each once
_OF_DICTIONARIES = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"}  # others pyarrow cannot keep so
_REPEATED = 100  # times that values take the bytes of the file: they are repeated on purpose
# invalid UTF-8; a year beyond 9999; an unknown time zone or a repeated map key
_UNREADABLE = (ValueError, OverflowError, KeyError)
# what pyarrow raises for damaged files beside its own errors: names that are not UTF-8, impossible sizes and indices
_DAMAGED = (pa.ArrowException, OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError)

_UNCHANGED = (
    types.is_null,
    types.is_boolean,
    types.is_integer,
    types.is_floating,
    types.is_decimal,
    types.is_string,
    types.is_large_string,
    types.is_date,
)


def read_parquet(path: Path) -> Iterator[Row | RecordError]:
    """Read rows in batches; a row with a value that Python cannot represent is yielded as an error.

    Some hundred bytes of a file can stand for gigabytes of repeated values. So a batch has as many rows as fit, by
    those before it, and texts that are repeated are read once.

    Raises:
        RecordError: The file is damaged, names a column twice, or has a column of a type that JSON lacks.
    """
    try:
        with parquet.ParquetFile(path, buffer_size=_BUFFER_SIZE, pre_buffer=False) as file:
            schema = _json_schema(file.schema_arrow, path)
            texts, most = _texts_to_read_once(file), 1 if _repeats_lists(file) else _BATCH_SIZE
        options = {"read_dictionary": texts, "buffer_size": _BUFFER_SIZE, "pre_buffer": False}
        with parquet.ParquetFile(path, **options) as file:
            number = 0
            for batch in _batches(file, most):
                for part in _parts(batch):
                    for values in _to_rows(part.cast(schema, safe=False)):
                        number += 1
                        place = f"{path}:row {number}"
                        yield RecordError(place, values) if isinstance(values, str) else Row(place, values)
    except RecordError:
        raise
    except _DAMAGED as error:
        raise RecordError(path, f"not a Parquet file, or a damaged one: {error}") from None


def _texts_to_read_once(file: Any) -> list[str]:
    """Columns of texts, by their paths, whose distinct texts the file has once, and which are few bytes."""
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    return [
        file.schema.column(column).path
        for column in range(len(file.schema))
        if file.schema.column(column).logical_type.type == "STRING"
        and all(_is_small_dictionary(group.column(column)) for group in groups)
    ]


def _is_small_dictionary(chunk: Any) -> bool:
    return chunk.total_uncompressed_size <= _SMALL_CHUNK and _OF_DICTIONARIES.issuperset(chunk.encodings)


def _repeats_lists(file: Any) -> bool:
    """Whether lists have so many more values than bytes that any row may be huge."""
    lists = [column for column in range(len(file.schema)) if file.schema.column(column).max_repetition_level]
    for number, column in itertools.product(range(file.num_row_groups), lists):
        chunk = file.metadata.row_group(number).column(column)
        taken = chunk.num_values * _VALUE_BYTES
        if taken > max(_BATCH_BYTES, _REPEATED * chunk.total_uncompressed_size):
            return True
    return False


def _batches(file: Any, most: int) -> Iterator[Any]:
    """Batches of at most ``most`` rows: the first has one, each twice as many as that before, as long as they fit."""
    rows = 1
    for batch in file.iter_batches(batch_size=rows):
        yield batch
        if batch.num_rows:
            fitting = _BATCH_BYTES * batch.num_rows // max(_taken(batch), 1)
            rows = max(min(2 * rows, fitting, most), 1)
            file.reader.set_batch_size(rows)  # holds from the next batch on


def _parts(batch: Any) -> Iterator[Any]:
    """A batch in parts whose rows fit into memory as Python's objects."""
    if batch.num_rows < 2 or _taken(batch) <= _BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _parts(batch.slice(0, half))
    yield from _parts(batch.slice(half))


def _taken(batch: Any) -> int:
    """Bytes that the values of a batch take at most as Python's objects."""
    return sum(map(_taken_by, batch.columns))


def _taken_by(values: Any) -> int:
    taken: int = len(values) * _VALUE_BYTES
    if types.is_dictionary(values.type):  # each text of it is made anew
        longest = compute.max(compute.binary_length(values.dictionary)).as_py()
        return taken + len(values) * (longest or 0)
    if types.is_nested(values.type):
        return taken + sum(map(_taken_by, _within(values)))
    return taken + int(values.nbytes)


def _within(values: Any) -> list[Any]:
    """The fields of structs, the values in lists, keys and items of maps."""
    if types.is_struct(values.type):
        return list(values.flatten())
    if types.is_map(values.type):
        start, end = values.offsets[0].as_py(), values.offsets[-1].as_py()
        return [values.keys.slice(start, end - start), values.items.slice(start, end - start)]
    return [values.flatten()]


def table_rows(table: Any, place: str) -> Iterator[dict[str, Any] | str]:
    """Rows of a table of Arrow as JSON values; a string instead of a row says what is wrong with it.

    Args:
        table: The table.
        place: Name of the table in messages.

    Raises:
        RecordError: The table names a column twice, or has a column of a type that JSON lacks.
    """
    schema = _json_schema(table.schema, place)
    for batch in table.to_batches(max_chunksize=_BATCH_SIZE):
        yield from _to_rows(batch.cast(schema, safe=False))


def _to_rows(batch: Any) -> list[dict[str, Any] | str]:
    """Convert a batch to JSON values; a string instead of a row says what is wrong with it."""
    try:
        return [_to_json(row) for row in batch.to_pylist(maps_as_pydicts="strict")]
    except _UNREADABLE:
        return [_to_row(batch.slice(i, 1)) for i in range(batch.num_rows)]


def _to_row(batch: Any) -> dict[str, Any] | str:
    values = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            [value] = column.to_pylist(maps_as_pydicts="strict")
        except _UNREADABLE as error:
            return f"{name!r} cannot be read: {error}"
        values[name] = _to_json(value)
    return values


def _to_json(value: Any) -> Any:
    """Convert a value to the type that ``json.loads`` would return."""
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else value  # data frames write NaN for a missing number
    if isinstance(value, (datetime.date, datetime.time)):  # datetime is a subclass of date
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)  # a float would lose digits of a decimal
    return value


def _json_schema(schema: Any, path: Path | str) -> Any:
    """Schema to cast to before values are converted to Python objects."""
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise RecordError(path, f"the schema names {listed(twice)} twice")
    return pa.schema([_json_field(field, path, field.name) for field in schema])


def _json_field(field: Any, path: Path | str, column: str) -> Any:
    return field.with_type(_json_type(field.type, path, column))


def _json_type(type_: Any, path: Path | str, column: str) -> Any:
    """Return the type with times in microseconds, the resolution of datetime and of Qdrant's datetime comparison."""
    if isinstance(type_, pa.UuidType) or any(is_type(type_) for is_type in _UNCHANGED):
        return type_
    if types.is_timestamp(type_):
        return pa.timestamp("us", type_.tz)
    if types.is_time(type_):
        return pa.time64("us")
    if types.is_string_view(type_):
        return pa.string()  # to which texts that are read once can be cast
    if types.is_dictionary(type_):
        return _json_type(type_.value_type, path, column)
    if types.is_struct(type_):
        return pa.struct([_json_field(field, path, column) for field in type_])
    if types.is_fixed_size_list(type_):
        return pa.list_(_json_field(type_.value_field, path, column), type_.list_size)
    if types.is_list(type_) or types.is_large_list(type_):
        make = pa.large_list if types.is_large_list(type_) else pa.list_
        return make(_json_field(type_.value_field, path, column))
    if types.is_map(type_) and (types.is_string(type_.key_type) or types.is_large_string(type_.key_type)):
        return pa.map_(type_.key_type, _json_field(type_.item_field, path, column))
    raise RecordError(path, f"the column {column!r} holds {type_}, which JSON lacks; convert it or leave it out")

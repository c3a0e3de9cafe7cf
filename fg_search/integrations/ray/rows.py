"""Rows of files, or of a dataset of Ray, as a stream of tables of items; what is wrong with a row stands in its place.

Lines of JSON and files of Parquet are read as ``fg_search.records`` reads them, and not by Ray: it names no lines,
guesses the types of a column anew for each part of a file, cuts lines at any character that Unicode calls a line break,
and replaces a column named ``path``.
"""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import ray.data
from ray.data import Dataset

from fg_search.ids import check_id, point_id, text_id
from fg_search.integrations.ray.workers import FEW_CPUS
from fg_search.layout.item_input import item_digest
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.layout.payloads import checked_payload
from fg_search.records.errors import RecordError
from fg_search.records.parquet import table_rows
from fg_search.records.read import iterate_rows
from fg_search.records.record import Columns, Record, Row, to_record

FilePath: TypeAlias = "str | os.PathLike[str]"
Data: TypeAlias = "FilePath | Sequence[FilePath] | Dataset"
"""A file, a folder of files, several of them, or a dataset of Ray."""

ENDINGS = (".parquet", ".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")

_FILE = "file"
_ROWS_PER_TABLE = 1024
_BYTES_PER_BLOCK = 8 << 20  # the workers begin with the first block while the next is read
_DATASET = "the dataset"

ITEMS = pa.schema(
    [
        ("place", pa.string()),
        ("problem", pa.string()),  # what is wrong with the row; then it is no item, and the rest is null
        ("id", pa.string()),  # as JSON, which tells 2 from "2"
        ("point", pa.string()),  # the engine's id
        ("digest", pa.string()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("payload", pa.string()),  # as JSON
        ("vector", pa.list_(pa.float32())),  # null unless it is brought along
    ]
)
"""Columns of a table of items: the same, whatever the columns of the data are, so that any two tables go together."""


@dataclass(frozen=True)
class Layout:
    """Which columns of the data are what, and whose items they become.

    Attributes:
        columns: Names of the columns.
        dimension: Numbers of a base embedding.
        tenant_key: Payload key of the tenant, in an index with tenants.
        tenant: Tenant that the items belong to.
    """

    columns: Columns
    dimension: int
    tenant_key: str | None = None
    tenant: str | None = None


def items_of(data: Data, layout: Layout) -> Dataset:
    """Tables of the items of all rows, in the columns of :data:`ITEMS`, good and bad ones.

    Raises:
        RecordError: If a file is missing or has another ending. While it is read, if it is damaged.
        ValueError: If there is no file.
    """
    if isinstance(data, Dataset):
        return data.map_batches(
            _items_of_table, batch_format="pyarrow", fn_kwargs={"layout": layout}, num_cpus=FEW_CPUS
        )
    files = ray.data.from_items([{_FILE: file} for file in files_of(data)])
    files.context.target_max_block_size = _BYTES_PER_BLOCK
    return files.map_batches(
        _items_of_files, batch_size=1, batch_format="pyarrow", fn_kwargs={"layout": layout}, num_cpus=FEW_CPUS
    )


def files_of(data: FilePath | Sequence[FilePath]) -> list[str]:
    """The files themselves, by their full paths; those of a folder by their endings.

    Raises:
        RecordError: If a file is missing or has another ending.
        ValueError: If there is none.
    """
    given = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    found: list[str] = []
    for one in given:
        if "://" in os.fspath(one):
            raise ValueError(
                f"{os.fspath(one)!r} is no file that every node has; let Ray read it: pass "
                "ray.data.read_parquet(…) in its place"
            )
        path = Path(one).absolute()
        if path.is_dir():
            found += sorted(str(file) for file in path.iterdir() if file.name.lower().endswith(ENDINGS))
        elif not path.is_file():
            raise RecordError(path, "there is no file of this name")
        elif not path.name.lower().endswith(ENDINGS):
            raise RecordError(path, f"the ending is not known; use one of {', '.join(ENDINGS)}")
        else:
            found.append(str(path))
    if not found:
        raise ValueError(f"no file to read in {', '.join(map(str, given)) or 'an empty list'}")
    return found


def columns_of(text: str | Sequence[str] | None, label: str | None, id: str | None, vector: str | None) -> Columns:  # noqa: A002
    """Names of the columns.

    Raises:
        ValueError: If they do not say what an item is.
    """
    if text is None and (vector is None or id is None):
        raise ValueError(
            "without texts, vectors are the items, and ids are shown: name both columns, vector=… and id=…"
        )
    return Columns(() if text is None else (text,) if isinstance(text, str) else tuple(text), label, id, vector)


def added_of(items: pa.Table) -> dict[str, Any]:
    """What ``ConfidenceIndex.add`` takes of a table of items, without bad rows."""
    good = items.filter(pa.compute.is_null(items["problem"]))
    vectors = good["vector"]
    return {
        "texts": good["text"].to_pylist(),
        "ids": [json.loads(one) for one in good["id"].to_pylist()],
        "labels": good["label"].to_pylist(),
        "payloads": [json.loads(one) for one in good["payload"].to_pylist()],
        "vectors": None if vectors.null_count == len(vectors) else vectors.to_pylist(),
    }


def _items_of_files(files: pa.Table, layout: Layout) -> Iterator[pa.Table]:
    for file in files[_FILE].to_pylist():
        yield from _tables(iterate_rows(Path(file)), layout)


def _items_of_table(table: pa.Table, layout: Layout) -> Iterator[pa.Table]:
    yield from _tables(_rows_of_table(table, layout.columns), layout)


def _rows_of_table(table: pa.Table, columns: Columns) -> Iterator[Row | RecordError]:
    for values in table_rows(table, _DATASET):
        if isinstance(values, str):
            yield RecordError(_DATASET, values)
        else:
            named = columns.id if columns.id is not None else columns.text[0]
            yield Row(f"{_DATASET}, the row with {named!r} {reprlib.repr(values.get(named))}", values)


def _tables(rows: Iterable[Row | RecordError], layout: Layout) -> Iterator[pa.Table]:
    made = (_made(row, layout) for row in rows)
    while part := list(islice(made, _ROWS_PER_TABLE)):
        yield pa.Table.from_pylist(part, schema=ITEMS)


def _made(row: Row | RecordError, layout: Layout) -> dict[str, Any]:
    """The item of a row, or what is wrong with it."""
    if isinstance(row, RecordError):
        return {"place": row.place, "problem": row.problem}
    try:
        return _item(to_record(row, layout.columns, reserved=PAYLOAD_KEY), layout)
    except RecordError as error:
        return {"place": error.place, "problem": error.problem}
    except (TypeError, ValueError) as error:
        return {"place": row.place, "problem": str(error)}


def _item(record: Record, layout: Layout) -> dict[str, Any]:
    user_id = text_id(record.text) if record.id is None else check_id(record.id, "the id")
    text = record.text if layout.columns.text else str(user_id)
    if record.vector is not None and len(record.vector) != layout.dimension:
        raise RecordError(
            record.place,
            f"{layout.columns.vector!r} has {len(record.vector)} numbers, and the index takes {layout.dimension}",
        )
    payload = checked_payload(record.payload, "the payload", tenant_key=layout.tenant_key, tenant=layout.tenant)
    return {
        "place": record.place,
        "id": json.dumps(user_id),
        "point": str(point_id(user_id, tenant=layout.tenant)),
        "digest": item_digest(user_id, text, payload, "the payload", record.vector),
        "text": text,
        "label": record.label,
        "payload": json.dumps(payload),
        "vector": record.vector,
    }

"""Vectors that are there already, in a column of a file or in a file of numpy beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fg_search.records import Record, RecordError, iterate_records

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Vectors = Annotated[
    str | None,
    typer.Option(
        "--vectors",
        metavar="COLUMN|FILE.npy",
        help="Embeddings that are there already: the column that holds them (Parquet lists, JSON arrays), or a file "
        "of numpy with one row for each row of the file. No text is encoded; without a column of texts, ids are shown.",
        show_default=False,
    ),
]


def vector_column(vectors: str | None) -> str | None:
    """The column that ``--vectors`` names; ``None`` if it names a file, or was not given."""
    return None if vectors is None or _is_file(vectors) else vectors


def text_column(context: typer.Context, path: Path, text: Sequence[str], vectors: str | None) -> Sequence[str] | None:
    """The columns of the text; ``None`` if none is needed beside vectors, was not named and is not there."""
    source = context.get_parameter_source("text")
    if vectors is None or (source is not None and source.name == "COMMANDLINE"):
        return text
    first = next(iterate_records(path, text=None, on_error=lambda _: None), None)
    return text if first is not None and first.payload.keys() >= set(text) else None


def vectors_of(records: Sequence[Record], vectors: str | None, path: Path) -> npt.NDArray[np.float32] | None:
    """The vectors ``(n, d)`` of n rows; ``None`` if ``--vectors`` was not given.

    Args:
        records: All good rows of a file.
        vectors: What was given.
        path: The file, or the first of several.

    Raises:
        RecordError: If a vector has another dimension than the first, or the file of numpy has another number of rows.
        BadParameter: If the file of numpy cannot be read.
    """
    if vectors is None:
        return None
    import numpy as np

    if not _is_file(vectors):
        return np.stack(_alike(records, vectors))
    try:
        found = np.load(vectors, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{vectors} is no file of numpy: {error}", param_hint="--vectors") from None
    if found.ndim != 2 or len(found) != len(records):
        raise RecordError(
            path,
            f"{vectors} holds an array of shape {found.shape}, there are {len(records):,} good rows; give one vector "
            "for each row, and correct bad rows (--on-error stop shows the first)",
        )
    return np.asarray(found)


def _alike(records: Sequence[Record], column: str) -> list[npt.NDArray[np.float32]]:
    rows = [record.vector for record in records if record.vector is not None]
    for record, row in zip(records, rows, strict=True):
        if len(row) != len(rows[0]):
            raise RecordError(
                record.place, f"{column!r} has {len(row)} numbers, that of {records[0].place} has {len(rows[0])}"
            )
    return rows


def _is_file(vectors: str) -> bool:
    return vectors.lower().endswith(".npy")

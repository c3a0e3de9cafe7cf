"""Pictures that rows of a file name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fg_search.records import Record, RecordError

Images = Annotated[
    str | None,
    typer.Option(
        "--images",
        metavar="COLUMN",
        help="The items are pictures: column with their files, relative to the folder of FILE. For models that take "
        "pictures, such as CLIP; texts are only shown.",
        show_default=False,
    ),
]


def check_one_kind(vectors: str | None, images: str | None) -> None:
    """Check that items are not said to be vectors and pictures at once.

    Raises:
        BadParameter: If they are.
    """
    if vectors is not None and images is not None:
        raise typer.BadParameter("--vectors are there already, and --images are embedded; give one of them")


def pictures_of(records: Sequence[Record], column: str, file: Path) -> list[Path]:
    """Files of the pictures that rows name.

    Raises:
        RecordError: If a row names none.
    """
    found = []
    for record in records:
        name = record.payload.get(column)
        if not isinstance(name, str) or not name:
            raise RecordError(record.place, f"no file of a picture in the column {column!r}")
        found.append(file.parent / name)
    return found

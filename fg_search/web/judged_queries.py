"""Judged queries that a browser uploads as files, or a program sends as JSON."""

from __future__ import annotations

import gzip
import io
import re
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated

from fastapi import Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.requests import Request

from fg_search.ids import UserId
from fg_search.records import RecordError, SkippedRows
from fg_search.records.errors import OnError
from fg_search.records.judged import JudgedRows, read_judged
from fg_search.records.read import has_encoding
from fg_search.records.record import Record
from fg_search.records.text_file import GZIP_ENDING
from fg_search.web.parameters import Text
from fg_search.web.site import check_csrf

MOST_JUDGED = 50_000  # queries
MOST_TEXT = 32 * 1024 * 1024  # characters; a few compressed bytes may stand for as many
MOST_BYTES = 32 * 1024 * 1024  # of a text file, unpacked
MOST_LINES = 1_000_000  # of a file; empty ones are no rows, and take time
_MOST_FILES, _MOST_FIELDS = 8, 20
_LONGEST_FIELD = 4_096  # bytes
_PIECE = 1 << 20  # bytes


class JudgedQuery(BaseModel):
    """A query whose right answer is known."""

    model_config = ConfigDict(extra="forbid")

    query: Text
    relevant: UserId | list[UserId] | None = Field(
        None, description="Label or id of a right answer, several of them, or `null` if the index has none."
    )


@dataclass(frozen=True)
class Judged:
    """Judged queries.

    Attributes:
        queries: ``(n,)`` queries.
        relevant: ``(n,)`` their right answers; none, or an empty list, where the index has no answer.
        notes: What was left out.
    """

    queries: Sequence[str]
    relevant: Sequence[UserId | Sequence[UserId] | None]
    notes: Sequence[str] = ()

    @classmethod
    def of_json(cls, given: Sequence[JudgedQuery]) -> Judged:
        """Those of a program."""
        return cls([one.query for one in given], [one.relevant for one in given])


@dataclass(frozen=True)
class Upload:
    """A form with files, whose CSRF token was checked.

    Attributes:
        fields: Its fields.
        files: Names and contents of its files, without those that are empty.
    """

    fields: dict[str, str]
    files: Sequence[tuple[str, bytes]]

    def judged(self) -> Judged:
        """Judged queries in the files.

        Raises:
            RecordError: If there is no file, one cannot be read or lacks a column, or they hold too much; the message
                names the line.
        """
        if not self.files:
            raise RecordError("judged queries", "choose a file: JSONL, CSV, TSV or Parquet")
        text, right = self._column("text", "text"), self._column("relevant", "label")
        nothing = [value for value in self.fields.get("out_of_scope", "").split(",") if value]
        skipped, room = SkippedRows(), _Room()
        records = []
        with tempfile.TemporaryDirectory(prefix="fg-search-") as folder:
            try:
                for number, (name, content) in enumerate(self.files):
                    _check_size(name, content)
                    path = Path(folder) / str(number) / name
                    path.parent.mkdir()
                    path.write_bytes(content)
                    for record in read_judged(path, text=[text], relevant=[right], on_error=room.around(skipped)):
                        kept = replace(record, payload={right: record.payload[right]})
                        room.take(kept)
                        records.append(kept)
            except RecordError as error:
                raise RecordError(_own(error.place, folder), error.problem) from None
        rows = JudgedRows.of(records, relevant=[right], out_of_scope=[value.strip() for value in nothing])
        notes = [f"Left out: {_own(message, folder)}" for message in skipped.messages]
        if skipped.count > len(notes):
            notes.append(f"{skipped.count - len(notes):,} more rows were left out.")
        return Judged([record.text for record in records], rows.answers, notes)

    def _column(self, name: str, otherwise: str) -> str:
        return self.fields.get(name, "").strip() or otherwise


class _Room:
    """How much more fits in memory: a file is small, and may hold much once it is unpacked."""

    def __init__(self) -> None:
        self._rows, self._characters = MOST_JUDGED, MOST_TEXT

    def take(self, record: Record) -> None:
        """Take room for a row, before the next one is read.

        Raises:
            RecordError: If there is none.
        """
        self._take_row()
        self._characters -= len(record.text) + len(str(record.payload))
        if self._characters < 0:
            raise RecordError("judged queries", f"they hold more than the {MOST_TEXT:,} characters that are taken")

    def around(self, handler: OnError) -> OnError:
        """A handler of bad rows that take room as well."""

        def handle(error: RecordError) -> None:
            self._take_row()
            handler(error)

        return handle

    def _take_row(self) -> None:
        self._rows -= 1
        if self._rows < 0:
            raise RecordError("judged queries", f"there are more than the {MOST_JUDGED:,} rows that are taken")


async def upload(request: Request) -> Upload:
    """Read a form with files.

    Raises:
        HTTPException: If it is not one, or its CSRF token is missing or does not match.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":  # the number of fields of other forms is not bounded
        raise HTTPException(415, "A form with files is expected, which is multipart/form-data.")
    async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD) as form:
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        check_csrf(request, fields.pop("csrf", None))
        files = [
            (_file_name(value.filename), await value.read())
            for _, value in form.multi_items()
            if isinstance(value, UploadFile) and value.size
        ]
    return Upload(fields, files)


Uploaded = Annotated[Upload, Depends(upload)]


def _file_name(given: str | None) -> str:
    """The name of a file without the folders that a browser may have sent along."""
    name = PurePosixPath(PureWindowsPath(given or "").name).name
    if name in ("", ".", "..") or not name.isprintable() or len(name.encode()) > 200:
        raise HTTPException(422, "A file has no name that could be read; give it another one.")
    return name


def _check_size(name: str, content: bytes) -> None:
    """Refuse a text file that would take long to read, whatever its rows.

    Raises:
        RecordError: If it is long once it is unpacked, or holds little but line breaks.
    """
    if not has_encoding(Path(name)):
        return
    packed = io.BytesIO(content)
    size = lines = 0
    with gzip.GzipFile(fileobj=packed) if Path(name).suffix.lower() == GZIP_ENDING else packed as file:
        try:
            while piece := file.read(_PIECE):
                size += len(piece)
                lines += piece.count(b"\n")
                if size > MOST_BYTES:
                    raise RecordError(name, f"it holds more than the {MOST_BYTES:,} bytes that are taken")
                if lines > MOST_LINES:
                    raise RecordError(name, f"it has more than the {MOST_LINES:,} lines that are taken")
        except (OSError, EOFError, zlib.error):
            return  # whoever reads its rows says what is wrong with it


def _own(message: str, folder: str) -> str:
    """A message with the names of files as their owner knows them."""
    return re.sub(rf"{re.escape(folder)}[\\/]\d+[\\/]", "", message)

"""Rows of the files that commands read; bad rows are reported, and skipped or fatal."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fg_search.cli.bad_rows import left_out
from fg_search.cli.console import warn
from fg_search.cli.judged_columns import check_judged_columns
from fg_search.cli.options import IdsAs, OnBadRow
from fg_search.ids import UserId, id_from_json, other_forms, point_id, text_id
from fg_search.records import OnError, Record, RecordError, iterate_records, read_records
from fg_search.records.column_types import ColumnType, ColumnTypes, chosen_types, typed
from fg_search.records.judged import JudgedRows, read_judged
from fg_search.records.read import first_row, is_table, may_have_decimal_commas
from fg_search.records.record import listed
from fg_search.review.exports.fields import CORRECTED, SUGGESTED
from fg_search.review.exports.spreadsheet import unescape

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex

_MOST_LOOKED_UP = 100_000  # ids of a file that are looked for in the other type
_PAGE = 1_000


def read_id(user_id: UserId, ids: IdsAs | None) -> UserId:
    """An id from a file or the command line, as ``--ids`` says."""
    if ids == "json" and isinstance(user_id, str):
        return id_from_json(user_id)
    return str(user_id) if ids == "text" else user_id


def labels_there(index: ConfidenceIndex, ids: Sequence[UserId]) -> dict[UserId, str | None]:
    """The labels of items that are there. The hints that the library logs are left to the command."""
    library = logging.getLogger("fg_search.index")
    was_disabled, library.disabled = library.disabled, True
    try:
        return index.labels_of(ids)
    finally:
        library.disabled = was_disabled


def ids_meant(index: ConfidenceIndex, unknown: Iterable[UserId]) -> dict[UserId, UserId]:
    """By unknown ids, those that the index has in another form, such as 2 for ``"2"``."""
    forms = {user_id: other_forms(user_id) for user_id in unknown}
    there = labels_there(index, [form for known in forms.values() for form in known])
    meant = {user_id: [form for form in known if form in there] for user_id, known in forms.items()}
    return {user_id: known[0] for user_id, known in meant.items() if known}


def no_item(user_id: UserId, meant: Mapping[UserId, UserId]) -> str:
    """What to say of an unknown id, with the option that finds the item that is probably meant."""
    problem = f"the index has no item {user_id!r}"
    form = meant.get(user_id)
    if form is None:
        return problem
    problem += f", but it has {form!r}, a {'number' if isinstance(form, int) else 'text'}"
    if form == read_id(user_id, "json"):
        return f"{problem}; pass --ids json"
    return f"{problem}; pass --ids text" if isinstance(user_id, int) else problem


def rows_of(path: Path, on_error: OnBadRow, **columns: Any) -> list[Record]:
    """All good rows of a file. Bad rows are reported on stderr.

    Args:
        path: The file.
        on_error: Whether to skip bad rows or stop at the first.
        **columns: Names of the columns, and the form of the file, as for ``read_records``.
    """
    with left_out(path, on_error) as bad:
        return read_records(path, on_error=bad, **columns)


@dataclass(frozen=True)
class ItemRows:
    """The rows of a file as items to add. Each iteration reads the file again; it is never all in memory.

    Attributes:
        path: The file.
        columns: Names of the text, label and id columns, and the form of the file.
        ids: How ids are read.
        count: Number of good rows.
        types: Types of the columns of the payload that are no texts.
    """

    path: Path
    columns: dict[str, Any]
    ids: IdsAs | None
    count: int
    types: Mapping[str, ColumnType] = field(default_factory=dict)

    @classmethod
    def scan(
        cls,
        path: Path,
        on_error: OnBadRow,
        *,
        ids: IdsAs | None,
        types: Sequence[str] = (),
        **columns: Any,
    ) -> ItemRows:
        """Check every row before any is used, and report the bad ones.

        Args:
            path: The file.
            on_error: Whether to skip bad rows or stop at the first.
            ids: How ids are read.
            types: Types of the columns, as for ``--types``.
            **columns: Names of the text, label and id columns, and the form of the file.

        Raises:
            RecordError: If a row is bad and ``on_error`` is ``"stop"``, or a named column is not there.
            ValueError: If a type is none.
        """
        find, named = chosen_types(types)
        commas = may_have_decimal_commas(path, delimiter=columns.get("delimiter"), encoding=columns.get("encoding"))
        rows = cls(path, columns, ids, 0)
        if named:
            rows = replace(rows, types=rows._as_written(named, decimal_commas=commas))
        count, found = 0, ColumnTypes(decimal_commas=commas)
        with left_out(path, on_error) as bad:
            for record in rows.read(bad):
                count += 1
                found.add(record.payload)
            if not count:
                raise RecordError(path, f"no good row among {bad.count:,}")
        guessed = found.found() if find and is_table(path) else {}
        return replace(rows, count=count, types={**guessed, **rows.types})

    def _as_written(self, named: Mapping[str, ColumnType], *, decimal_commas: bool) -> dict[str, ColumnType]:
        """Types that were named, by the way that the cells are written."""
        seen, there = ColumnTypes(decimal_commas=decimal_commas), set[str]()
        with suppress(RecordError):  # it is raised again when bad rows are reported
            for record in self.read(_ignore):
                seen.add(record.payload)
                there |= record.payload.keys()
        if there and (unknown := [name for name in named if name not in there]):
            raise RecordError(
                self.path, f"no column {unknown[0]!r} to give a type; beside the text there are {listed(sorted(there))}"
            )
        return seen.as_written(named)

    def __iter__(self) -> Iterator[Record]:
        return self.read(_ignore)

    def read(self, on_error: OnError) -> Iterator[Record]:
        """Yield the good rows. If rows with the same id differ, only the first is good."""
        seen: dict[int | str, tuple[str, int]] = {}
        for record in iterate_records(self.path, on_error=on_error, **self.columns):
            if record.id is not None:
                record = replace(record, id=read_id(record.id, self.ids))
            try:
                key = point_id(text_id(record.text) if record.id is None else record.id)
                if self.types:
                    record = replace(record, payload=typed(record.payload, self.types))
            except ValueError as error:
                on_error(RecordError(record.place, str(error)))
                continue
            content = hash((record.text, record.label, json.dumps(record.payload, sort_keys=True)))
            place, known = seen.setdefault(key, (record.place, content))
            if known == content:
                yield record
            else:
                same = "text" if record.id is None else f"id {record.id!r}"
                on_error(RecordError(record.place, f"it has the {same} of {place} and differs from it"))

    def warn_of_twins(self, index: ConfidenceIndex) -> None:
        """Say that rows will stand beside items of the same id in the other type, such as 2 beside ``"2"``."""
        if self.columns.get("id") is None or not len(index):
            return
        ids = (record.id for record in islice(self, _MOST_LOOKED_UP) if record.id is not None)
        beside: dict[UserId, UserId] = {}
        while page := list(islice(ids, _PAGE)):
            candidates = [user_id for user_id in page if other_forms(user_id)]
            there = labels_there(index, candidates)  # such a row replaces its own item
            beside |= ids_meant(index, [user_id for user_id in candidates if user_id not in there])
        if beside:
            new, old = next(iter(beside.items()))
            warn(
                f"{len(beside):,} ids of {self.path} are in the index as another type, such as {old!r} for {new!r}; "
                f"these rows are added as further items. To replace those items instead, pass --ids "
                f"{'text' if isinstance(new, int) else 'json'}"
            )


@dataclass(frozen=True)
class LabelRows:
    """New labels by item id, from the rows of a file that were all checked first.

    Attributes:
        labels: New labels of items that are in the index.
        before: Current labels of these items.
        skipped: Number of bad rows that were left out.
    """

    labels: dict[UserId, str | None]
    before: dict[UserId, str | None]
    skipped: int

    @classmethod
    def check(
        cls, path: Path, on_error: OnBadRow, read: Callable[..., Iterable[Record]], index: ConfidenceIndex
    ) -> LabelRows:
        """Check every row and report the bad ones. If rows with the same id differ, only the first is good.

        Args:
            path: The file.
            on_error: Whether to skip bad rows or stop at the first.
            read: Yields the rows that are well-formed; called with ``on_error`` to report the others.
            index: The index that must hold the items.

        Raises:
            RecordError: If a row is bad and ``on_error`` is ``"stop"``, or if all rows are bad.
        """
        rows: list[tuple[UserId, Record]] = []
        first: dict[int | str, Record] = {}
        with left_out(path, on_error) as bad:
            for record in read(on_error=bad):
                assert record.id is not None  # noqa: S101  the reader was given an id column
                try:
                    other = first.setdefault(point_id(record.id), record)
                except ValueError as error:
                    bad(RecordError(record.place, str(error)))
                    continue
                if other.label != record.label:
                    problem = f"it has the id {record.id!r} of {other.place} and another label"
                    bad(RecordError(record.place, problem))
                else:
                    rows.append((record.id, record))
            before = labels_there(index, [user_id for user_id, _ in rows])
            unknown = [(user_id, record) for user_id, record in rows if user_id not in before]
            meant = ids_meant(index, [user_id for user_id, _ in unknown])
            for user_id, record in unknown:
                bad(RecordError(record.place, no_item(user_id, meant)))
            labels = {user_id: record.label for user_id, record in rows if user_id in before}
            if bad.count and not labels:
                raise RecordError(path, f"all {bad.count:,} row(s) with a label are bad; nothing changed")
        return cls(labels, before, bad.count)

    @property
    def left_out(self) -> str:
        """A note on skipped rows, to end a summary with."""
        return f", {self.skipped:,} bad row(s) left out" if self.skipped else ""


def read_labels(
    path: Path,
    *,
    label: str | None,
    id: str,  # noqa: A002  # name of the column
    ids: IdsAs | None,
    form: Mapping[str, str | None],
    on_error: OnError,
) -> list[Record]:
    """The rows of a file with right labels, also of one that ``fg-search export`` or the page wrote.

    The right labels of such a file are in its column for corrections, unless another is named. An empty cell of that
    is no correction, and the ids of its tables are JSON.
    """
    first = first_row(path, **form)
    names = set() if first is None else set(first.values)
    if label is None:
        label = CORRECTED if {CORRECTED, SUGGESTED} & names else "label"
    columns: dict[str, str | None] = {"label": label, "id": id, **form}
    records = read_records(path, text=None, on_error=on_error, **columns)
    is_exported_table = {CORRECTED, SUGGESTED} <= names and is_table(path)
    if label == CORRECTED:
        records = [record for record in records if record.label is not None]
        if not records:
            raise RecordError(path, f"no row has a {CORRECTED!r}")
    if ids is None and is_exported_table:
        ids = "json"
    return [
        replace(
            record,
            id=None if record.id is None else read_id(record.id, ids),
            label=unescape(record.label) if is_exported_table and record.label is not None else record.label,
        )
        for record in records
    ]


def attributes_of(records: Sequence[Record], names: Sequence[str]) -> dict[str, list[str | None]] | None:
    """The named columns as attributes. Empty and missing values are ``None``.

    Raises:
        ValueError: If a column has no value in any row.
    """
    columns: dict[str, list[str | None]] = {}
    for name in names:
        values = [record.payload.get(name) for record in records]
        columns[name] = [None if value is None or value == "" else str(value) for value in values]
        if not any(columns[name]):
            raise ValueError(f"no row has a value in the column {name!r}")
    return columns or None


def queries_of(
    paths: Sequence[Path],
    on_error: OnBadRow,
    *,
    text: Sequence[str] | None,
    relevant: Sequence[str],
    out_of_scope: Sequence[str],
    ids: IdsAs | None,
    form: Mapping[str, str | None],
    vector: str | None = None,
) -> JudgedRows:
    """The queries and, for each, its right answers; ``vector`` names the column of their embeddings.

    Raises:
        RecordError: If the first row of a file lacks a column, or any row does and ``on_error`` is ``"stop"``.
    """
    records: list[Record] = []
    for path in paths:
        with left_out(path, on_error) as bad:
            try:
                records += read_judged(path, text=text, relevant=relevant, on_error=bad, vector=vector, **form)
            except RecordError:
                check_judged_columns(path, text, relevant, {**form})
                raise
    return JudgedRows.of(
        records,
        relevant=relevant,
        out_of_scope=out_of_scope,
        read_id=partial(read_id, ids=ids),
        has_texts=text is not None,
    )


def _ignore(_: RecordError) -> None:
    """Ignore bad rows: the scan has reported them."""

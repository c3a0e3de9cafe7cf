"""Which columns of a file hold the text, the label and the id, found by their names and values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fg_search.records.column_types import ColumnTypes
from fg_search.records.errors import RecordError
from fg_search.records.read import iterate_rows, may_have_decimal_commas
from fg_search.records.record import Row, listed

_LOOKED_AT = 2_000  # rows
_TEXTS = ("text", "question", "query", "utterance", "sentence", "message", "body", "content", "description", "summary")
_TITLES = ("title", "name", "headline", "subject", "product")
_LABELS = ("label", "category", "class", "intent", "topic", "kind", "type", "department", "group", "genre", "tag")
_IDS = ("id", "uuid", "guid", "sku", "key", "isbn", "asin", "ean", "number", "no", "nr", "code")
_FEW_WORDS = 3  # a text has at least so many, on average
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""A character of Thai, Lao, Burmese, Khmer, Japanese or Chinese, which are written without spaces."""
_CHOSEN = "chosen"
_NEARLY = 0.9  # share of values that are different
_EXAMPLES = 2  # of a label, on average


@dataclass(frozen=True)
class FoundColumns:
    """Columns that a file seems to be about.

    Attributes:
        text: Columns of the text, joined in this order.
        label: Column of the label, ``None`` if there seems to be none.
        id: Column of the id, ``None`` if there seems to be none.
        why: For ``"text"``, ``"label"`` and ``"id"``, what was found, in words.
        others: All other columns.
    """

    text: tuple[str, ...]
    label: str | None
    id: str | None
    why: dict[str, str]
    others: tuple[str, ...]


def find_columns(
    path: Path,
    *,
    text: Sequence[str] | None = None,
    label: str | None = None,
    id: str | None = None,  # noqa: A002  # name of the column
    delimiter: str | None = None,
    encoding: str | None = None,
) -> FoundColumns:
    """Find the columns by up to 2,000 rows.

    Args:
        path: The file.
        text: Columns of the text, if they are known.
        label: Column of the label, if it is known.
        id: Column of the id, if it is known.
        delimiter: Character between the fields of a CSV or TSV file; found in the header by default.
        encoding: Encoding of a text file; UTF-8 by default.

    Raises:
        RecordError: The file cannot be read, a named column is not there, or no column looks like a text.
    """
    form = {"delimiter": delimiter, "encoding": encoding}
    rows = (row for row in iterate_rows(path, **form) if isinstance(row, Row))
    first = list(islice(rows, _LOOKED_AT))
    if not first:
        raise RecordError(path, "the file has no rows")
    commas = may_have_decimal_commas(path, **form)
    columns = {name: _Column.of(name, [row.values for row in first], decimal_commas=commas) for name in first[0].values}
    missing = [name for name in (*(text or ()), label, id) if name is not None and name not in columns]
    if missing:
        raise RecordError(path, f"no column {missing[0]!r}; there are {listed(columns)}")
    free = {name: column for name, column in columns.items() if name not in (label, id)}
    texts = (tuple(text), _CHOSEN) if text else _texts(free)
    if texts is None:
        raise RecordError(
            path, f"no column looks like a text; say which is one: --text COLUMN; there are {listed(columns)}"
        )
    free = {name: column for name, column in free.items() if name not in texts[0]}
    found_id = (id, _CHOSEN) if id else _id(free, first)
    free.pop(found_id[0] or "", None)
    found_label = (label, _CHOSEN) if label else _label(free)
    free.pop(found_label[0] or "", None)
    _check_header(path, texts[0], columns[found_label[0]] if found_label[0] else None)
    why = {"text": texts[1], "label": found_label[1], "id": found_id[1]}
    return FoundColumns(texts[0], found_label[0], found_id[0], why, tuple(free))


def _check_header(path: Path, texts: Sequence[str], label: _Column | None) -> None:
    """Refuse a file without names of columns, whose first row would be lost to them.

    Raises:
        RecordError: The text's name is a text, and the label's one of the labels.
    """
    if label is not None and label.is_own_value and all(_words(name) >= _FEW_WORDS for name in texts):
        raise RecordError(
            path,
            f"the first line looks like a row: {texts[0]!r}, {label.name!r}; put a line with the names of the columns "
            "before it, such as text,label",
        )


@dataclass(frozen=True)
class _Column:
    """What is known of a column: values, those that are filled, words of a value, and whether its name is one."""

    name: str
    rows: int
    filled: int
    distinct: int
    words: float
    is_text: bool
    is_own_value: bool

    @classmethod
    def of(cls, name: str, rows: Sequence[Mapping[str, Any]], *, decimal_commas: bool) -> _Column:
        types = ColumnTypes(decimal_commas=decimal_commas)
        values = [row.get(name) for row in rows]
        filled = [value for value in values if value is not None and value != ""]
        for value in filled:
            types.add({name: value})
        texts = [value for value in filled if isinstance(value, str)]
        words = sum(map(_words, texts)) / max(len(texts), 1)
        is_text = bool(texts) and len(texts) == len(filled) and not types.found()
        return cls(name, len(rows), len(filled), len(set(map(repr, filled))), words, is_text, name in filled)

    @property
    def is_nearly_unique(self) -> bool:
        return self.distinct >= self.filled * _NEARLY

    @property
    def is_label(self) -> bool:
        return 2 <= self.distinct <= self.filled / _EXAMPLES

    @property
    def why_no_label(self) -> str:
        """What keeps a column from being a label, in words."""
        if self.distinct < 2:
            return "has no value" if self.distinct == 0 else "has one value only"
        return f"has {self.distinct:,} values in {self.filled:,} rows, fewer than {_EXAMPLES} rows each"


def _words(text: str) -> int:
    """Words of a text, where two characters of a script without spaces count as one."""
    return len(_UNSPACED.sub(" ", text).split()) + (len(_UNSPACED.findall(text)) + 1) // 2


def find_named(columns: Iterable[str], known: Sequence[str]) -> str | None:
    """The column whose name is the first among known ones; ``None`` if no name is known."""
    ranks = {name: rank for name in columns if (rank := _rank(name, known)) is not None}
    return min(ranks, key=lambda name: ranks[name]) if ranks else None


def _rank(name: str, known: Sequence[str]) -> int | None:
    """Place of a name among known ones: of the whole name first, then of its last word."""
    words = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold())
    if " ".join(words) in known:
        return known.index(" ".join(words))
    places = [known.index(word) for word in words[-1:] if word in known]
    return min(places) + len(known) if places else None


def _texts(columns: Mapping[str, _Column]) -> tuple[tuple[str, ...], str] | None:
    texts = {name: column for name, column in columns.items() if column.is_text}
    known = find_named(texts, _TEXTS)
    why = "by its name"
    if known is None:
        wordy = {name: column.words for name, column in texts.items() if column.words >= _FEW_WORDS}
        known = max(wordy, key=lambda name: wordy[name]) if wordy else None
        why = "" if known is None else f"it has the longest texts, {wordy[known]:.0f} words on average"
    titles = {name: column for name, column in texts.items() if name != known and column.distinct * 2 > column.filled}
    title = find_named(titles, _TITLES)
    if known is None:
        return None if title is None else ((title,), "by its name")
    if title is None:
        return (known,), why
    return (title, known), "both, by their names: what they say is joined"


def _id(columns: Mapping[str, _Column], rows: Sequence[Row]) -> tuple[str | None, str]:
    ranks = {
        name: rank
        for name, column in columns.items()
        if column.filled == column.rows and (rank := _rank(name, _IDS)) is not None
    }
    clashes = []
    for name in sorted(ranks, key=lambda each: ranks[each]):
        repeated, clash = _repeated(name, rows)
        if clash is None:
            came_twice = f"{repeated:,} {'row' if repeated == 1 else 'rows'} came twice, the others differ in it"
            return name, f"by its name; {came_twice if repeated else 'it is different in each row'}"
        if columns[name].is_nearly_unique:
            clashes.append(f"{name!r} would be one, but {clash}; correct that, or --id {name} takes the first of them")
    if clashes:
        return None, clashes[0]
    return None, "no column is called so with a value of its own in each row: ids are derived from the texts"


def _repeated(name: str, rows: Sequence[Row]) -> tuple[int, str | None]:
    """Rows that are there a second time, and, if two rows share a value of a column and differ, which ones."""
    first: dict[str, Row] = {}
    repeated = 0
    for row in rows:
        known = first.setdefault(repr(row.values[name]), row)
        if known is row:
            continue
        if known.values != row.values:
            places = [each.place.rpartition(":")[2].removeprefix("row ") for each in (known, row)]
            return repeated, f"rows {' and '.join(places)} have the same, {row.values[name]!r}, and differ"
        repeated += 1
    return repeated, None


def _label(columns: Mapping[str, _Column]) -> tuple[str | None, str]:
    possible = {name: column for name, column in columns.items() if column.is_label}
    known = find_named(possible, _LABELS)
    if known is not None:
        return known, f"by its name; it has {possible[known].distinct:,} values"
    texts = [name for name, column in possible.items() if column.is_text and column.words < _FEW_WORDS + 1]
    if len(texts) == 1:
        return texts[0], f"no other column has a few texts again and again; it has {possible[texts[0]].distinct:,}"
    if texts:
        return None, f"{listed(texts)} could be one: say which (--label). Without, groups of like texts are learned"
    in_its_place = "Groups of like texts are learned in its place"
    called = find_named(columns, _LABELS)
    if called is not None:
        return None, f"{called!r} is called so, but {columns[called].why_no_label}. {in_its_place}"
    return None, f"no column has a few values again and again. {in_its_place}"

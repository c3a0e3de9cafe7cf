"""Filters of a search: conditions such as ``price<50``, or Qdrant's own in JSON, checked against what items have."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from fg_search.cli.console import warn
from fg_search.layout.filterable import guessed_kind
from fg_search.layout.json_paths import check_key, filter_keys, quoted
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.records.column_types import ColumnType, is_a, value_of
from fg_search.records.record import listed

if TYPE_CHECKING:
    from qdrant_client import models

    from fg_search.confidence_index import ConfidenceIndex

_CONDITION = re.compile(r"\s*(?P<key>[^=<>!]+?)\s*(?P<sign>!=|<=|>=|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
_BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_NUMBERS = ("integer", "float")
_SEEN = 200  # items whose values are looked at
_EXAMPLE = "colour=red, colour!=red, 'price<50', 'added>=2026-01-31'"


class SearchFilter:
    """What ``--where`` and ``--filter`` say.

    Args:
        where: Conditions.
        written: Qdrant filter as JSON, ``None`` if there is none.

    Attributes:
        written: The Qdrant filter.

    Raises:
        BadParameter: If a condition or the filter is none.
    """

    def __init__(self, where: Sequence[str] | None, written: str | None) -> None:
        self._conditions = [_parsed(each) for each in where or ()]
        self.written = None if written is None else _read_filter(written)

    def __bool__(self) -> bool:
        return bool(self._conditions) or self.written is not None

    def of(self, index: ConfidenceIndex) -> models.Filter | None:
        """The filter for the values that the items of an index have. Warns about what no item can meet."""
        from qdrant_client import models

        if not self:
            return None
        payloads = _Payloads(index)
        for key, sign, value in self._conditions:
            payloads.warn_of(key)
            problem = _cannot(key, sign, value, payloads.kind(key))
            if problem:
                warn(problem)
        must: list[Any] = [_condition(*each, payloads.kind(each[0])) for each in self._conditions]
        if self.written is not None:
            for key in dict.fromkeys(filter_keys(self.written)):
                payloads.warn_of(key)
            for condition in _field_conditions(self.written):
                _warn_of_type(condition, payloads.kind(condition.key))
            must.append(self.written)
        return must[0] if len(must) == 1 and isinstance(must[0], models.Filter) else models.Filter(must=must)


class _Payloads:
    """What the items of an index have under a key."""

    def __init__(self, index: ConfidenceIndex) -> None:
        self._index = index
        self._kinds: dict[str, str | None] = {}

    def kind(self, key: str) -> str | None:
        """Kind of the values, ``None`` if no item has one, or a server refuses to look."""
        if key not in self._kinds:
            self._kinds[key] = None
            with contextlib.suppress(Exception):  # a server in strict mode; the search itself may be right
                self._kinds[key] = guessed_kind(key, self._sample(key))
        return self._kinds[key]

    def warn_of(self, key: str) -> None:
        """Warn if no item has a value under a key."""
        with contextlib.suppress(Exception):
            if self._sample(key):
                return
            if "." in key and '"' not in key and self._sample(quoted(key)):
                warn(
                    f"no item has {key!r} as a path, but there is a column of this name; to filter by it, put it in "
                    f"quotes: {json.dumps(quoted(key), ensure_ascii=False)}"
                )
                return
            names = sorted({name for payload in self._sample(None) for name in payload} - {PAYLOAD_KEY})
            near = difflib.get_close_matches(key, names, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else f"; there are {listed(names)}"
            warn(f"no item has a value under {key!r}{guess}")

    def _sample(self, key: str | None) -> list[dict[str, Any]]:
        """Payloads of some items that have a value under a key; of any for ``None``."""
        from qdrant_client import models

        there = None
        if key is not None:
            there = models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))])
        found, _ = self._index.client.scroll(
            self._index.collection, scroll_filter=there, limit=_SEEN, with_payload=True, with_vectors=False
        )
        return [record.payload or {} for record in found]


def _parsed(written: str) -> tuple[str, str, str]:
    found = _CONDITION.fullmatch(written)
    if found is None:
        raise typer.BadParameter(f"{written!r} is no condition; write one as {_EXAMPLE}", param_hint="--where")
    key = found["key"]
    try:
        check_key(key)
    except ValueError as error:
        if '"' in key:
            raise typer.BadParameter(str(error), param_hint="--where") from None
        key = quoted(key)
    return key, found["sign"], found["value"]


def _condition(key: str, sign: str, value: str, kind: str | None) -> Any:
    from qdrant_client import models

    if sign in _BOUNDS:
        bound = _BOUNDS[sign]
        if is_a(value, "float"):
            return models.FieldCondition(key=key, range=models.Range(**{bound: float(value)}))
        return models.FieldCondition(key=key, range=models.DatetimeRange(**{bound: _time(value)}))
    equal = models.Filter(should=list(_equal(key, value, kind)))
    return equal if sign == "=" else models.Filter(must_not=[equal])


def _equal(key: str, value: str, kind: str | None) -> Iterator[Any]:
    """Conditions for a value, of which one has to be met: as a text, and as what else the items may hold."""
    from qdrant_client import models

    if kind in (None, "keyword", "text", "uuid", "datetime"):
        yield models.FieldCondition(key=key, match=models.MatchValue(value=value))
    if kind in (None, "keyword", *_NUMBERS) and is_a(value, "float"):
        yield models.FieldCondition(key=key, range=models.Range(gte=float(value), lte=float(value)))
    if kind in (None, "bool") and is_a(value, "bool"):
        yield models.FieldCondition(key=key, match=models.MatchValue(value=value_of(value, "bool")))
    if (kind in _NUMBERS and not is_a(value, "float")) or (kind == "bool" and not is_a(value, "bool")):
        yield models.FieldCondition(key=key, match=models.MatchValue(value=value))  # no item meets it: it was warned of


def _time(value: str) -> Any:
    if not is_a(value, "datetime"):
        raise typer.BadParameter(
            f"{value!r} is neither a number nor a date such as 2026-01-31; write a condition as {_EXAMPLE}",
            param_hint="--where",
        )
    return value_of(value, "datetime")


def _cannot(key: str, sign: str, value: str, kind: str | None) -> str:
    """Why no item can meet a condition; empty if one may."""
    if kind is None:
        return ""
    wanted: dict[str, tuple[ColumnType, ...]] = {
        "integer": ("integer", "float"), "float": ("integer", "float"), "bool": ("bool",), "datetime": ("datetime",)
    }  # fmt: skip
    if kind in wanted and not any(is_a(value, each) for each in wanted[kind]):
        return f"{key!r} holds {_words(kind)}, and {value!r} is none: no item can meet {key}{sign}{value}"
    if (kind == "bool" and sign in _BOUNDS) or (kind in ("keyword", "text", "uuid") and sign in _BOUNDS):
        return (
            f"{key!r} holds {_words(kind)}, which {sign} cannot compare: no item can meet {key}{sign}{value}; if it is "
            f"a number or a date in your file, index it again with --types {key}=float or {key}=datetime"
        )
    return ""


def _field_conditions(condition: object) -> Iterator[Any]:
    from pydantic import BaseModel
    from qdrant_client import models

    if isinstance(condition, models.FieldCondition):
        yield condition
    elif isinstance(condition, BaseModel):
        for name in type(condition).model_fields:
            yield from _field_conditions(getattr(condition, name))
    elif isinstance(condition, (list, tuple)):
        for each in condition:
            yield from _field_conditions(each)


def _warn_of_type(condition: Any, kind: str | None) -> None:
    """Warn if a condition of a Qdrant filter is for another type than the values have."""
    from qdrant_client import models

    texts = ("keyword", "text", "uuid")
    asked = ""
    if isinstance(condition.range, models.Range) and kind in (*texts, "bool", "datetime"):
        asked = "a range of numbers"
    elif isinstance(condition.range, models.DatetimeRange) and kind in ("integer", "float", "bool"):
        asked = "a range of dates"
    elif isinstance(condition.match, models.MatchValue):
        value = condition.match.value
        wanted = ("bool",) if isinstance(value, bool) else _NUMBERS if isinstance(value, int) else (*texts, "datetime")
        if kind is not None and kind not in wanted:
            asked = f"the value {json.dumps(value, ensure_ascii=False)}"
    if asked:
        warn(f"{condition.key!r} holds {_words(str(kind))}, which {asked} does not match")


def _words(kind: str) -> str:
    words = {"keyword": "texts", "text": "texts", "uuid": "texts", "bool": "truth values", "datetime": "dates"}
    return words.get(kind, "places" if kind == "geo" else "numbers")


def _read_filter(written: str) -> models.Filter:
    from pydantic import ValidationError
    from qdrant_client import models

    try:
        return models.Filter.model_validate_json(written)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(
            str(part) for part in first["loc"] if isinstance(part, int) or (part.isidentifier() and part.islower())
        )
        raise typer.BadParameter(
            f"not a Qdrant filter: {where}: {first['msg']}".replace(": : ", ": "), param_hint="--filter"
        ) from None

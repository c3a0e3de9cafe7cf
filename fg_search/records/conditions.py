"""Conditions on the payload as people write them, such as ``price<50``, checked against what items have."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fg_search.layout.filterable import guessed_kind
from fg_search.layout.json_paths import check_key, quoted
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.records.column_types import ColumnType, is_a, value_of
from fg_search.records.record import listed

if TYPE_CHECKING:
    from qdrant_client import models

    from fg_search.confidence_index import ConfidenceIndex

BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
EXAMPLE = "colour=red, colour!=red, 'price<50', 'added>=2026-01-31'"

_CONDITION = re.compile(r"\s*(?P<key>[^=<>!]+?)\s*(?P<sign>!=|<=|>=|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
_NUMBERS = ("integer", "float")
_MAX_INTEGER = 2**63
_SEEN = 200  # items whose values are looked at


class WrittenCondition(NamedTuple):
    """A condition as it was written.

    Attributes:
        key: Key of the payload, as the engine reads it.
        sign: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: What it is compared with.
    """

    key: str
    sign: str
    value: str

    @classmethod
    def parse(cls, written: str) -> WrittenCondition:
        """Read a condition.

        Raises:
            ValueError: If it is none.
        """
        found = _CONDITION.fullmatch(written)
        if found is None:
            raise ValueError(f"{written!r} is no condition; write one as {EXAMPLE}")
        key = found["key"]
        try:
            check_key(key)
        except ValueError:
            if '"' in key:
                raise
            key = quoted(key)
        if found["sign"] in BOUNDS and not (_is_number(found["value"]) or is_a(found["value"], "datetime")):
            raise ValueError(
                f"{found['value']!r} is neither a number nor a date such as 2026-01-31; write a condition as {EXAMPLE}"
            )
        return cls(key, found["sign"], found["value"])

    def condition(self, kind: str | None) -> models.Condition:
        """The engine's condition, for values of a kind; for ``None`` a value is compared as each that it can be."""
        from qdrant_client import models

        if self.sign in BOUNDS:
            bound = BOUNDS[self.sign]
            if _is_number(self.value):
                return models.FieldCondition(key=self.key, range=models.Range(**{bound: float(self.value)}))
            when: Any = value_of(self.value, "datetime")
            return models.FieldCondition(key=self.key, range=models.DatetimeRange(**{bound: when}))
        equal = models.Filter(should=list(self._equal(kind)))
        return equal if self.sign == "=" else models.Filter(must_not=[equal])

    def _equal(self, kind: str | None) -> Iterator[models.Condition]:
        """Conditions of which one has to be met: as a text, and as what else the items may hold."""
        from qdrant_client import models

        key, value = self.key, self.value
        if kind in (None, "keyword", "text", "uuid", "datetime"):
            yield models.FieldCondition(key=key, match=models.MatchValue(value=value))
        if kind in (None, "keyword", *_NUMBERS) and _is_number(value):
            yield models.FieldCondition(key=key, range=models.Range(gte=float(value), lte=float(value)))
        if kind in (None, "bool") and is_a(value, "bool"):
            truth: Any = value_of(value, "bool")
            yield models.FieldCondition(key=key, match=models.MatchValue(value=truth))
        if (kind in _NUMBERS and not _is_number(value)) or (kind == "bool" and not is_a(value, "bool")):
            yield models.FieldCondition(key=key, match=models.MatchValue(value=value))  # no item meets it: it is told

    def problem(self, kind: str | None) -> str:
        """Why no item can meet the condition; empty if one may."""
        if kind is None:
            return ""
        key, sign, value = self
        wanted: dict[str, tuple[ColumnType, ...]] = {
            "integer": ("integer", "float"), "float": ("integer", "float"), "bool": ("bool",), "datetime": ("datetime",)
        }  # fmt: skip
        if kind in wanted and not any(is_a(value, each) for each in wanted[kind]):
            return f"{key!r} holds {words_for(kind)}, and {value!r} is none: no item can meet {key}{sign}{value}"
        if (kind == "bool" and sign in BOUNDS) or (kind in ("keyword", "text", "uuid") and sign in BOUNDS):
            return (
                f"{key!r} holds {words_for(kind)}, which {sign} cannot compare: no item can meet {key}{sign}{value}; "
                f"if it is a number or a date in your file, index it again with --types {key}=float or {key}=datetime"
            )
        return ""


class Payloads:
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

    def lacking(self, key: str) -> str:
        """Sentence that no item has a value under a key; empty if one has, or a server refuses to look."""
        with contextlib.suppress(Exception):
            if self._sample(key):
                return ""
            if "." in key and '"' not in key and self._sample(quoted(key)):
                return (
                    f"no item has {key!r} as a path, but there is a column of this name; to filter by it, put it in "
                    f"quotes: {json.dumps(quoted(key), ensure_ascii=False)}"
                )
            names = sorted({name for payload in self._sample(None) for name in payload} - {PAYLOAD_KEY})
            near = difflib.get_close_matches(key, names, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else f"; there are {listed(names)}"
            return f"no item has a value under {key!r}{guess}"
        return ""

    def _sample(self, key: str | None) -> list[dict[str, Any]]:
        """Payloads of some items that have a value under a key; of any for ``None``."""
        from qdrant_client import models

        there = None
        if key is not None:
            there = models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))])
        return [item.payload for item in self._index.items(query_filter=there, limit=_SEEN)]


def conditions_of(written: Sequence[WrittenCondition], payloads: Payloads) -> tuple[list[models.Condition], list[str]]:
    """The engine's conditions for the values that items have, and what is to be told about those that no item meets."""
    told = []
    for one in written:
        told += [payloads.lacking(one.key), one.problem(payloads.kind(one.key))]
    return [one.condition(payloads.kind(one.key)) for one in written], [sentence for sentence in told if sentence]


def words_for(kind: str) -> str:
    """Name of the values of a kind, for people."""
    words = {"keyword": "texts", "text": "texts", "uuid": "texts", "bool": "truth values", "datetime": "dates"}
    return words.get(kind, "places" if kind == "geo" else "numbers")


def _is_number(value: str) -> bool:
    """Whether a value is a number that the engine can compare with."""
    return is_a(value, "float") and math.isfinite(float(value)) and abs(float(value)) < _MAX_INTEGER

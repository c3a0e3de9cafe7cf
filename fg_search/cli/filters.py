"""Filters of a search: conditions such as ``price<50``, or Qdrant's own in JSON, checked against what items have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from fg_search.cli.console import warn
from fg_search.layout.json_paths import filter_keys
from fg_search.records.conditions import Payloads, WrittenCondition, conditions_of, words_for

if TYPE_CHECKING:
    from qdrant_client import models

    from fg_search.confidence_index import ConfidenceIndex


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
        try:
            self._conditions = [WrittenCondition.parse(each) for each in where or ()]
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--where") from None
        self.written = None if written is None else _read_filter(written)

    def __bool__(self) -> bool:
        return bool(self._conditions) or self.written is not None

    def of(self, index: ConfidenceIndex) -> models.Filter | None:
        """The filter for the values that the items of an index have. Warns about what no item can meet."""
        from qdrant_client import models

        if not self:
            return None
        payloads = Payloads(index)
        must, told = conditions_of(self._conditions, payloads)
        if self.written is not None:
            told += filter(None, map(payloads.lacking, dict.fromkeys(filter_keys(self.written))))
            must.append(self.written)
        for sentence in told:
            warn(sentence)
        if self.written is not None:
            for condition in _field_conditions(self.written):
                _warn_of_type(condition, payloads.kind(condition.key))
        return must[0] if len(must) == 1 and isinstance(must[0], models.Filter) else models.Filter(must=must)


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
        numbers = ("integer", "float")
        wanted = ("bool",) if isinstance(value, bool) else numbers if isinstance(value, int) else (*texts, "datetime")
        if kind is not None and kind not in wanted:
            asked = f"the value {json.dumps(value, ensure_ascii=False)}"
    if asked:
        warn(f"{condition.key!r} holds {words_for(str(kind))}, which {asked} does not match")


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

"""Filters of ``qdrant_client.models`` as filters of Qdrant Edge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timezone
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.convert.counterparts import dispatch
from fg_search.edge.convert.points import convert_ids

_INT64 = range(-(2**63), 2**63)


def geo_point(point: models.GeoPoint) -> edge.GeoPoint:
    """Convert a longitude and a latitude."""
    return edge.GeoPoint(point.lon, point.lat)


def _line(line: models.GeoLineString) -> list[edge.GeoPoint]:
    return [geo_point(point) for point in line.points]


def as_utc(moment: datetime | date) -> datetime:
    """Return a moment with its time zone; without one it is UTC, as for the server and local mode."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    return moment.replace(tzinfo=timezone.utc) if moment.utcoffset() is None else moment


def _bounds(gt: Any, gte: Any, lt: Any, lte: Any) -> dict[str, Any]:
    """Keep the tighter bound on each side: given both ``lt`` and ``lte``, a payload index ignores ``lte``."""
    if gt is not None and gte is not None:
        gt, gte = (gt, None) if gt >= gte else (None, gte)
    if lt is not None and lte is not None:
        lt, lte = (lt, None) if lt <= lte else (None, lte)
    return {"gt": gt, "gte": gte, "lt": lt, "lte": lte}


def _dates(bounds: models.DatetimeRange) -> edge.RangeDateTime:
    moments = (bounds.gt, bounds.gte, bounds.lt, bounds.lte)
    tight = _bounds(*(None if moment is None else as_utc(moment) for moment in moments))
    return edge.RangeDateTime(**{name: moment and moment.isoformat() for name, moment in tight.items()})


class _Truth:
    """A bool that is no integer: qdrant-edge-py 0.9 reads whatever can be an integer as one, and Python's True as 1.

    It accepts numpy's bools, by the name of their type; before numpy 2.3 those themselves can be integers.
    """

    def __init__(self, value: bool) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return self._value


_Truth.__module__, _Truth.__name__ = "numpy", "bool"


def _value(value: Any) -> Any:
    return _Truth(value) if isinstance(value, bool) else _int64(value)


def _int64(value: Any) -> Any:
    if isinstance(value, int) and value not in _INT64:
        raise ValueError(f"A match with {value} is not possible: it is not a signed 64-bit integer")
    return value


def _int64s(values: Any) -> list[Any]:
    return [_int64(value) for value in values]


_MATCHES: dict[type, Callable[[Any], edge.MatchType]] = {
    models.MatchValue: lambda m: edge.MatchValue(_value(m.value)),
    models.MatchText: lambda m: edge.MatchText(m.text),
    models.MatchTextAny: lambda m: edge.MatchTextAny(m.text_any),
    models.MatchPhrase: lambda m: edge.MatchPhrase(m.phrase),
    models.MatchPrefix: lambda m: edge.MatchPrefix(m.prefix),
    models.MatchSubstring: lambda m: edge.MatchSubstring(m.substring),
    models.MatchAny: lambda m: edge.MatchAny(_int64s(m.any)),
    models.MatchExcept: lambda m: edge.MatchExcept(_int64s(m.except_)),
}

_RANGES: dict[type, Callable[[Any], edge.RangeType]] = {
    models.Range: lambda r: edge.RangeFloat(**_bounds(r.gt, r.gte, r.lt, r.lte)),
    models.DatetimeRange: _dates,
}

# argument of models.FieldCondition -> its conversion; lists them all
_FIELD_PARTS: dict[str, Callable[[Any], Any]] = {
    "match": lambda match: dispatch(_MATCHES, match, "match")(match),
    "range": lambda bounds: dispatch(_RANGES, bounds, "range")(bounds),
    "geo_bounding_box": lambda box: edge.GeoBoundingBox(geo_point(box.top_left), geo_point(box.bottom_right)),
    "geo_radius": lambda circle: edge.GeoRadius(geo_point(circle.center), circle.radius),
    "geo_polygon": lambda polygon: edge.GeoPolygon(
        _line(polygon.exterior), [_line(ring) for ring in polygon.interiors or []]
    ),
    "values_count": lambda n: edge.ValuesCount(lt=n.lt, gt=n.gt, lte=n.lte, gte=n.gte),
    "is_empty": bool,
    "is_null": bool,
}


def _field(condition: models.FieldCondition) -> edge.FieldCondition:
    parts = {
        name: convert(value)
        for name, convert in _FIELD_PARTS.items()
        if (value := getattr(condition, name)) is not None
    }
    if not parts:
        # local mode matches nothing, the server refuses it
        raise ValueError(f"The condition on {condition.key!r} is empty; give it a match, a range or the like")
    if len(parts) > 1:
        # the engine requires one of the checks to hold, local mode all of them
        raise ValueError(
            f"The condition on {condition.key!r} has {' and '.join(parts)}, which engines read differently; "
            "give each a condition of its own, in must or in should"
        )
    return edge.FieldCondition(condition.key, **parts)


def _slice(condition: models.SliceCondition) -> Any:
    total, index = condition.slice.total, condition.slice.index
    if total < 1:
        raise ValueError(f"Slice total must be >= 1, got {total}")
    if not 0 <= index < total:
        raise ValueError(f"Slice index must be in [0;{total - 1}], got {index}")
    return vars(edge)["SliceCondition"](total, index)  # missing from the stubs of qdrant-edge-py 0.9


_CONDITIONS: dict[type, Callable[[Any], edge.ConditionType]] = {
    models.FieldCondition: _field,
    models.IsEmptyCondition: lambda c: edge.IsEmptyCondition(c.is_empty.key),
    models.IsNullCondition: lambda c: edge.IsNullCondition(c.is_null.key),
    models.HasIdCondition: lambda c: edge.HasIdCondition(set(convert_ids(c.has_id))),
    models.HasVectorCondition: lambda c: edge.HasVectorCondition(c.has_vector),
    models.NestedCondition: lambda c: edge.NestedCondition(c.nested.key, required_filter(c.nested.filter)),
    models.SliceCondition: _slice,
    models.Filter: lambda c: required_filter(c),
}


def convert_condition(condition: models.Condition) -> edge.ConditionType:
    """Convert one condition of a filter."""
    try:
        return dispatch(_CONDITIONS, condition, "condition")(condition)
    except OverflowError as error:
        raise ValueError(f"The condition {condition!r:.200} has a number that is out of range: {error}") from error


def is_condition(value: object) -> bool:
    """Whether a formula term is a condition, which counts 1 where it holds and 0 elsewhere."""
    return type(value) in _CONDITIONS


def _clause(clause: list[models.Condition] | models.Condition | None) -> list[edge.ConditionType] | None:
    if clause is None:
        return None
    return [convert_condition(condition) for condition in (clause if isinstance(clause, list) else [clause])]


def _min_should(min_should: models.MinShould | None) -> edge.MinShould | None:
    if min_should is None:
        return None
    if min_should.min_count < 1:
        raise ValueError(f"min_count value {min_should.min_count} is invalid. Must be 1 or larger.")
    conditions = [convert_condition(condition) for condition in min_should.conditions]
    if min_should.min_count > len(conditions):
        # nothing can match, but the engine lets points through if a condition is also in `must` and indexed
        return edge.MinShould([edge.HasIdCondition(set())], 1)
    return edge.MinShould(conditions, min_should.min_count)


def required_filter(query_filter: models.Filter) -> edge.Filter:
    """Convert a filter."""
    if not isinstance(query_filter, models.Filter):
        raise ValueError(f"Expected models.Filter, got {type(query_filter).__name__}: {query_filter!r}")  # noqa: TRY004
    return edge.Filter(
        must=_clause(query_filter.must),
        # an empty `should` is no constraint for the server and local mode
        should=_clause(query_filter.should) or None,
        must_not=_clause(query_filter.must_not),
        min_should=_min_should(query_filter.min_should),
    )


def convert_filter(query_filter: models.Filter | None) -> edge.Filter | None:
    """Convert a filter; None stays None."""
    return None if query_filter is None else required_filter(query_filter)


def without_ids(query_filter: models.Filter | None, ids: list[Any]) -> models.Filter | None:
    """Exclude points from a filter, such as the examples of a recommendation."""
    if not ids:
        return query_filter
    unwanted: list[models.Condition] = [models.HasIdCondition(has_id=ids)]
    if query_filter is None:
        return models.Filter(must_not=unwanted)
    must_not = query_filter.must_not
    if must_not is not None:
        unwanted = [*(must_not if isinstance(must_not, list) else [must_not]), *unwanted]
    return query_filter.model_copy(update={"must_not": unwanted})


def with_condition(query_filter: models.Filter | None, condition: models.Condition) -> models.Filter:
    """Add a condition to those that points must meet."""
    return models.Filter(must=[condition] if query_filter is None else [query_filter, condition])

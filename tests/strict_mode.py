"""Qdrant in memory with the strict mode that managed clusters set: it refuses what a server refuses, in its words.

Taken from Qdrant 1.18's source (``lib/collection/src/operations/verification``, ``problems/unindexed_field.rs``):

* Every condition of a filter, nested ones included, needs a payload index of a type that can serve it; ``is_empty``,
  ``is_null`` and ``values_count`` need one of any type, ``has_id`` and ``has_vector`` none, and an empty ``any`` or
  ``except`` none. A filter of an upsert (``update_filter``) is not looked at.
* Keys in a formula need a number's index, and ``group_by`` one that supports ``match``.
* Each filter is counted by itself, nested conditions included. A prefetch has its own limit and its own filter, those
  below groups excepted, which are not looked at. A request without a limit has 10. Groups count ``limit · group_size``.
* ``upsert_max_batchsize`` is about upserts, alone or in a batch of operations; ``search_max_batchsize`` about searches.
* Strict or not, a server facets a field only with an index that supports ``match``, and orders by one with a range.

Not modelled: limits of size, time, rate and exactness.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

LIMITS = {
    "max_query_limit": 100,
    "upsert_max_batchsize": 100,
    "search_max_batchsize": 32,
    "filter_max_conditions": 5,
    "unindexed_filtering_retrieve": False,
    "unindexed_filtering_update": False,
}
_DEFAULT_LIMIT = 10
_MATCHES = {"keyword", "integer", "uuid", "bool"}
_RANGES = {"integer", "float", "datetime", "uuid"}
_NUMBERS = {"integer", "float"}
_ALL = {"bool", "datetime", "float", "geo", "integer", "keyword", "text", "uuid"}


def in_strict_mode(index: Any) -> bool:
    """Whether an index is in such a client."""
    return isinstance(index.client, StrictClient)


class StrictClient(QdrantClient):
    """A client in memory whose collections are all in strict mode.

    Attributes:
        strict: The configuration of strict mode.
    """

    def __init__(self, **changes: Any) -> None:
        super().__init__(":memory:")
        self.strict = models.StrictModeConfig(enabled=True, **{**LIMITS, **changes})
        self._schemas: dict[str, dict[str, Any]] = {}

    # --- collections --------------------------------------------------------------------------------------

    def get_collection(self, collection_name: str, **options: Any) -> models.CollectionInfo:
        info = super().get_collection(collection_name, **options)
        info.config.strict_mode_config = models.StrictModeConfigOutput(**self.strict.model_dump())
        schema = self._schema(collection_name)
        info.payload_schema = {
            key: models.PayloadIndexInfo(data_type=_kind(kind), points=0) for key, kind in schema.items()
        }
        return info

    def create_payload_index(
        self, collection_name: str, field_name: str, field_schema: Any = None, **options: Any
    ) -> models.UpdateResult:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            done = super().create_payload_index(collection_name, field_name, field_schema, **options)
        self._schema(collection_name)[field_name] = field_schema
        return done

    def delete_payload_index(self, collection_name: str, field_name: str, **options: Any) -> models.UpdateResult:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            done = super().delete_payload_index(collection_name, field_name, **options)
        self._schema(collection_name).pop(field_name, None)
        return done

    def delete_collection(self, collection_name: str, **options: Any) -> bool:
        self._schemas.pop(collection_name, None)
        return super().delete_collection(collection_name, **options)

    # --- reading ------------------------------------------------------------------------------------------

    def count(self, collection_name: str, count_filter: Any = None, **options: Any) -> models.CountResult:
        self._check_read(collection_name, count_filter)
        return super().count(collection_name, count_filter=count_filter, **options)

    def scroll(
        self,
        collection_name: str,
        scroll_filter: Any = None,
        limit: int = _DEFAULT_LIMIT,
        order_by: Any = None,
        **options: Any,
    ) -> Any:
        self._check_limit(limit)
        self._check_read(collection_name, scroll_filter)
        self._check_order(collection_name, order_by)
        return super().scroll(collection_name, scroll_filter=scroll_filter, limit=limit, order_by=order_by, **options)

    def facet(
        self, collection_name: str, key: str, facet_filter: Any = None, limit: int = _DEFAULT_LIMIT, **options: Any
    ) -> models.FacetResponse:
        self._check_limit(limit)
        self._check_read(collection_name, facet_filter)
        if _name(self._schema(collection_name).get(key)) not in _MATCHES:
            raise _refused(
                f"No appropriate index for faceting: `{key}`. Please create one to facet on this field. Check "
                "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas "
                "support Match conditions"
            )
        return super().facet(collection_name, key, facet_filter=facet_filter, limit=limit, **options)

    def query_batch_points(self, collection_name: str, requests: Any, **options: Any) -> Any:
        self._check_number(len(requests), self.strict.search_max_batchsize, "search batch size")
        for request in requests:
            self._check_query(collection_name, request)
        return super().query_batch_points(collection_name, requests=requests, **options)

    def query_points(self, collection_name: str, **options: Any) -> Any:
        request = models.QueryRequest(
            filter=options.get("query_filter"),
            **{key: options.get(key) for key in ("query", "prefetch", "limit") if options.get(key) is not None},
        )
        self._check_query(collection_name, request)
        return super().query_points(collection_name, **options)

    def query_points_groups(self, collection_name: str, group_by: str, **options: Any) -> Any:
        self._check_limit(options.get("limit", _DEFAULT_LIMIT) * options.get("group_size", 3))
        self._check_read(collection_name, options.get("query_filter"))
        self._check_formula(collection_name, options.get("query"))
        kind = _name(self._schema(collection_name).get(group_by))
        if self.strict.unindexed_filtering_retrieve is False and kind not in _MATCHES:
            found = "Index required but not" if kind is None else f'Index of type "{kind.capitalize()}"'
            raise _refused(f'{found} found for "{group_by}". Help: Create an index supporting `match` for this key.')
        return super().query_points_groups(collection_name, group_by, **options)

    # --- writing ------------------------------------------------------------------------------------------

    def upsert(self, collection_name: str, points: Any, **options: Any) -> Any:
        self._check_number(len(points), self.strict.upsert_max_batchsize, "upsert limit")
        return super().upsert(collection_name, points, **options)

    def delete(self, collection_name: str, points_selector: Any, **options: Any) -> Any:
        self._check_write(collection_name, points_selector)
        return super().delete(collection_name, points_selector, **options)

    def set_payload(self, collection_name: str, payload: Any, points: Any, **options: Any) -> Any:
        self._check_write(collection_name, points)
        return super().set_payload(collection_name, payload, points, **options)

    def delete_payload(self, collection_name: str, keys: Any, points: Any, **options: Any) -> Any:
        self._check_write(collection_name, points)
        return super().delete_payload(collection_name, keys, points, **options)

    def batch_update_points(self, collection_name: str, update_operations: Any, **options: Any) -> Any:
        for operation in update_operations:
            for part in (getattr(operation, name) for name in type(operation).model_fields):
                if isinstance(part, models.PointsList):
                    self._check_number(len(part.points), self.strict.upsert_max_batchsize, "upsert limit")
                else:
                    self._check_write(collection_name, part)
        return super().batch_update_points(collection_name, update_operations, **options)

    # --- what strict mode looks at ------------------------------------------------------------------------

    def _schema(self, collection: str) -> dict[str, Any]:
        aliases = {alias.alias_name: alias.collection_name for alias in self.get_aliases().aliases}
        return self._schemas.setdefault(aliases.get(collection, collection), {})

    def _check_query(self, collection: str, request: Any) -> None:
        prefetches = request.prefetch or []
        for prefetch in prefetches if isinstance(prefetches, list) else [prefetches]:
            self._check_query(collection, prefetch)
        self._check_formula(collection, request.query)
        self._check_limit(request.limit or _DEFAULT_LIMIT)
        self._check_read(collection, request.filter)
        if isinstance(request.query, models.OrderByQuery):
            self._check_order(collection, request.query.order_by)

    def _check_limit(self, limit: int) -> None:
        self._check_number(limit, self.strict.max_query_limit, "limit")

    @staticmethod
    def _check_number(value: int, most: int | None, name: str) -> None:
        if most is not None and value > most:
            help_ = f'Reduce the "{name}" parameter to or below {most}.'
            raise _refused(f'Limit exceeded {value} > {most} for "{name}". Help: {help_}')

    def _check_read(self, collection: str, condition: Any) -> None:
        self._check_filter(collection, condition, self.strict.unindexed_filtering_retrieve)

    def _check_write(self, collection: str, selected: Any) -> None:
        condition = selected if isinstance(selected, models.Filter) else getattr(selected, "filter", None)
        self._check_filter(collection, condition, self.strict.unindexed_filtering_update)

    def _check_filter(self, collection: str, condition: models.Filter | None, allowed: bool | None) -> None:
        if condition is None:
            return
        conditions = list(_conditions(condition))
        if allowed is False:
            for key, kinds in conditions:
                self._check_key(collection, key, kinds, "filter")
        most = self.strict.filter_max_conditions
        if most is not None and len(conditions) > most:
            raise _refused(
                f"Filter condition limit reached ({len(conditions)} > {most}). "
                "Help: Reduce the amount of conditions of your filter."
            )

    def _check_formula(self, collection: str, query: Any) -> None:
        if isinstance(query, models.FormulaQuery) and self.strict.unindexed_filtering_retrieve is False:
            for key in _variables(query.model_dump(exclude={"defaults"})["formula"]):
                self._check_key(collection, key, _NUMBERS, "formula expression")

    def _check_key(self, collection: str, key: str, kinds: set[str], what: str) -> None:
        if kinds and _name(self._schema(collection).get(key)) not in kinds:
            raise _refused(
                f'Index required but not found for "{key}" of one of the following types: '
                f"[{', '.join(sorted(kinds))}]. Help: Create an index for this key or use a different {what}."
            )

    def _check_order(self, collection: str, order: Any) -> None:
        key = getattr(order, "key", order)
        if key is not None and _name(self._schema(collection).get(key)) not in _RANGES:
            raise _refused(
                f"No range index for `order_by` key: `{key}`. Please create one to use `order_by`. Check "
                "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas "
                "support Range conditions"
            )


def _conditions(condition: models.Filter, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Key and possible types of index of each condition. No types: none is needed."""
    clauses = [condition.must, condition.should, condition.must_not]
    clauses.append(condition.min_should.conditions if condition.min_should else None)
    for clause in clauses:
        for one in clause if isinstance(clause, list) else [] if clause is None else [clause]:
            if isinstance(one, models.Filter):
                yield from _conditions(one, prefix)
            elif isinstance(one, models.NestedCondition):
                yield from _conditions(one.nested.filter, f"{prefix}{one.nested.key}[].")
            elif isinstance(one, models.IsEmptyCondition):
                yield prefix + one.is_empty.key, _ALL
            elif isinstance(one, models.IsNullCondition):
                yield prefix + one.is_null.key, _ALL
            elif isinstance(one, models.FieldCondition):
                yield prefix + one.key, _kinds(one)
            else:
                yield "", set()


def _kinds(condition: models.FieldCondition) -> set[str]:
    if condition.range is not None:
        return {"datetime"} if isinstance(condition.range, models.DatetimeRange) else _NUMBERS
    if condition.geo_bounding_box or condition.geo_polygon or condition.geo_radius:
        return {"geo"}
    if condition.match is None:
        return _ALL
    (value,) = (value for value in vars(condition.match).values() if value is not None)
    if isinstance(condition.match, (models.MatchText, models.MatchTextAny, models.MatchPhrase)):
        return {"text"}
    values = value if isinstance(value, list) else [value]
    if not values:
        return set()
    if isinstance(values[0], bool):
        return {"bool"}
    if isinstance(values[0], int):
        return {"integer"}
    return {"keyword", "uuid"} if all(map(_is_uuid, values)) else {"keyword"}


def _variables(formula: Any) -> Iterator[str]:
    if isinstance(formula, str) and not formula.startswith("$score"):
        yield formula
    elif isinstance(formula, (list, dict)):
        for part in formula if isinstance(formula, list) else formula.values():
            yield from _variables(part)


def _is_uuid(value: str) -> bool:
    try:
        return bool(UUID(value))
    except ValueError:
        return False


def _name(kind: Any) -> str | None:
    return None if kind is None else _kind(kind).value


def _kind(kind: Any) -> models.PayloadSchemaType:
    return models.PayloadSchemaType(getattr(getattr(kind, "type", kind), "value", getattr(kind, "type", kind)))


def _refused(words: str) -> UnexpectedResponse:
    content = json.dumps({"status": {"error": f"Bad request: {words}"}, "time": 0.0}).encode()
    return UnexpectedResponse(400, "Bad Request", content, httpx.Headers())

"""Queries of ``qdrant_client.models``, with their prefetches and parameters, as queries of Qdrant Edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.convert.counterparts import dispatch
from fg_search.edge.convert.filters import as_utc, convert_filter, without_ids
from fg_search.edge.convert.formulas import convert_formula
from fg_search.edge.convert.vector_queries import VECTOR_QUERIES, Lookup, QueryScope
from fg_search.edge.errors import UnsupportedError
from fg_search.edge.vector_schema import DEFAULT_VECTOR_NAME, VECTORS, VectorSchema

DEFAULT_LIMIT = 10
_DEFAULT_RRF_K = 2  # as on the server and in local mode
_QUERY_TYPES = get_args(models.Query)


def _rrf(query: models.RrfQuery) -> edge.ScoringQueryType:
    k, weights = query.rrf.k, query.rrf.weights
    if k is not None and k < 1:
        raise ValueError(f"rrf k value {k} is invalid. Must be 1 or larger.")
    if weights is not None and not np.isfinite(weights).all():
        raise ValueError(f"rrf weights {weights} are invalid. Must be finite numbers.")
    rrf: Any = edge.Fusion.Rrf(_DEFAULT_RRF_K if k is None else k, weights)  # returns a Fusion, contrary to the stubs
    return rrf  # type: ignore[no-any-return]


_FUSIONS: dict[models.Fusion, Callable[[], Any]] = {
    models.Fusion.RRF: lambda: edge.Fusion.Rrf(_DEFAULT_RRF_K),
    models.Fusion.DBSF: edge.Fusion.Dbsf,
}
_DIRECTIONS = {
    models.Direction.ASC: edge.Direction.Asc,
    models.Direction.DESC: edge.Direction.Desc,
    None: None,
}


def convert_order_by(order_by: str | models.OrderBy) -> edge.OrderBy:
    """Convert the order by a payload field, given as a key or as a model."""
    if isinstance(order_by, str):
        return edge.OrderBy(order_by)
    start: Any = order_by.start_from
    if isinstance(start, date):
        start = as_utc(start).isoformat()
    return edge.OrderBy(order_by.key, _DIRECTIONS[order_by.direction], start)


_PLAIN_QUERIES: dict[type, Callable[[Any], edge.ScoringQueryType]] = {
    models.FusionQuery: lambda query: _FUSIONS[query.fusion](),
    models.RrfQuery: _rrf,
    models.FormulaQuery: convert_formula,
    models.OrderByQuery: lambda query: convert_order_by(query.order_by),
    models.SampleQuery: lambda _: edge.Sample.Random,
}
_NEEDS_PREFETCH = (models.FusionQuery, models.RrfQuery, models.FormulaQuery)


def prefetches_of(request: models.QueryRequest | models.Prefetch) -> list[models.Prefetch]:
    """Return the prefetches of a query as a list."""
    prefetch = request.prefetch
    return prefetch if isinstance(prefetch, list) else [] if prefetch is None else [prefetch]


def _check_combination(query: Any, using: str | None, has_prefetch: bool, score_threshold: float | None) -> None:
    """Refuse contradictory arguments, with the error messages of local mode and the server."""
    if isinstance(query, VECTORS):  # the usual case; a vector goes with everything
        return
    if query is None:
        if has_prefetch:
            raise ValueError("A query is needed to merge the prefetches.")
        if score_threshold is not None:
            raise ValueError("A query is needed to use the score_threshold.")
    if isinstance(query, models.OrderByQuery) and score_threshold is not None:
        raise ValueError("Can't use score_threshold with an order_by query.")
    if isinstance(query, (models.FusionQuery, models.RrfQuery)) and using:
        raise ValueError("Fusion queries cannot be combined with the 'using' field.")
    if isinstance(query, models.TextQuery) and has_prefetch:
        raise ValueError("A text query cannot rescore prefetches.")
    if isinstance(query, _NEEDS_PREFETCH) and not has_prefetch:
        raise ValueError(f"Cannot perform {type(query).__name__} without prefetches")


@dataclass(slots=True)
class QueryConverter:
    """Converts the queries of one collection.

    Attributes:
        schema: The collection's vectors.
        lookup: Function that reads the stored vector of a point, for queries by id.
    """

    schema: VectorSchema
    lookup: Lookup

    def page(self, request: models.QueryRequest) -> tuple[int, int]:
        """Return the number of hits before the page that a query asks for, and up to its end."""
        limit, offset = DEFAULT_LIMIT if request.limit is None else request.limit, request.offset or 0
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        if offset < 0:
            raise ValueError(f"offset value {offset} is invalid. Must be 0 or larger.")
        return offset, offset + limit

    def request(
        self, request: models.QueryRequest, offset: int, limit: int, with_vector: Any, with_payload: Any
    ) -> edge.QueryRequest:
        """Convert a query and its prefetches, but for its page; the last four arguments are the engine's."""
        if request.shard_key is not None:
            raise UnsupportedError("shard_key: an embedded collection is one shard")
        return edge.QueryRequest(
            limit=limit,
            offset=offset,
            with_vector=with_vector,
            with_payload=with_payload,
            **self._parts(request, DEFAULT_LIMIT if request.limit is None else request.limit),
        )

    def vector(self, request: models.QueryRequest, value: Any) -> edge.NamedVector:
        """Convert a vector of a query, or the id of a point that has it."""
        return self._scope(request, DEFAULT_LIMIT).vector(value)

    def _prefetch(self, prefetch: models.Prefetch) -> edge.Prefetch:
        limit = DEFAULT_LIMIT if prefetch.limit is None else prefetch.limit
        if limit < 1:
            raise ValueError(f"prefetch limit value {limit} is invalid. Must be 1 or larger.")
        return edge.Prefetch(limit=limit, **self._parts(prefetch, limit))

    def _scope(self, request: models.QueryRequest | models.Prefetch, limit: int) -> QueryScope:
        using = request.using or DEFAULT_VECTOR_NAME
        return QueryScope(self.schema, self.lookup, using, request.lookup_from, limit)

    def _parts(self, request: models.QueryRequest | models.Prefetch, limit: int) -> dict[str, Any]:
        """Arguments that a query and a prefetch share."""
        prefetches = prefetches_of(request)
        _check_combination(request.query, request.using, bool(prefetches), request.score_threshold)
        scope = self._scope(request, limit)
        query = None if request.query is None else _convert(request.query, scope)
        return {
            "query": query,
            "prefetches": [self._prefetch(prefetch) for prefetch in prefetches] or None,
            "filter": convert_filter(without_ids(request.filter, scope.mentioned)),
            "score_threshold": request.score_threshold,
            "params": convert_search_params(request.params),
        }


def _convert(query: Any, scope: QueryScope) -> edge.ScoringQueryType:
    if isinstance(query, VECTORS):
        return edge.Query.Nearest(scope.schema.to_edge(query, scope.using, "the query"), scope.using)
    if not isinstance(query, _QUERY_TYPES):  # short for a nearest query: a vector or an id
        query = models.NearestQuery.model_construct(nearest=query)
    if type(query) in VECTOR_QUERIES:
        return VECTOR_QUERIES[type(query)](query, scope)
    return dispatch(_PLAIN_QUERIES, query, "query")(query)


def convert_search_params(params: models.SearchParams | dict[str, Any] | None) -> edge.SearchParams | None:
    """Convert search parameters."""
    if params is None:
        return None
    if isinstance(params, dict):
        params = models.SearchParams(**params)
    quantization, acorn, idf = params.quantization, params.acorn, params.idf
    return edge.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        quantization=None
        if quantization is None
        else edge.QuantizationSearchParams(bool(quantization.ignore), quantization.rescore, quantization.oversampling),
        indexed_only=bool(params.indexed_only),
        acorn=None if acorn is None else edge.AcornSearchParams(bool(acorn.enable), acorn.max_selectivity),
        idf=edge.IdfParams(convert_filter(idf.corpus)) if isinstance(idf, models.IdfCorpusParams) else None,
    )

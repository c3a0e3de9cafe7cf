"""Queries of ``qdrant_client.models`` as queries of Qdrant Edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, get_args
from uuid import UUID

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.convert.filters import as_utc, convert_filter, dispatch, without_ids
from fg_search.edge.convert.formulas import convert_formula
from fg_search.edge.errors import UnsupportedError
from fg_search.edge.vectors import DEFAULT_VECTOR_NAME, VECTORS, VectorSchema

DEFAULT_LIMIT = 10
_DEFAULT_RRF_K = 2  # of the server and of local mode
_MAX_MMR_CANDIDATES = 16384
_QUERY_TYPES = get_args(models.Query)

# reads a stored vector: (point id, vector name, where else to look)
Lookup = Callable[[Any, str, models.LookupLocation | None], Any]


@dataclass
class _Scope:
    """What the conversion of one query needs to know, and the ids that it comes across."""

    schema: VectorSchema
    lookup: Lookup
    using: str
    lookup_from: models.LookupLocation | None
    limit: int
    mentioned: list[Any] = field(default_factory=list)

    def raw(self, value: Any) -> Any:
        """Return a vector; an id is replaced by the vector of that point, which is then not a result."""
        if isinstance(value, bool) or not isinstance(value, (int, str, UUID)):
            return value
        name = self.using
        if self.lookup_from is None:
            self.mentioned.append(value)
        elif self.lookup_from.vector is not None:
            name = self.lookup_from.vector
        return self.lookup(value, name, self.lookup_from)

    def vector(self, value: Any) -> edge.NamedVector:
        return self.schema.to_edge(self.raw(value), self.using, "the query")

    def vectors(self, values: Sequence[Any] | None) -> list[edge.NamedVector]:
        return [self.vector(value) for value in values or ()]


def _nearest(query: models.NearestQuery, scope: _Scope) -> edge.ScoringQueryType:
    vector = scope.vector(query.nearest)
    if query.mmr is None:
        return edge.Query.Nearest(vector, scope.using)
    diversity = 0.5 if query.mmr.diversity is None else query.mmr.diversity
    candidates = scope.limit if query.mmr.candidates_limit is None else query.mmr.candidates_limit
    if not 0 <= candidates <= _MAX_MMR_CANDIDATES:
        raise ValueError(
            f"mmr candidates_limit value {candidates} is invalid. Must be from 0 to {_MAX_MMR_CANDIDATES}."
        )
    return edge.Mmr(vector, 1.0 - diversity, candidates, scope.using)


def _mean_of_sparse(vectors: Sequence[models.SparseVector]) -> dict[int, float]:
    mean: dict[int, float] = {}
    for vector in vectors:
        for index, value in zip(vector.indices, vector.values, strict=True):
            mean[index] = mean.get(index, 0.0) + value / len(vectors)
    return mean


def _average(scope: _Scope, positive: Sequence[Any], negative: Sequence[Any]) -> Any:
    """The target of an average recommendation: twice the mean positive less the mean negative.

    Without negatives it is the mean of the positives.
    """
    positive = [scope.raw(value) for value in positive]
    negative = [scope.raw(value) for value in negative]
    for value in [*positive, *negative]:
        scope.schema.to_edge(value, scope.using, "the query")
    if scope.using in scope.schema.sparse:
        mean, opposite = _mean_of_sparse(positive), _mean_of_sparse(negative)
        if negative:
            mean = {
                index: 2 * mean.get(index, 0.0) - opposite.get(index, 0.0) for index in mean.keys() | opposite.keys()
            }
        return models.SparseVector(indices=sorted(mean), values=[mean[index] for index in sorted(mean)])
    if scope.using in scope.schema.multi:
        return [row for one in positive for row in one] + [
            [-number for number in row] for one in negative for row in one
        ]
    average = np.mean(np.asarray(positive, dtype=np.float64), axis=0)
    if negative:
        average = 2 * average - np.mean(np.asarray(negative, dtype=np.float64), axis=0)
    return average


def _recommend(query: models.RecommendQuery, scope: _Scope) -> edge.ScoringQueryType:
    recommend = query.recommend
    positive, negative = recommend.positive or [], recommend.negative or []
    strategy = recommend.strategy or models.RecommendStrategy.AVERAGE_VECTOR
    if strategy == models.RecommendStrategy.AVERAGE_VECTOR:
        if not positive:
            raise ValueError("No positive examples given with 'average_vector' strategy")
        return _nearest(models.NearestQuery.model_construct(nearest=_average(scope, positive, negative)), scope)
    if not positive and not negative:
        raise ValueError(f"No positive or negative examples given with '{strategy.value}' strategy")
    examples = edge.RecommendQuery(scope.vectors(positive), scope.vectors(negative))
    if strategy == models.RecommendStrategy.BEST_SCORE:
        return edge.Query.RecommendBestScore(examples, scope.using)
    return edge.Query.RecommendSumScores(examples, scope.using)


def _pairs(context: Any, scope: _Scope) -> list[edge.ContextPair]:
    pairs = context if isinstance(context, list) else [] if context is None else [context]
    return [edge.ContextPair(scope.vector(pair.positive), scope.vector(pair.negative)) for pair in pairs]


def _discover(query: models.DiscoverQuery, scope: _Scope) -> edge.ScoringQueryType:
    target, pairs = scope.vector(query.discover.target), _pairs(query.discover.context, scope)
    return edge.Query.Discover(edge.DiscoverQuery(target, pairs), scope.using)


def _context(query: models.ContextQuery, scope: _Scope) -> edge.ScoringQueryType:
    pairs = edge.ContextQuery(_pairs(query.context, scope))
    return edge.Query.Context(pairs, scope.using)


def _relevance_feedback(query: models.RelevanceFeedbackQuery, scope: _Scope) -> edge.ScoringQueryType:
    feedback = query.relevance_feedback
    naive = feedback.strategy.naive
    if naive.b < 0:
        raise ValueError(f"naive feedback b value {naive.b} is invalid. Must be 0 or larger.")
    examples = [edge.FeedbackItem(scope.vector(item.example), item.score) for item in feedback.feedback]
    strategy = edge.NaiveFeedbackStrategy(naive.a, naive.b, naive.c)
    converted = edge.FeedbackNaiveQuery(scope.vector(feedback.target), examples, strategy)
    return edge.Query.FeedbackNaive(converted, scope.using)


def _rrf(query: models.RrfQuery) -> edge.ScoringQueryType:
    k, weights = query.rrf.k, query.rrf.weights
    if k is not None and k < 1:
        raise ValueError(f"rrf k value {k} is invalid. Must be 1 or larger.")
    if weights is not None and not np.isfinite(weights).all():
        raise ValueError(f"rrf weights {weights} are invalid. Must be finite numbers.")
    rrf: Any = edge.Fusion.Rrf(_DEFAULT_RRF_K if k is None else k, weights)  # a Fusion, unlike the stubs say
    return rrf  # type: ignore[no-any-return]


_FUSIONS: dict[models.Fusion, Callable[[], Any]] = {
    models.Fusion.RRF: lambda: edge.Fusion.Rrf(_DEFAULT_RRF_K),
    models.Fusion.DBSF: edge.Fusion.Dbsf,
}


def _text(query: models.TextQuery, scope: _Scope) -> edge.ScoringQueryType:
    if scope.using == DEFAULT_VECTOR_NAME:
        raise ValueError("A text query needs `using` to name the payload field to search")
    if isinstance(query.text, str):
        return edge.TextQuery(scope.using, query.text)
    scoring = query.text.scoring
    params = None if scoring is None else edge.Bm25Params(scoring.bm25.k, scoring.bm25.b)
    return edge.TextQuery(scope.using, query.text.query, params)


_DIRECTIONS = {
    models.Direction.ASC: edge.Direction.Asc,
    models.Direction.DESC: edge.Direction.Desc,
    None: None,
}


def convert_order_by(order_by: str | models.OrderBy) -> edge.OrderBy:
    """Convert an order by a payload field, given as its key or as a model."""
    if isinstance(order_by, str):
        return edge.OrderBy(order_by)
    start: Any = order_by.start_from
    if isinstance(start, date):
        start = as_utc(start).isoformat()
    return edge.OrderBy(order_by.key, _DIRECTIONS[order_by.direction], start)


_VECTOR_QUERIES: dict[type, Callable[[Any, _Scope], edge.ScoringQueryType]] = {
    models.NearestQuery: _nearest,
    models.RecommendQuery: _recommend,
    models.DiscoverQuery: _discover,
    models.ContextQuery: _context,
    models.RelevanceFeedbackQuery: _relevance_feedback,
    models.TextQuery: _text,
}
_PLAIN_QUERIES: dict[type, Callable[[Any], edge.ScoringQueryType]] = {
    models.FusionQuery: lambda query: _FUSIONS[query.fusion](),
    models.RrfQuery: _rrf,
    models.FormulaQuery: convert_formula,
    models.OrderByQuery: lambda query: convert_order_by(query.order_by),
    models.SampleQuery: lambda _: edge.Sample.Random,
}
_NEEDS_PREFETCH = (models.FusionQuery, models.RrfQuery, models.FormulaQuery)


def _prefetches(request: models.QueryRequest | models.Prefetch) -> list[models.Prefetch]:
    prefetch = request.prefetch
    return prefetch if isinstance(prefetch, list) else [] if prefetch is None else [prefetch]


def has_formula(request: models.QueryRequest | models.Prefetch) -> bool:
    """Whether the query or one of its prefetches is a formula."""
    return isinstance(request.query, models.FormulaQuery) or any(map(has_formula, _prefetches(request)))


def _check_combination(query: Any, using: str | None, has_prefetch: bool, score_threshold: float | None) -> None:
    """Refuse what contradicts itself, in the words of local mode and the server."""
    if query is None:
        if has_prefetch:
            raise ValueError("A query is needed to merge the prefetches.")
        if score_threshold is not None:
            raise ValueError("A query is needed to use the score_threshold.")
    if isinstance(query, models.OrderByQuery) and score_threshold is not None:
        raise ValueError("Can't use score_threshold with an order_by query.")
    if isinstance(query, (models.FusionQuery, models.RrfQuery)) and using:
        raise ValueError("Fusion queries cannot be combined with the 'using' field.")
    if isinstance(query, _NEEDS_PREFETCH) and not has_prefetch:
        raise ValueError(f"Cannot perform {type(query).__name__} without prefetches")


@dataclass(frozen=True)
class QueryConverter:
    """Converts the queries of one collection.

    Attributes:
        schema: The collection's vectors.
        lookup: Reads the stored vector of a point, for queries by id.
    """

    schema: VectorSchema
    lookup: Lookup

    def request(self, request: models.QueryRequest, with_vector: Any, with_payload: Any) -> edge.QueryRequest:
        """Convert a query with its prefetches; ``with_vector`` and ``with_payload`` come converted."""
        limit = DEFAULT_LIMIT if request.limit is None else request.limit
        offset = request.offset or 0
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        if offset < 0:
            raise ValueError(f"offset value {offset} is invalid. Must be 0 or larger.")
        if request.shard_key is not None:
            raise UnsupportedError("shard_key: an embedded collection is one shard")
        return edge.QueryRequest(
            limit=limit,
            offset=offset,
            with_vector=with_vector,
            with_payload=with_payload,
            **self._parts(request, limit),
        )

    def _prefetch(self, prefetch: models.Prefetch) -> edge.Prefetch:
        limit = DEFAULT_LIMIT if prefetch.limit is None else prefetch.limit
        if limit < 1:
            raise ValueError(f"prefetch limit value {limit} is invalid. Must be 1 or larger.")
        return edge.Prefetch(limit=limit, **self._parts(prefetch, limit))

    def _parts(self, request: models.QueryRequest | models.Prefetch, limit: int) -> dict[str, Any]:
        """The arguments that a query and a prefetch have in common."""
        prefetches = _prefetches(request)
        _check_combination(request.query, request.using, bool(prefetches), request.score_threshold)
        scope = _Scope(self.schema, self.lookup, request.using or DEFAULT_VECTOR_NAME, request.lookup_from, limit)
        query = None if request.query is None else _convert(request.query, scope)
        return {
            "query": query,
            "prefetches": [self._prefetch(one) for one in prefetches] or None,
            "filter": convert_filter(without_ids(request.filter, scope.mentioned)),
            "score_threshold": request.score_threshold,
            "params": convert_search_params(request.params),
        }


def _convert(query: Any, scope: _Scope) -> edge.ScoringQueryType:
    if isinstance(query, VECTORS):
        return edge.Query.Nearest(scope.vector(query), scope.using)
    if not isinstance(query, _QUERY_TYPES):  # an id, too, is short for a nearest query
        query = models.NearestQuery.model_construct(nearest=query)
    if type(query) in _VECTOR_QUERIES:
        return _VECTOR_QUERIES[type(query)](query, scope)
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

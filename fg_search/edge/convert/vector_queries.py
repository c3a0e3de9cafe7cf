"""Queries that score points by a vector, by examples or by a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.errors import UnsupportedError
from fg_search.edge.vector_schema import DEFAULT_VECTOR_NAME, VectorSchema

_MAX_MMR_CANDIDATES = 16384

# reads a stored vector: (point id, vector name, collection and vector to read instead)
Lookup = Callable[[Any, str, models.LookupLocation | None], Any]


@dataclass(slots=True)
class QueryScope:
    """Context for converting one query.

    Attributes:
        schema: The collection's vectors.
        lookup: Function that reads the stored vector of a point.
        using: Name of the vector to search.
        lookup_from: Collection and vector that ids refer to, if not those being searched.
        limit: Number of hits that the query asks for.
        mentioned: Ids in the query that the conversion has replaced by vectors; these points are not results.
    """

    schema: VectorSchema
    lookup: Lookup
    using: str
    lookup_from: models.LookupLocation | None
    limit: int
    mentioned: list[Any] = field(default_factory=list)

    def raw(self, value: Any) -> Any:
        """Return a vector unchanged and an id as its stored vector."""
        if isinstance(value, bool) or not isinstance(value, (int, str, UUID)):
            return value
        name = self.using
        if self.lookup_from is None:
            self.mentioned.append(value)
        elif self.lookup_from.vector is not None:
            name = self.lookup_from.vector
        return self.lookup(value, name, self.lookup_from)

    def vector(self, value: Any) -> edge.NamedVector:
        """Convert a vector or an id."""
        return self.schema.to_edge(self.raw(value), self.using, "the query")

    def vectors(self, values: Sequence[Any] | None) -> list[edge.NamedVector]:
        """Convert vectors and ids."""
        return [self.vector(value) for value in values or ()]


def _nearest(query: models.NearestQuery, scope: QueryScope) -> edge.ScoringQueryType:
    vector = scope.vector(query.nearest)
    if query.mmr is None:
        return edge.Query.Nearest(vector, scope.using)
    if scope.using in scope.schema.sparse:
        raise UnsupportedError(
            f"A prefetch with MMR on the sparse vector {scope.using!r} is not supported by Qdrant Edge; only the query "
            "itself can be one"
        )
    relevance_weight, candidates = mmr_parameters(query.mmr, scope.limit)
    return edge.Mmr(vector, relevance_weight, candidates, scope.using)


def mmr_parameters(mmr: models.Mmr, limit: int) -> tuple[float, int]:
    """Return the weight of the relevance and the number of candidates, by default the query's limit."""
    diversity = 0.5 if mmr.diversity is None else mmr.diversity
    candidates = limit if mmr.candidates_limit is None else mmr.candidates_limit
    if not 0 <= diversity <= 1:
        raise ValueError(f"mmr diversity value {diversity} is invalid. Must be from 0 to 1.")
    if not 0 <= candidates <= _MAX_MMR_CANDIDATES:
        raise ValueError(
            f"mmr candidates_limit value {candidates} is invalid. Must be from 0 to {_MAX_MMR_CANDIDATES}."
        )
    return 1.0 - diversity, candidates


def _mean_of_sparse(vectors: Sequence[models.SparseVector]) -> dict[int, float]:
    mean: dict[int, float] = {}
    for vector in vectors:
        for index, value in zip(vector.indices, vector.values, strict=True):
            mean[index] = mean.get(index, 0.0) + value / len(vectors)
    return mean


def _average(scope: QueryScope, positive: Sequence[Any], negative: Sequence[Any]) -> Any:
    """Target of an average recommendation: twice the mean positive minus the mean negative.

    Without negatives, it is the mean positive.
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
        return [row for example in positive for row in example] + [
            [-number for number in row] for example in negative for row in example
        ]
    average = np.mean(np.asarray(positive, dtype=np.float64), axis=0)
    if negative:
        average = 2 * average - np.mean(np.asarray(negative, dtype=np.float64), axis=0)
    return average


def _recommend(query: models.RecommendQuery, scope: QueryScope) -> edge.ScoringQueryType:
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


def _pairs(context: Any, scope: QueryScope) -> list[edge.ContextPair]:
    pairs = context if isinstance(context, list) else [] if context is None else [context]
    return [edge.ContextPair(scope.vector(pair.positive), scope.vector(pair.negative)) for pair in pairs]


def _discover(query: models.DiscoverQuery, scope: QueryScope) -> edge.ScoringQueryType:
    target, pairs = scope.vector(query.discover.target), _pairs(query.discover.context, scope)
    return edge.Query.Discover(edge.DiscoverQuery(target, pairs), scope.using)


def _context(query: models.ContextQuery, scope: QueryScope) -> edge.ScoringQueryType:
    pairs = _pairs(query.context, scope)
    if not pairs:
        raise ValueError("No context given")
    return edge.Query.Context(edge.ContextQuery(pairs), scope.using)


def _relevance_feedback(query: models.RelevanceFeedbackQuery, scope: QueryScope) -> edge.ScoringQueryType:
    feedback = query.relevance_feedback
    naive = feedback.strategy.naive
    if naive.b < 0:
        raise ValueError(f"naive feedback b value {naive.b} is invalid. Must be 0 or larger.")
    examples = [edge.FeedbackItem(scope.vector(item.example), item.score) for item in feedback.feedback]
    strategy = edge.NaiveFeedbackStrategy(naive.a, naive.b, naive.c)
    converted = edge.FeedbackNaiveQuery(scope.vector(feedback.target), examples, strategy)
    return edge.Query.FeedbackNaive(converted, scope.using)


def _text(query: models.TextQuery, scope: QueryScope) -> edge.ScoringQueryType:
    if scope.using == DEFAULT_VECTOR_NAME:
        raise ValueError("A text query needs `using` to name the payload field to search")
    if isinstance(query.text, str):
        return edge.TextQuery(scope.using, query.text)
    scoring = query.text.scoring
    params = None if scoring is None else edge.Bm25Params(scoring.bm25.k, scoring.bm25.b)
    return edge.TextQuery(scope.using, query.text.query, params)


VECTOR_QUERIES: dict[type, Callable[[Any, QueryScope], edge.ScoringQueryType]] = {
    models.NearestQuery: _nearest,
    models.RecommendQuery: _recommend,
    models.DiscoverQuery: _discover,
    models.ContextQuery: _context,
    models.RelevanceFeedbackQuery: _relevance_feedback,
    models.TextQuery: _text,
}

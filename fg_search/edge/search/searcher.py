"""Answers to queries: the hits, then what they contain, and more calls where equal scores or MMR ask for them.

Asked for payloads with a query, the engine reads those of each segment's best hits, most of which are dropped. It is
faster to read them afterwards, of the hits that remain: by a tenth to a quarter of the whole time. But between the two
calls a point may change, so that it no longer matches the filter. If a write comes between them, the query is therefore
asked again together with the contents, which the engine answers as of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is fastembed's

from fg_search.edge.convert.queries import QueryConverter
from fg_search.edge.convert.results import convert_with_payload, convert_with_vectors, response_from_edge
from fg_search.edge.convert.vector_queries import Lookup, mmr_parameters
from fg_search.edge.search.formula_errors import CANCELLED, formula_error, has_formula
from fg_search.edge.search.nested import is_nested, settle
from fg_search.edge.search.sparse_mmr import diversify
from fg_search.edge.search.ties import Page, has_scores_to_tie
from fg_search.edge.vector_schema import DEFAULT_VECTOR_NAME, VectorSchema
from fg_search.edge.write_counter import WriteCounter

_Hits = Sequence[edge.ScoredPoint]
_Contents = Mapping[Any, edge.Record]  # by id


@dataclass(slots=True)
class _Plan:
    """How one request is answered.

    Attributes:
        request: The request as it was given.
        page: Its page, if its hits are sorted by score.
        with_payload: Converted selector.
        with_vectors: Converted selector.
        is_sparse_mmr: Whether the engine only looks for the candidates.
    """

    request: models.QueryRequest
    page: Page | None
    with_payload: edge.WithPayloadType
    with_vectors: edge.WithVectorType
    is_sparse_mmr: bool = False

    @property
    def has_contents(self) -> bool:
        """Whether payloads or vectors are asked for."""
        return self.with_payload is not False or self.with_vectors is not False


class Searcher:
    """Answers queries on one shard.

    Args:
        shard: The open shard.
        schema: The collection's vectors.
        lookup: Function that reads the stored vector of a point, for queries by id.
        writes: Counter of the writes to the shard.
    """

    def __init__(self, shard: edge.EdgeShard, schema: VectorSchema, lookup: Lookup, writes: WriteCounter) -> None:
        self._shard = shard
        self._schema = schema
        self._writes = writes
        self._convert = QueryConverter(schema, lookup)

    def answer(self, requests: Sequence[models.QueryRequest]) -> list[QueryResponse]:
        """Answer several queries with one call to the engine, if possible."""
        if not requests:
            return []
        requests = [
            settle(request, self._hits) if request.prefetch and is_nested(request) else request for request in requests
        ]
        plans = [self._plan(request) for request in requests]
        try:
            return self._answers(plans)
        except Exception as error:
            if CANCELLED in str(error) and any(map(has_formula, requests)):
                raise formula_error(requests, self._hits) from error
            raise

    def _answers(self, plans: Sequence[_Plan]) -> list[QueryResponse]:
        """Answers that are each as of one moment, but for MMR on sparse vectors."""
        mark = self._writes.mark()
        if mark is not None:
            answers = self._search(plans, with_contents=False)
            if self._writes.is_unchanged(mark):
                return answers
        return self._search(plans, with_contents=True)

    def _search(self, plans: Sequence[_Plan], *, with_contents: bool) -> list[QueryResponse]:
        """Answer all queries with one call, which brings the contents of the hits or leaves them to further calls."""
        converted = [self._converted(plan, with_contents=with_contents) for plan in plans]
        answers = self._shard.query_batch(edge.QueryBatchRequest(converted))
        return [
            self._finish(plan, hits, has_contents=with_contents or not plan.has_contents)
            for plan, hits in zip(plans, answers, strict=True)
        ]

    def _hits(self, request: models.QueryRequest) -> list[models.ScoredPoint]:
        return self.answer([request])[0].points

    def _plan(self, request: models.QueryRequest) -> _Plan:
        with_vectors = convert_with_vectors(request.with_vector)
        if isinstance(with_vectors, list):
            self._schema.check_names(with_vectors)
        start, end = self._convert.page(request)
        is_ranked = has_scores_to_tie(request.query)
        page = Page(start, end, end + 1, bool(request.prefetch)) if is_ranked else None  # one hit more than it has
        is_sparse_mmr = (
            isinstance(request.query, models.NearestQuery)
            and request.query.mmr is not None
            and (request.using or DEFAULT_VECTOR_NAME) in self._schema.sparse
        )
        return _Plan(request, page, convert_with_payload(request.with_payload), with_vectors, is_sparse_mmr)

    def _converted(self, plan: _Plan, *, with_contents: bool) -> edge.QueryRequest:
        request = plan.request
        if plan.is_sparse_mmr:
            return self._candidates(request)
        if plan.page is not None:
            selectors = (plan.with_vectors, plan.with_payload) if with_contents else (False, False)
            return self._convert.request(request, 0, plan.page.asked, *selectors)
        start, end = self._convert.page(request)
        is_random = isinstance(request.query, models.SampleQuery)  # has no pages, as on a server
        return self._convert.request(
            request, 0 if is_random else start, end - start, plan.with_vectors, plan.with_payload
        )

    def _finish(self, plan: _Plan, hits: _Hits, *, has_contents: bool) -> QueryResponse:
        if plan.is_sparse_mmr:
            chosen = self._diversified(plan.request, hits)
            return response_from_edge(chosen, plan.with_vectors, self._contents(plan, chosen))
        if plan.page is None:
            return response_from_edge(hits, plan.with_vectors)
        page = plan.page
        while page.is_cut(hits):
            page = page.wider()
            hits = self._shard.query(self._converted(replace(plan, page=page), with_contents=has_contents))
        hits = page.of(hits)
        return response_from_edge(hits, plan.with_vectors, None if has_contents else self._contents(plan, hits))

    def _contents(self, plan: _Plan, hits: _Hits) -> _Contents:
        records = self._shard.retrieve([hit.id for hit in hits], plan.with_payload, plan.with_vectors)
        return {record.id: record for record in records}

    # --- MMR on sparse vectors ------------------------------------------------------------------------------

    def _candidates(self, request: models.QueryRequest) -> edge.QueryRequest:
        query: Any = request.query
        start, end = self._convert.page(request)
        _, candidates = mmr_parameters(query.mmr, end - start)
        plain = request.model_copy(update={"query": models.NearestQuery.model_construct(nearest=query.nearest)})
        return self._convert.request(plain, 0, max(candidates, 1), [request.using], with_payload=False)

    def _diversified(self, request: models.QueryRequest, hits: _Hits) -> _Hits:
        query: Any = request.query
        start, end = self._convert.page(request)
        relevance_weight, candidates = mmr_parameters(query.mmr, end - start)
        vectors: list[Any] = [hit.vector for hit in hits[:candidates]]
        vector: Any = self._convert.vector(request, query.nearest)
        chosen = diversify(vector, [named[request.using] for named in vectors], relevance_weight, end)
        return [hits[place] for place in chosen[start:]]

"""EdgeClient methods that compare a sample of points with each other."""

from __future__ import annotations

from typing import Any

from qdrant_client import models

from fg_search.edge.convert.filters import with_condition
from fg_search.edge.instances import construct
from fg_search.edge.methods.base import check_options
from fg_search.edge.methods.points import PointMethods
from fg_search.edge.search.ties import id_order
from fg_search.edge.signatures import THEIRS, signature_of
from fg_search.edge.vector_schema import DEFAULT_VECTOR_NAME

_Neighbours = list[tuple[models.ExtendedPointId, list[models.ScoredPoint]]]


class MatrixMethods(PointMethods):
    """Sparse matrices of the similarities in a random sample, e.g. to cluster or plot it."""

    @signature_of(THEIRS.search_matrix_pairs)
    def search_matrix_pairs(
        self,
        collection_name: str,
        query_filter: models.Filter | None = None,
        limit: int = 3,
        sample: int = 10,
        using: str | None = None,
        **kwargs: Any,
    ) -> models.SearchMatrixPairsResponse:
        """Compare a random sample of points with each other; each pair is listed with its score.

        Args:
            collection_name: Collection to sample from.
            query_filter: Restricts the sample.
            limit: Maximum number of neighbours of each point.
            sample: Number of points; those without the vector are left out.
            using: Name of the vector to compare; the unnamed vector if None.
            **kwargs: Arguments for servers, ignored or refused; see the class.
        """
        check_options("search_matrix_pairs", kwargs, "shard_key_selector")
        found = self._neighbours(collection_name, query_filter, limit, sample, using or DEFAULT_VECTOR_NAME)
        return models.SearchMatrixPairsResponse(
            pairs=[
                models.SearchMatrixPair(a=point_id, b=hit.id, score=hit.score)
                for point_id, hits in found
                for hit in hits
            ]
        )

    @signature_of(THEIRS.search_matrix_offsets)
    def search_matrix_offsets(
        self,
        collection_name: str,
        query_filter: models.Filter | None = None,
        limit: int = 3,
        sample: int = 10,
        using: str | None = None,
        **kwargs: Any,
    ) -> models.SearchMatrixOffsetsResponse:
        """Compare as :meth:`search_matrix_pairs` does; the pairs are offsets in the list of ids."""
        check_options("search_matrix_offsets", kwargs, "shard_key_selector")
        found = self._neighbours(collection_name, query_filter, limit, sample, using or DEFAULT_VECTOR_NAME)
        offsets = {point_id: offset for offset, (point_id, _) in enumerate(found)}
        cells = [(row, offsets[hit.id], hit.score) for row, (_, hits) in enumerate(found) for hit in hits]
        return models.SearchMatrixOffsetsResponse(
            offsets_row=[row for row, _, _ in cells],
            offsets_col=[column for _, column, _ in cells],
            scores=[score for _, _, score in cells],
            ids=list(offsets),
        )

    def _neighbours(
        self, collection_name: str, query_filter: models.Filter | None, limit: int, sample: int, using: str
    ) -> _Neighbours:
        """Return the sampled points, ordered by id, with their neighbours in the sample."""
        self._collection(collection_name).schema.check_names([using])
        having = with_condition(query_filter, models.HasVectorCondition(has_vector=using))
        random = construct(
            models.QueryRequest,
            query=models.SampleQuery(sample=models.Sample.RANDOM),
            filter=having,
            limit=sample,
            with_vector=[using],
        )
        points = self._query(collection_name, [random])[0].points
        if len(points) < 2:
            return []
        points.sort(key=lambda point: id_order(point.id))
        ids = [point.id for point in points]
        exact = models.SearchParams(exact=True)
        requests = []
        for point in points:
            others = models.HasIdCondition(has_id=[point_id for point_id in ids if point_id != point.id])
            vectors: Any = point.vector
            requests.append(
                construct(
                    models.QueryRequest,
                    query=vectors[using] if isinstance(vectors, dict) else vectors,
                    using=using or None,
                    filter=with_condition(query_filter, others),
                    params=exact,
                    limit=limit,
                )
            )
        answers = self._query(collection_name, requests)
        return [(point_id, answer.points) for point_id, answer in zip(ids, answers, strict=True)]

"""EdgeClient methods that write and read points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is fastembed's

from fg_search.edge.convert.points import json_payload
from fg_search.edge.instances import construct
from fg_search.edge.methods.base import DONE, ClientBase, check_options
from fg_search.edge.signatures import THEIRS, signature_of

_Ids = Sequence[int | str]
_Selector = _Ids | models.Filter | models.FilterSelector | models.PointIdsList


class PointMethods(ClientBase):
    """Write and read points."""

    # --- writing ------------------------------------------------------------------------------------------

    @signature_of(THEIRS.upsert)
    def upsert(
        self,
        collection_name: str,
        points: Sequence[models.PointStruct] | models.Batch,
        *,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """Write points; if one of them is invalid, none is written."""
        check_options("upsert", kwargs, "shard_key_selector")
        self._collection(collection_name).prepare_upsert(points, update_filter, update_mode)()
        return DONE.model_copy()

    @signature_of(THEIRS.upload_points)
    def upload_points(
        self,
        collection_name: str,
        points: Iterable[models.PointStruct],
        batch_size: int = 64,
        *,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **kwargs: Any,
    ) -> None:
        """Write any number of points, with ``batch_size`` of them in memory at a time."""
        check_options("upload_points", kwargs, "shard_key_selector")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        collection = self._collection(collection_name)
        iterator = iter(points)
        while batch := list(islice(iterator, batch_size)):
            collection.prepare_upsert(batch, update_filter, update_mode)()

    @signature_of(THEIRS.update_vectors)
    def update_vectors(
        self,
        collection_name: str,
        points: Sequence[models.PointVectors],
        *,
        update_filter: models.Filter | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """Replace some vectors of existing points."""
        check_options("update_vectors", kwargs, "shard_key_selector")
        self._collection(collection_name).prepare_vector_update(points, update_filter)()
        return DONE.model_copy()

    @signature_of(THEIRS.delete_vectors)
    def delete_vectors(
        self, collection_name: str, vectors: Sequence[str], points: _Selector, **kwargs: Any
    ) -> models.UpdateResult:
        """Remove some vectors of points."""
        check_options("delete_vectors", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        if len(vectors) == 0:
            raise ValueError("must specify vector names to delete")
        collection.schema.check_names(vectors)
        collection.update_selected("delete_vectors", points, list(vectors))
        return DONE.model_copy()

    @signature_of(THEIRS.delete)
    def delete(self, collection_name: str, points_selector: _Selector, **kwargs: Any) -> models.UpdateResult:
        """Delete points."""
        check_options("delete", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        collection.update_selected("delete_points", points_selector)
        return DONE.model_copy()

    @signature_of(THEIRS.set_payload)
    def set_payload(
        self,
        collection_name: str,
        payload: dict[str, Any],
        points: _Selector,
        key: str | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """Set keys of the payload, or of the object at ``key`` in it; all other keys are kept."""
        check_options("set_payload", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        collection.update_selected("set_payload", points, json_payload(payload, "payload"), key)
        return DONE.model_copy()

    @signature_of(THEIRS.overwrite_payload)
    def overwrite_payload(
        self, collection_name: str, payload: dict[str, Any], points: _Selector, **kwargs: Any
    ) -> models.UpdateResult:
        """Replace the whole payload of points."""
        check_options("overwrite_payload", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        collection.update_selected("overwrite_payload", points, json_payload(payload, "payload"))
        return DONE.model_copy()

    @signature_of(THEIRS.delete_payload)
    def delete_payload(
        self, collection_name: str, keys: Sequence[str], points: _Selector, **kwargs: Any
    ) -> models.UpdateResult:
        """Remove keys of the payload of points."""
        check_options("delete_payload", kwargs, "shard_key_selector")
        self._collection(collection_name).update_selected("delete_payload", points, list(keys))
        return DONE.model_copy()

    @signature_of(THEIRS.clear_payload)
    def clear_payload(self, collection_name: str, points_selector: _Selector, **kwargs: Any) -> models.UpdateResult:
        """Remove the whole payload of points."""
        check_options("clear_payload", kwargs, "shard_key_selector")
        self._collection(collection_name).update_selected("clear_payload", points_selector)
        return DONE.model_copy()

    # --- reading ------------------------------------------------------------------------------------------

    @signature_of(THEIRS.query_points)
    def query_points(
        self,
        collection_name: str,
        query: Any = None,
        using: str | None = None,
        prefetch: models.Prefetch | list[models.Prefetch] | None = None,
        query_filter: models.Filter | None = None,
        search_params: models.SearchParams | None = None,
        limit: int = 10,
        offset: int | None = None,
        with_payload: bool | Sequence[str] | models.PayloadSelector = True,
        with_vectors: bool | Sequence[str] = False,
        score_threshold: float | None = None,
        lookup_from: models.LookupLocation | None = None,
        **kwargs: Any,
    ) -> QueryResponse:
        """Search, recommend, fuse, rescore, order or sample points.

        Args:
            collection_name: Collection to search in.
            query: Vector (list, array, SparseVector), id of a point, any ``models.Query``, or None for all points.
            using: Name of the vector to search; the unnamed vector if None.
            prefetch: Queries whose results the query fuses or rescores.
            query_filter: Restricts the points, in prefetches too.
            search_params: Search parameters, such as ``hnsw_ef`` and ``exact``.
            limit: Maximum number of hits.
            offset: Number of hits to skip.
            with_payload: Whether to return the payload, or which of its keys.
            with_vectors: Whether to return vectors, or the names of those to return.
            score_threshold: Worst score that a hit may have.
            lookup_from: Collection and vector that ids in the query refer to, if not those being searched.
            **kwargs: Arguments for servers, ignored or refused; see the class.
        """
        check_options("query_points", kwargs, "shard_key_selector")
        request = construct(
            models.QueryRequest,
            query=query,
            using=using,
            prefetch=prefetch,
            filter=query_filter,
            params=search_params,
            limit=limit,
            offset=offset,
            with_payload=with_payload,
            with_vector=with_vectors,
            score_threshold=score_threshold,
            lookup_from=lookup_from,
        )
        return self._query(collection_name, [request])[0]

    @signature_of(THEIRS.query_batch_points)
    def query_batch_points(
        self, collection_name: str, requests: Sequence[models.QueryRequest], **kwargs: Any
    ) -> list[QueryResponse]:
        """Answer several queries in one engine call, which is cheaper than one call per query."""
        check_options("query_batch_points", kwargs)
        return self._query(collection_name, requests)

    def _query(self, collection_name: str, requests: Sequence[models.QueryRequest]) -> list[QueryResponse]:
        def lookup(point_id: Any, vector: str, lookup_from: models.LookupLocation | None) -> Any:
            name = collection_name if lookup_from is None else lookup_from.collection
            return self._collection(name).vector(point_id, vector)

        return self._collection(collection_name).query(requests, lookup)

    @signature_of(THEIRS.scroll)
    def scroll(
        self,
        collection_name: str,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        order_by: str | models.OrderBy | None = None,
        offset: int | str | None = None,
        with_payload: bool | Sequence[str] | models.PayloadSelector = True,
        with_vectors: bool | Sequence[str] = False,
        **kwargs: Any,
    ) -> tuple[list[models.Record], int | str | None]:
        """Return a page of points, ordered by id or by an indexed payload field, and the offset of the next page.

        The offset is None on the last page, and always with ``order_by``.
        """
        check_options("scroll", kwargs, "shard_key_selector")
        return self._collection(collection_name).scroll(
            scroll_filter, limit, order_by, offset, with_payload, with_vectors
        )

    @signature_of(THEIRS.retrieve)
    def retrieve(
        self,
        collection_name: str,
        ids: _Ids,
        with_payload: bool | Sequence[str] | models.PayloadSelector = True,
        with_vectors: bool | Sequence[str] = False,
        **kwargs: Any,
    ) -> list[models.Record]:
        """Return points in the order of ``ids``; unknown ids are left out."""
        check_options("retrieve", kwargs, "shard_key_selector")
        return self._collection(collection_name).retrieve(ids, with_payload, with_vectors)

    @signature_of(THEIRS.count)
    def count(
        self,
        collection_name: str,
        count_filter: models.Filter | None = None,
        exact: bool = True,
        **kwargs: Any,
    ) -> models.CountResult:
        """Count the matching points."""
        check_options("count", kwargs, "shard_key_selector")
        return models.CountResult(count=self._collection(collection_name).count(count_filter, exact=exact))

    @signature_of(THEIRS.facet)
    def facet(
        self,
        collection_name: str,
        key: str,
        facet_filter: models.Filter | None = None,
        limit: int = 10,
        exact: bool = False,  # noqa: ARG002  the counts are always exact
        **kwargs: Any,
    ) -> models.FacetResponse:
        """Count points per value of an indexed payload field, most frequent value first; the counts are exact."""
        check_options("facet", kwargs, "shard_key_selector")
        return self._collection(collection_name).facet(key, facet_filter, limit)

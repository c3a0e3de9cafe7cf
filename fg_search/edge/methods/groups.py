"""EdgeClient method for grouped search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qdrant_client import models

from fg_search.edge.convert.points import is_id
from fg_search.edge.grouping import find_groups
from fg_search.edge.instances import construct
from fg_search.edge.methods.base import check_options
from fg_search.edge.methods.points import PointMethods
from fg_search.edge.signatures import THEIRS, signature_of


class GroupMethods(PointMethods):
    """Search with hits grouped by a payload field."""

    @signature_of(THEIRS.query_points_groups)
    def query_points_groups(
        self,
        collection_name: str,
        group_by: str,
        query: Any = None,
        using: str | None = None,
        prefetch: models.Prefetch | list[models.Prefetch] | None = None,
        query_filter: models.Filter | None = None,
        search_params: models.SearchParams | None = None,
        limit: int = 10,
        group_size: int = 3,
        with_payload: bool | Sequence[str] | models.PayloadSelector = True,
        with_vectors: bool | Sequence[str] = False,
        score_threshold: float | None = None,
        with_lookup: str | models.WithLookup | None = None,
        lookup_from: models.LookupLocation | None = None,
        **kwargs: Any,
    ) -> models.GroupsResult:
        """Search, and return the best points for each value of a payload field.

        A point with a list of values is in several groups; a point without a string or integer in the field is in none.
        Prefetches return more candidates than their own limit: ``group_size`` times as many, and at least 10,000 if
        there are as many points.

        Args:
            collection_name: Collection to search in.
            group_by: Payload field, with dots for nested keys. A payload index on it speeds up the search.
            query: Vector (list, array, SparseVector), id of a point, any ``models.Query``, or None for all points.
            using: Name of the vector to search; the unnamed vector if None.
            prefetch: Queries whose results the query fuses or rescores.
            query_filter: Restricts the points, in prefetches too.
            search_params: Search parameters, such as ``hnsw_ef`` and ``exact``.
            limit: Maximum number of groups.
            group_size: Maximum number of hits per group.
            with_payload: Whether to return the payload, or which of its keys.
            with_vectors: Whether to return vectors, or the names of those to return.
            score_threshold: Worst score that a hit may have.
            with_lookup: Collection to look up a point in for each group; its id is the group's value.
            lookup_from: Collection and vector that ids in the query refer to, if not those being searched.
            **kwargs: Arguments for servers, ignored or refused; see the class.

        Raises:
            ValueError: The request is invalid.
        """
        check_options("query_points_groups", kwargs, "shard_key_selector")
        collection = self._collection(collection_name)
        request = construct(
            models.QueryRequest,
            query=query,
            using=using,
            prefetch=prefetch,
            filter=query_filter,
            params=search_params,
            with_payload=[group_by],
            score_threshold=score_threshold,
            lookup_from=lookup_from,
        )
        found = find_groups(
            lambda narrowed: self._query(collection_name, [narrowed])[0].points,
            request,
            group_by,
            limit,
            group_size,
            collection.info().points_count or 0,
        )
        ids = list({hit.id: None for hits in found.values() for hit in hits})
        records = {record.id: record for record in collection.retrieve(ids, with_payload, with_vectors)}
        lookups = self._lookups(with_lookup, list(found))
        return construct(
            models.GroupsResult,
            groups=[
                construct(
                    models.PointGroup,
                    id=value,
                    # a point deleted since the search is left out
                    hits=[
                        hit.model_copy(update={"payload": records[hit.id].payload, "vector": records[hit.id].vector})
                        for hit in hits
                        if hit.id in records
                    ],
                    lookup=lookups.get(value),
                )
                for value, hits in found.items()
            ],
        )

    def _lookups(
        self, with_lookup: str | models.WithLookup | None, values: list[int | str]
    ) -> dict[int | str, models.Record]:
        """Read the points whose ids are values of groups; values without such a point are left out."""
        if with_lookup is None:
            return {}
        if isinstance(with_lookup, str):
            with_lookup = models.WithLookup(collection=with_lookup)
        collection = self._collection(with_lookup.collection)
        with_payload = True if with_lookup.with_payload is None else with_lookup.with_payload
        found = {}
        for value in values:
            if is_id(value) and (records := collection.retrieve([value], with_payload, with_lookup.with_vectors)):
                found[value] = records[0]
        return found

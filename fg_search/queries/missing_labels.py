"""Candidates for labels that the index lacks: clusters of logged queries, with the nearest label of the index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.index.following import check_model
from fg_search.index.query_vectors import query_vectors
from fg_search.index.state import IndexState
from fg_search.layout.conditions import is_present
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, LABEL_KEY, PAYLOAD_KEY, TEXT_KEY
from fg_search.layout.points import features_of
from fg_search.queries.cluster_names import cluster_names
from fg_search.queries.clusters import MissingLabel, cluster_queries
from fg_search.queries.embeddings import base_embeddings
from fg_search.queries.log import sorted_queries

_MAX_CLUSTERED = 5_000
_BACKGROUND = 2_000  # items whose words the terms of a cluster stand out from
_QUERIES_PER_REQUEST = 128


async def missing_labels(
    state: IndexState, similarity: float, min_size: int, *, batch_size: int | None
) -> list[MissingLabel]:
    """Cluster the open queries of the log, see :meth:`fg_search.ConfidenceIndex.missing_labels`."""
    queries = (await sorted_queries(state, only_open=True))[:_MAX_CLUSTERED]
    base = await base_embeddings(state, queries, batch_size)
    items, _ = await state.engine.scroll(
        state.collection, scroll_filter=state.scope(), limit=_BACKGROUND, with_payload=[TEXT_KEY]
    )
    texts = [query.text for query in queries]
    background = [features_of(item)["text"] for item in items]
    clusters = await state.engine.work(
        partial(
            cluster_queries,
            base,
            texts,
            [query.count for query in queries],
            background=background,
            similarity=similarity,
            min_size=min_size,
        )
    )
    rows = [cluster.rows.tolist() for cluster in clusters]
    names = await state.engine.work(partial(cluster_names, rows, texts, background))
    nearest = await _nearest_labels(state, [cluster.centre for cluster in clusters])
    return [
        MissingLabel(
            name=name,
            terms=cluster.terms,
            size=cluster.size,
            cohesion=cluster.cohesion,
            nearest_label=label,
            nearest_similarity=similar,
            queries=tuple(queries[row] for row in cluster.rows),
        )
        for cluster, name, (label, similar) in zip(clusters, names, nearest, strict=True)
    ]


async def _nearest_labels(
    state: IndexState, centres: Sequence[npt.NDArray[np.float32]]
) -> list[tuple[str | None, float | None]]:
    """Label of the labelled item nearest to each centre, and its similarity. ``None`` if no item has a label."""
    if not centres:
        return []
    if state.metadata.has_base:
        vectors: list[Any] = [centre.tolist() for centre in centres]
    else:
        embeddings = await state.engine.work(lambda: state.features(np.stack(centres), "query"))
        vectors = [query.features for query in query_vectors(embeddings)]
    requests = [
        models.QueryRequest(
            query=vector,
            using=BASE_VECTOR if state.metadata.has_base else FEATURES_VECTOR,
            filter=state.scope(is_present(LABEL_KEY)),
            limit=1,
            with_payload=[PAYLOAD_KEY],
        )
        for vector in vectors
    ]
    nearest: list[tuple[str | None, float | None]] = []
    for page in pages(requests, _QUERIES_PER_REQUEST):
        for response in await state.engine.query_batch_points(state.collection, page):
            check_model(state, response.points)
            item = response.points[0] if response.points else None
            nearest.append((None, None) if item is None else (features_of(item)["label"], item.score))
    return nearest

"""Evidence that a top hit is right: features of the best hits, from which a calibration learns a confidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fg_search.confidence.result_features import EVIDENCE_HITS, result_features
from fg_search.engine.port import PointId
from fg_search.index.calibration import RelevantBy
from fg_search.index.query_vectors import Queries, QueryVectors
from fg_search.index.retrieval import check_findable, find_hits, ranking, request_chunks
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_results import Hit
from fg_search.index.state import IndexState
from fg_search.layout.keys import FEATURES_VECTOR
from fg_search.layout.points import id_of, vectors_of


async def evidence(
    state: IndexState, queries: Queries, options: SearchOptions, relevant_by: RelevantBy
) -> tuple[list[tuple[Hit, ...]], dict[str, npt.NDArray[np.float64]]]:
    """Find the best hits of each query, and the features of its top hit.

    Returns:
        The hits of each query, and the features of the queries that have hits, in order.

    Raises:
        EmptyIndexError: If the index is empty.
        ValueError: If no query has a hit.
    """
    found, features = await evidence_if_any(state, queries, options, relevant_by)
    if not features:
        await check_findable(state, options)
        raise ValueError("no query has a hit: do the filters leave anything?")
    return found, features


async def evidence_if_any(
    state: IndexState, queries: Queries, options: SearchOptions, relevant_by: RelevantBy
) -> tuple[list[tuple[Hit, ...]], dict[str, npt.NDArray[np.float64]]]:
    """As :func:`evidence`, but without features if no query has a hit."""
    rank_by = ranking(state, options.rank_by)
    best = replace(options, limit=EVIDENCE_HITS, offset=0)
    found: list[tuple[Hit, ...]] = []
    tables = []
    for chunk in request_chunks(range(len(queries.vectors))):
        vectors = [queries.vectors[i] for i in chunk]
        hits_of_each = await find_hits(state, vectors, best, rank_by)
        answered = [i for i, hits in enumerate(hits_of_each) if hits]
        if answered:
            features = await top_hit_features(
                state,
                [vectors[i] for i in answered],
                [hits_of_each[i] for i in answered],
                rank_by=rank_by,
                relevant_by=relevant_by,
            )
            tables.append(features)
        found += hits_of_each
    return found, joined(tables)


def joined(tables: Sequence[Mapping[str, npt.NDArray[np.float64]]]) -> dict[str, npt.NDArray[np.float64]]:
    """Features of all results of several tables of them; none without a table."""
    return {name: np.concatenate([table[name] for table in tables]) for name in (tables[0] if tables else ())}


async def top_hit_features(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    found: Sequence[tuple[Hit, ...]],
    *,
    rank_by: RankBy,
    relevant_by: RelevantBy,
) -> dict[str, npt.NDArray[np.float64]]:
    """Features of n queries' top hits, see :func:`fg_search.confidence.result_features`.

    Args:
        state: The index.
        vectors: Vectors of the n queries.
        found: Best hits of each query, at least one.
        rank_by: Ranking of the hits.
        relevant_by: Whether a hit is right by its label or by its id.
    """
    scores = np.full((len(found), EVIDENCE_HITS), np.nan)
    labels = np.full((len(found), EVIDENCE_HITS), None, dtype=object)
    for i, hits in enumerate(found):
        best = hits[:EVIDENCE_HITS]
        scores[i, : len(best)] = [hit.ranking_score for hit in best]
        labels[i, : len(best)] = [hit.label for hit in best]
    if rank_by != "base":
        similarity = [hits[0].score for hits in found]
    else:
        similarity = await _similarities(state, vectors, [hits[0] for hits in found])
    familiarity = [query.familiarity for query in vectors if query.familiarity is not None]
    return result_features(
        scores,
        similarity=similarity,
        query_confidence=[query.confidence for query in vectors],
        hit_confidence=[hits[0].confidence for hits in found],
        query_familiarity=familiarity or None,
        labels=labels if relevant_by == "label" else None,
    )


async def _similarities(state: IndexState, vectors: Sequence[QueryVectors], hits: Sequence[Hit]) -> list[float]:
    """Feature-group similarity of each query and its top hit, which something else has ranked."""
    ids = [state.point_id(hit.id) for hit in hits]
    records = await state.engine.retrieve(
        state.collection,
        list(dict.fromkeys(ids)),
        with_payload=False,
        with_vectors=[FEATURES_VECTOR],
        tenant=state.chosen_tenant,
    )
    features: dict[PointId, dict[int, float]] = {}
    for record in records:
        vector = vectors_of(record)[FEATURES_VECTOR]
        features[id_of(record)] = dict(zip(vector.indices, vector.values, strict=True))
    # a point that was deleted meanwhile is similar to nothing
    return [
        sum(value * features.get(point, {}).get(index, 0.0) for index, value in _entries(query))
        for query, point in zip(vectors, ids, strict=True)
    ]


def _entries(query: QueryVectors) -> Iterable[tuple[int, float]]:
    return zip(query.features.indices, query.features.values, strict=True)

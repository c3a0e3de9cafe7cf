"""From encoded queries to results, the engine asked for many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.confidence.result_features import EVIDENCE_HITS, result_features
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.engine.port import PointId
from fg_search.errors import EmptyIndexError
from fg_search.index.abstention import judge_hits, judge_query
from fg_search.index.calibration import Calibration, RelevantBy, required
from fg_search.index.query_vectors import Queries, QueryVectors
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_plan import min_confidence_condition, plan, to_hits
from fg_search.index.search_results import GroupedResult, Hit, HitGroup, SearchResult
from fg_search.index.set_aside import NOT_SET_ASIDE
from fg_search.index.state import IndexState
from fg_search.layout.keys import FEATURES_VECTOR, PAYLOAD_KEY
from fg_search.layout.points import id_of, payload_of, vectors_of
from fg_search.validation import check_count

QUERIES_PER_REQUEST = 128


async def search(state: IndexState, queries: Queries, options: SearchOptions) -> list[SearchResult]:
    """Results of encoded queries.

    Raises:
        EmptyIndexError: If nothing was added yet.
        NotCalibratedError: If a target precision is asked for that nothing is known about.
        UncertainQueryError: At the first uncertain query, if the options say so.
    """
    judgement = _Judgement.of(state, options)
    results = [
        judge_query(text, query.confidence, options, unread=query.unread)
        for text, query in zip(queries.texts, queries.vectors, strict=True)
    ]
    for chunk in _chunks([i for i, result in enumerate(results) if result.decision == "answer"]):
        vectors = [queries.vectors[i] for i in chunk]
        found = await _find(state, vectors, options, judgement)
        confidences = await _confidences(state, vectors, found, judgement)
        for i, hits, confidence in zip(chunk, found, confidences, strict=True):
            page = _page(hits, options, judgement)
            results[i] = judge_hits(results[i], page, confidence, judgement.threshold, options)
    if not any(result.hits for result in results):
        await check_not_empty(state)
    return results


async def group(
    state: IndexState, query: Queries, options: SearchOptions, group_by: str, group_size: int
) -> GroupedResult:
    """The hits of one encoded query by the value of a payload field, as the engine groups them."""
    check_count(group_size, name="group_size")
    (vectors,), (text,) = query.vectors, query.texts
    judged = judge_query(text, vectors.confidence, options, unread=vectors.unread)
    if judged.decision == "abstain":
        return GroupedResult((), judged)
    judgement = _Judgement.of(state, options)
    request = plan(
        vectors, replace(options, limit=options.limit * group_size), judgement.rank_by, _scope(state, options)
    )
    found = await state.engine.query_points_groups(
        state.collection,
        group_by=group_by,
        query=request.query,
        using=request.using,
        prefetch=request.prefetch,
        query_filter=request.filter,
        limit=options.limit,
        group_size=group_size,
    )
    check_model(state, [point for group in found for point in group.hits])
    groups = tuple(HitGroup(group.id, to_hits(group.hits, vectors, options)) for group in found)
    hits = tuple(hit for group in groups for hit in group.hits)
    confidence: float | None = None
    if judgement.calibration is not None and hits:  # what is known is about the best hits, whatever their group
        best = await _find(state, [vectors], replace(options, limit=EVIDENCE_HITS), judgement)
        (confidence,) = await _confidences(state, [vectors], best, judgement)
    if not hits:
        await check_not_empty(state)
    result = judge_hits(judged, hits, confidence, judgement.threshold, options)
    if not hits:
        reason = f"{judged.reason}; no point that passes the filters has a text or an integer in {group_by!r}"
        result = replace(result, reason=reason)
    return GroupedResult(groups if result.hits else (), result)


async def evidence(
    state: IndexState, queries: Queries, options: SearchOptions, relevant_by: RelevantBy
) -> tuple[list[tuple[Hit, ...]], dict[str, npt.NDArray[np.float64]]]:
    """The best hits of each query, and what they say of the top hit; at least one query has hits.

    Returns:
        The hits, and the features of those queries that have any, in order.
    """
    judgement = _Judgement(ranking(state, options.rank_by), None, None)
    found: list[tuple[Hit, ...]] = []
    tables = []
    for chunk in _chunks(range(len(queries.vectors))):
        vectors = [queries.vectors[i] for i in chunk]
        hits = await _find(state, vectors, replace(options, limit=EVIDENCE_HITS, offset=0), judgement)
        some = [i for i, listed in enumerate(hits) if listed]
        if some:
            chosen, lists = [vectors[i] for i in some], [hits[i] for i in some]
            tables.append(await _features(state, chosen, lists, judgement.rank_by, relevant_by))
        found += hits
    if not tables:
        await check_not_empty(state)
        raise ValueError("no query has a hit: do the filters leave anything?")
    return found, {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def ranking(state: IndexState, rank_by: RankBy) -> RankBy:
    """What ``"auto"`` stands for. Unsupervised heads do not out-rank the base embeddings; they serve confidence.

    Raises:
        ValueError: If points carry no base embeddings to rank by.
    """
    if rank_by == "auto":
        return "base" if state.metadata.supervision in ("clusters", "pairs") and state.metadata.has_base else "features"
    if rank_by != "features" and not state.metadata.has_base:
        raise ValueError(f"{state.name} was made without base vectors, so rank_by={rank_by!r} is not possible")
    return rank_by


async def check_not_empty(state: IndexState) -> None:
    """Make sure that there is something to find.

    Raises:
        EmptyIndexError: If there is nothing.
    """
    if not await state.engine.count(state.collection, state.scope()):
        raise EmptyIndexError(f"{state.name} is empty; fill it with index.add(…) or `fg-search index`")


def check_model(state: IndexState, points: Sequence[models.ScoredPoint]) -> None:
    """Make sure that what was found was embedded by the encoder that embedded the query.

    Raises:
        ModelMismatchError: If another process re-encoded the index since it was opened.
    """
    if any(payload_of(point)[PAYLOAD_KEY]["model"] != state.metadata.fingerprint for point in points):
        raise state.was_re_encoded()


@dataclass(frozen=True)
class _Judgement:
    """How results of a search are ranked and judged."""

    rank_by: RankBy
    calibration: Calibration | None
    threshold: PrecisionThreshold | None

    @classmethod
    def of(cls, state: IndexState, options: SearchOptions) -> _Judgement:
        rank_by = ranking(state, options.rank_by)
        known = state.calibration
        if options.target_precision is not None:
            known = required(known, options, rank_by, state.name)
            return cls(rank_by, known, known.threshold(options.target_precision))
        return cls(rank_by, known if known is not None and known.fits(options, rank_by) else None, None)


def _scope(state: IndexState, options: SearchOptions) -> models.Filter | None:
    found = None if state.metadata.set_aside is None else NOT_SET_ASIDE
    return state.scope(found, min_confidence_condition(options), options.query_filter)


async def _find(
    state: IndexState, vectors: list[QueryVectors], options: SearchOptions, judgement: _Judgement
) -> list[tuple[Hit, ...]]:
    """Hits of each query, the page that was asked for and what comes before it where a confidence needs that."""
    if judgement.calibration is not None:
        options = replace(options, limit=max(options.offset + options.limit, EVIDENCE_HITS), offset=0)
    scope = _scope(state, options)
    requests = [plan(query, options, judgement.rank_by, scope) for query in vectors]
    responses = await state.engine.query_batch_points(state.collection, requests)
    check_model(state, [point for response in responses for point in response.points])
    return [to_hits(response.points, query, options) for query, response in zip(vectors, responses, strict=True)]


def _page(hits: tuple[Hit, ...], options: SearchOptions, judgement: _Judgement) -> tuple[Hit, ...]:
    if judgement.calibration is None:
        return hits
    return hits[options.offset : options.offset + options.limit]


async def _confidences(
    state: IndexState,
    vectors: list[QueryVectors],
    found: list[tuple[Hit, ...]],
    judgement: _Judgement,
) -> list[float | None]:
    """The calibrated probability that each query's top hit is right; 0 if it has none."""
    calibration = judgement.calibration
    if calibration is None:
        return [None] * len(vectors)
    some = [i for i, hits in enumerate(found) if hits]
    confidences: list[float | None] = [0.0] * len(vectors)
    if some:
        features = await _features(
            state, [vectors[i] for i in some], [found[i] for i in some], judgement.rank_by, calibration.relevant_by
        )
        for i, confidence in zip(some, calibration.confidences(features).tolist(), strict=True):
            confidences[i] = confidence
    return confidences


async def _features(
    state: IndexState,
    vectors: list[QueryVectors],
    found: list[tuple[Hit, ...]],
    rank_by: RankBy,
    relevant_by: RelevantBy,
) -> dict[str, npt.NDArray[np.float64]]:
    """What is known about each query's top hit; every query has one."""
    scores = np.full((len(found), EVIDENCE_HITS), np.nan)
    labels = np.full((len(found), EVIDENCE_HITS), None, dtype=object)
    for i, hits in enumerate(found):
        listed = hits[:EVIDENCE_HITS]
        scores[i, : len(listed)] = [hit.weighted_score for hit in listed]
        labels[i, : len(listed)] = [hit.label for hit in listed]
    if rank_by == "features":
        similarity = [hits[0].score for hits in found]
    else:
        similarity = await _similarities(state, vectors, [hits[0] for hits in found])
    return result_features(
        scores,
        similarity=similarity,
        query_confidence=[query.confidence for query in vectors],
        hit_confidence=[hits[0].confidence for hits in found],
        labels=labels if relevant_by == "label" else None,
    )


async def _similarities(state: IndexState, vectors: list[QueryVectors], hits: list[Hit]) -> list[float]:
    """Feature-group similarity of each query and its top hit, where something else ranked them."""
    ids = [state.point_id(hit.id) for hit in hits]
    records = await state.engine.retrieve(
        state.collection, list(dict.fromkeys(ids)), with_payload=False, with_vectors=[FEATURES_VECTOR]
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


def _entries(query: QueryVectors) -> zip[tuple[int, float]]:
    return zip(query.features.indices, query.features.values, strict=True)


def _chunks(items: Sequence[int]) -> list[Sequence[int]]:
    return [items[start : start + QUERIES_PER_REQUEST] for start in range(0, len(items), QUERIES_PER_REQUEST)]

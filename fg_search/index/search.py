"""Results of encoded queries: hits, confidence, and the decision to answer, to abstain or to clarify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from fg_search.confidence.label_sets import LabelCutoff
from fg_search.confidence.result_features import EVIDENCE_HITS
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.index.abstention import assess_hits, assess_query, settle
from fg_search.index.calibration import Calibration, check_label_sets, required
from fg_search.index.few_conditions import in_scope
from fg_search.index.grouped_points import group_points
from fg_search.index.label_choices import with_choices
from fg_search.index.query_vectors import Queries, QueryVectors
from fg_search.index.result_evidence import top_hit_features
from fg_search.index.retrieval import (
    check_findable,
    find_hits,
    ranked_hits,
    ranking,
    request_chunks,
)
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_results import GroupedResult, Hit, HitGroup, SearchResult
from fg_search.index.state import IndexState
from fg_search.index.tracing import span
from fg_search.validation import check_count


async def search(state: IndexState, queries: Queries, options: SearchOptions) -> list[SearchResult]:
    """Search for encoded queries.

    Raises:
        EmptyIndexError: If the index is empty.
        NotCalibratedError: If a target precision is asked for and the index was not calibrated for such searches.
        UncertainQueryError: At the first uncertain query, if the options say so.
    """
    if options.on_uncertain == "clarify":
        return settle(await flagged(state, queries, options), options)
    return await _search(state, queries, options, _Policy.of(state, options))


async def flagged(state: IndexState, queries: Queries, options: SearchOptions) -> list[SearchResult]:
    """Results whose uncertain ones are only flagged, with labels to choose from if the options are to clarify."""
    return await _search(state, queries, replace(options, on_uncertain="flag"), _Policy.of(state, options))


async def _search(state: IndexState, queries: Queries, options: SearchOptions, policy: _Policy) -> list[SearchResult]:
    results = _assessed(queries, options, policy)
    doubtful: dict[int, tuple[Hit, ...]] = {}
    for chunk in request_chunks([i for i, result in enumerate(results) if result.decision == "answer"]):
        vectors = [queries.vectors[i] for i in chunk]
        with span("engine", queries=len(chunk), index=state.collection, rank_by=policy.rank_by):
            found = await find_hits(state, vectors, _with_evidence(options, policy), policy.rank_by)
        with span("decide", queries=len(chunk), calibrated=policy.calibration is not None):
            decided = await _decided(state, vectors, found, [results[i] for i in chunk], options, policy)
        for i, hits, result in zip(chunk, found, decided, strict=True):
            if hits and result.uncertain and not results[i].uncertain:
                doubtful[i] = hits
            results[i] = result
    if policy.cutoff is not None:
        for chunk in request_chunks(list(doubtful)):
            asked = [queries.vectors[i] for i in chunk], [doubtful[i] for i in chunk], [results[i] for i in chunk]
            chosen = await with_choices(state, *asked, policy.cutoff, options, policy.rank_by)
            for i, result in zip(chunk, chosen, strict=True):
                results[i] = result
    if options.explain:
        results = await _explained(state, queries.vectors, options, results)
    if not any(result.hits for result in results):
        await check_findable(state, options)
    return results


async def _decided(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    found: Sequence[tuple[Hit, ...]],
    assessed: Sequence[SearchResult],
    options: SearchOptions,
    policy: _Policy,
) -> list[SearchResult]:
    """Decisions by the hits of queries that were not abstained from by themselves."""
    if policy.calibration is not None:
        assessed = await _with_confidence(state, vectors, found, assessed, policy.calibration, policy.rank_by)
    return [
        assess_hits(
            result,
            _page(hits, options, policy),
            policy.threshold_of(hits, state.chosen_tenant),
            options,
            policy.calibration,
        )
        for hits, result in zip(found, assessed, strict=True)
    ]


async def group(
    state: IndexState, query: Queries, options: SearchOptions, group_by: str, group_size: int
) -> GroupedResult:
    """Search for one encoded query, with hits grouped by the value of a payload field."""
    if options.on_uncertain == "clarify":
        return settle_groups(await flagged_groups(state, query, options, group_by, group_size), options)
    return await _group(state, query, options, _Policy.of(state, options), group_by, group_size)


async def flagged_groups(
    state: IndexState, query: Queries, options: SearchOptions, group_by: str, group_size: int
) -> GroupedResult:
    """A grouped result that is only flagged if it is uncertain, see :func:`flagged`."""
    lenient = replace(options, on_uncertain="flag")
    return await _group(state, query, lenient, _Policy.of(state, options), group_by, group_size)


def settle_groups(found: GroupedResult, options: SearchOptions) -> GroupedResult:
    """Turn a flagged result into the one that the options ask for.

    Raises:
        UncertainQueryError: If it is uncertain and the options say to raise.
    """
    (result,) = settle([found.result], options)
    return GroupedResult(found.groups if result.hits else (), result)


async def _group(
    state: IndexState, query: Queries, options: SearchOptions, policy: _Policy, group_by: str, group_size: int
) -> GroupedResult:
    check_count(group_size, name="group_size")
    (vectors,), (assessed,) = query.vectors, _assessed(query, options, policy)
    if options.explain:
        (assessed,) = await _explained(state, [vectors], options, [assessed])
    if assessed.decision == "abstain":
        return GroupedResult((), assessed)
    find = partial(group_points, state, vectors, options, policy.rank_by, group_by, group_size)
    found = await in_scope(state, options, find)
    groups = tuple(HitGroup(value, ranked_hits(points, vectors)) for value, points in found.items())
    hits = tuple(hit for group in groups for hit in group.hits)
    threshold = policy.threshold
    best: list[tuple[Hit, ...]] = []
    if policy.calibration is not None and hits:  # the calibration is about the best hits, whatever their group
        best = await find_hits(state, [vectors], replace(options, limit=EVIDENCE_HITS, offset=0), policy.rank_by)
        (assessed,) = await _with_confidence(state, [vectors], best, [assessed], policy.calibration, policy.rank_by)
        threshold = policy.threshold_of(best[0], state.chosen_tenant)
    if not hits:
        await check_findable(state, options)
    result = assess_hits(assessed, hits, threshold, options, policy.calibration)
    if policy.cutoff is not None and best and result.uncertain and not assessed.uncertain:
        (result,) = await with_choices(state, [vectors], best, [result], policy.cutoff, options, policy.rank_by)
    if not hits:
        reason = f"{assessed.reason}; no point that passes the filters has a text or an integer in {group_by!r}"
        result = replace(result, reason=reason)
    return GroupedResult(groups if result.hits else (), result)


def _assessed(queries: Queries, options: SearchOptions, policy: _Policy) -> list[SearchResult]:
    """Decisions by the queries alone. The results have no hits yet."""
    return [
        assess_query(
            text,
            query.answerability,
            options,
            familiarity=query.familiarity,
            unread=query.unread,
            is_calibrated=policy.calibration is not None,
        )
        for text, query in zip(queries.texts, queries.vectors, strict=True)
    ]


async def _explained(
    state: IndexState, vectors: Sequence[QueryVectors], options: SearchOptions, results: Sequence[SearchResult]
) -> list[SearchResult]:
    """Results with the item nearest to each query by base embeddings, if the index has these."""
    if not state.metadata.has_base:
        return [*results]
    one = SearchOptions(limit=1, query_filter=options.query_filter)
    nearest: list[tuple[Hit, ...]] = []
    for chunk in request_chunks(range(len(vectors))):
        nearest += await find_hits(state, [vectors[i] for i in chunk], one, "base")
    return [replace(result, nearest=hits[0] if hits else None) for result, hits in zip(results, nearest, strict=True)]


@dataclass(frozen=True)
class _Policy:
    """How a search ranks hits, and when it answers.

    Attributes:
        rank_by: Ranking, ``"auto"`` resolved.
        calibration: Calibration that fits the search, ``None`` if there is none.
        threshold: Threshold for the target precision, ``None`` without a target.
        cutoff: Least probability of the labels that an uncertain query may be about, ``None`` unless it is to clarify.
        by_group: Thresholds of labels or tenants that were asked for already.
    """

    rank_by: RankBy
    calibration: Calibration | None
    threshold: PrecisionThreshold | None
    cutoff: LabelCutoff | None = None
    by_group: dict[str, PrecisionThreshold] = field(default_factory=dict)

    def threshold_of(self, best: Sequence[Hit], tenant: str | None) -> PrecisionThreshold | None:
        """Threshold for a query with these best hits: that of its group, if the promise is by group."""
        if self.threshold is None or self.calibration is None or not best:
            return self.threshold
        group = self.calibration.group_of(best[0].label, tenant)
        if group is None:
            return self.threshold
        if group not in self.by_group:
            self.by_group[group] = self.calibration.threshold(self.threshold.target, group=group, tenant=tenant)
        return self.by_group[group]

    @classmethod
    def of(cls, state: IndexState, options: SearchOptions) -> _Policy:
        rank_by = ranking(state, options.rank_by)
        known = state.calibration
        if options.target_precision is not None:
            known = required(known, options, rank_by, state.name)
            threshold, cutoff = known.threshold(options.target_precision, tenant=state.chosen_tenant), None
            if options.on_uncertain == "clarify":
                check_label_sets(known, state.name)
                cutoff = known.label_cutoff(options.label_miss, threshold)
            return cls(rank_by, known, threshold, cutoff)
        return cls(rank_by, known if known is not None and known.fits(options, rank_by) else None, None)


def _with_evidence(options: SearchOptions, policy: _Policy) -> SearchOptions:
    """Options that fetch the first hits as well, where a calibrated confidence depends on them."""
    if policy.calibration is None:
        return options
    return replace(options, limit=max(options.offset + options.limit, EVIDENCE_HITS), offset=0)


def _page(hits: tuple[Hit, ...], options: SearchOptions, policy: _Policy) -> tuple[Hit, ...]:
    """Hits that were asked for, out of those fetched."""
    if policy.calibration is None:
        return hits
    return hits[options.offset : options.offset + options.limit]


async def _with_confidence(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    found: Sequence[tuple[Hit, ...]],
    results: Sequence[SearchResult],
    calibration: Calibration,
    rank_by: RankBy,
) -> list[SearchResult]:
    """Results with the calibrated probability that each query's top hit is right. It is 0 for one without hits."""
    answered = [i for i, hits in enumerate(found) if hits]
    known = [replace(result, confidence=0.0) for result in results]
    if answered:
        features = await top_hit_features(
            state,
            [vectors[i] for i in answered],
            [found[i] for i in answered],
            rank_by=rank_by,
            relevant_by=calibration.relevant_by,
        )
        evidence = calibration.evidence(features)
        confidences = calibration.confidences(evidence).tolist()
        pairs = zip(evidence.answerable.tolist(), evidence.right.tolist(), strict=True)
        for i, confidence, pair in zip(answered, confidences, pairs, strict=True):
            known[i] = replace(known[i], confidence=confidence, evidence=pair)
    return known

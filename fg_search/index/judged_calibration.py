"""Calibration of an index on judged queries, those of one tenant or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fg_search.confidence.group_promise import JudgedGroups, PromiseBy
from fg_search.index.calibration import Calibration, RelevantBy
from fg_search.index.held_out import first_phrasings, held_out
from fg_search.index.query_vectors import Queries, Query, encode_queries
from fg_search.index.relevance import JudgedQueries, Relevant, in_pairs, judge, learn
from fg_search.index.retrieval import uncalibrated_ranking
from fg_search.index.search_options import SearchOptions
from fg_search.index.state import GivenEmbeddings, IndexState
from fg_search.validation import check_list, is_missing


async def calibrate_on(
    state: IndexState,
    queries: Sequence[Query],
    relevant: Sequence[Relevant],
    relevant_by: Literal["auto", "label", "id"],
    options: SearchOptions,
    embeddings: GivenEmbeddings,
    *,
    relevant_within: int,
    promise_by: PromiseBy | None,
    tenants: Sequence[str] | None,
    seed: int,
    reviewer: str,
    batch_size: int | None,
    show_progress: bool | None,
) -> Calibration:
    """Calibrate the index, see :meth:`fg_search.ConfidenceIndex.calibrate`."""
    _check_promise_by(promise_by, tenants)
    if tenants is not None:
        _check_tenants(state, queries, relevant, tenants)
    queries, relevant = in_pairs(queries, relevant)
    if tenants is None:
        queries, relevant, embeddings = held_out(state, queries, relevant, embeddings)
    else:
        queries, pairs, embeddings = held_out(state, queries, list(zip(relevant, tenants, strict=True)), embeddings)
        relevant, tenants = [right for right, _ in pairs], [tenant for _, tenant in pairs]
    encoded = await encode_queries(state, queries, embeddings, batch_size=batch_size, show_progress=show_progress)
    chosen = replace(options, rank_by=uncalibrated_ranking(state, options.rank_by))
    if tenants is None:
        judged = await judge(state, encoded, relevant, relevant_by, chosen, within=relevant_within, with_labels=True)
        values: Sequence[str | None] = judged.labels
    else:
        judged, of_tenant = await _judge_by_tenant(
            state, encoded, relevant, tenants, relevant_by, chosen, within=relevant_within
        )
        values = of_tenant if promise_by == "tenant" else judged.labels
    groups = None if promise_by is None else JudgedGroups.of(promise_by, values)
    texts = first_phrasings(queries)
    how: dict[str, Any] = {"within": relevant_within, "groups": groups, "texts": texts}
    return await learn(state, judged, chosen, seed, reviewer=reviewer, **how)


def _check_promise_by(promise_by: PromiseBy | None, tenants: Sequence[str] | None) -> None:
    if promise_by not in (None, "label", "tenant"):
        raise ValueError(f"promise_by must be 'label', 'tenant' or None, got {promise_by!r}")
    if promise_by == "tenant" and tenants is None:
        raise ValueError("promise_by='tenant' takes the tenant of each query; give tenants=[…]")


def _check_tenants(
    state: IndexState, queries: Sequence[Query], relevant: Sequence[Relevant], tenants: Sequence[str]
) -> None:
    if state.chosen_tenant is not None:
        raise ValueError(f"the tenant {state.chosen_tenant!r} was chosen already; give tenants to the index of all")
    check_list(tenants, "tenants", ordered=True)
    check_list(relevant, "relevant", ordered=True)
    if not len(tenants) == len(relevant) == len(queries):
        raise ValueError(
            f"tenants has {len(tenants)} items, relevant {len(relevant)}, queries {len(queries)}; give one of each for "
            "each query"
        )


async def _judge_by_tenant(
    state: IndexState,
    queries: Queries,
    relevant: Sequence[Relevant],
    tenants: Sequence[str],
    relevant_by: Literal["auto", "label", "id"],
    options: SearchOptions,
    *,
    within: int,
) -> tuple[JudgedQueries, list[str]]:
    """Judge each query among the items of its tenant.

    Returns:
        The judged queries, those of a tenant together, and their tenants.
    """
    rows: dict[str, list[int]] = {}
    for i, tenant in enumerate(tenants):
        rows.setdefault(tenant, []).append(i)
    kind: Literal["auto"] | RelevantBy = relevant_by
    parts, names = [], []
    # a tenant whose queries have no answer does not tell labels from ids
    for tenant in sorted(rows, key=lambda name: not any(_has_answer(relevant[i]) for i in rows[name])):
        of_tenant = rows[tenant]
        own = Queries([queries.texts[i] for i in of_tenant], [queries.vectors[i] for i in of_tenant])
        right = [relevant[i] for i in of_tenant]
        part = await judge(state.of_tenant(tenant), own, right, kind, options, within=within, with_labels=True)
        kind = part.relevant_by
        parts.append(part)
        names += [tenant] * len(of_tenant)
    return _joined(parts), names


def _has_answer(relevant: Relevant) -> bool:
    return not is_missing(relevant) and relevant not in ([], ())


def _joined(parts: Sequence[JudgedQueries]) -> JudgedQueries:
    def each(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    def listed(name: str) -> list[Any]:
        return [value for part in parts for value in getattr(part, name)]

    return JudgedQueries(
        parts[0].relevant_by,
        correct=each("correct"),
        in_scope=each("in_scope"),
        has_hit=each("has_hit"),
        score=each("score"),
        query_confidence=each("query_confidence"),
        features={name: np.concatenate([part.features[name] for part in parts]) for name in parts[0].features},
        wanted=listed("wanted"),
        found=listed("found"),
        top=listed("top"),
        right_label=None if any(part.right_label is None for part in parts) else each("right_label"),
    )

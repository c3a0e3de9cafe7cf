"""Queue of items that a person should look at, in the engine's own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.index.familiarity import check_familiarity
from fg_search.index.few_conditions import told_of_conditions
from fg_search.index.retrieval import check_not_empty
from fg_search.index.scores import check_items_scored, check_labels_scored
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals, is_empty
from fg_search.layout.keys import (
    BASE_VECTOR,
    CONFIDENCE_KEY,
    DIFFER_KEY,
    FAMILIARITY_KEY,
    FEATURES_VECTOR,
    LABEL_KEY,
    OPINION_ON_KEY,
    PAYLOAD_KEY,
    REVIEW_SCORE_KEY,
    REVIEWED_ACTION_KEY,
    REVIEWER_KEY,
    SUGGESTED_KEY,
    UNREAD_KEY,
    review_key,
)
from fg_search.layout.points import features_of, id_of, vectors_of
from fg_search.review.confused_labels import UNDECIDED
from fg_search.review.decisions import SETTLING
from fg_search.review.evidence import with_evidence
from fg_search.review.issues.diversity import spread_copies
from fg_search.review.issues.marks import MARKS, named, standing_partners
from fg_search.review.items import ReviewItem
from fg_search.review.queued_items import QueuedItem, reason_of, to_review_item
from fg_search.review.review_options import ReviewOptions

_LOW_FIRST: dict[str, str] = {  # what is low is urgent
    "ambiguous": CONFIDENCE_KEY,
    "unfamiliar": FAMILIARITY_KEY,
    "unsure": CONFIDENCE_KEY,
    "second": CONFIDENCE_KEY,
    "differ": CONFIDENCE_KEY,
}
_SCORE_KEYS: dict[str, str] = {
    **_LOW_FIRST,
    "contradicted": REVIEW_SCORE_KEY,
    "unread": UNREAD_KEY,
    **{kind: review_key(mark.score) for kind, mark in MARKS.items()},
}
_ORDERS: dict[str, models.OrderBy | None] = {
    **{kind: models.OrderBy(key=key, direction=models.Direction.ASC) for kind, key in _LOW_FIRST.items()},
    "contradicted": models.OrderBy(key=REVIEW_SCORE_KEY, direction=models.Direction.DESC),
    "unread": models.OrderBy(key=UNREAD_KEY, direction=models.Direction.DESC),
    **{
        kind: models.OrderBy(
            key=review_key(mark.order), direction=models.Direction.ASC if mark.ascending else models.Direction.DESC
        )
        for kind, mark in MARKS.items()
    },
    "second": None,  # by id, which is about at random: what two say of these stands for all that was decided
}
_UNSURE = equals(REVIEWED_ACTION_KEY, "unsure")
_DIFFER = equals(DIFFER_KEY, True)
_SETTLED = models.FieldCondition(key=REVIEWED_ACTION_KEY, match=models.MatchAny(any=[*SETTLING]))


async def listed(state: IndexState, options: ReviewOptions) -> list[ReviewItem]:
    """List the most urgent items that nobody has decided about yet, or that a reviewer was unsure of.

    Raises:
        EmptyIndexError: If the index is empty.
        NotScoredError: If the kind needs scores and there are none yet, or no item has a familiarity.
    """
    await _check_scored(state, options.kind)
    with told_of_conditions(state, options.query_filter):
        found = await _find(state, options)
    if not found:
        await check_not_empty(state)
        if options.kind == "unfamiliar":
            await check_familiarity(state)
    if options.diverse and found:
        found = await _spread(state, found, options.wanted)
    found = found[options.offset : options.wanted]
    if not options.needs_payloads:
        found = await _with_payloads(state, found)
    items = [to_review_item(queued, options.kind, state.metadata) for queued in found]
    if options.evidence and items:
        items = await with_evidence(state, items, [queued.id for queued in found], options.evidence)
    return [replace(item, reason=reason_of(item, queued)) for item, queued in zip(items, found, strict=True)]


async def _find(state: IndexState, options: ReviewOptions) -> list[QueuedItem]:
    """First items of the list, without those whose scores no longer hold."""
    condition = _condition(state, options)
    limit = options.fetched
    while True:
        records, _ = await state.engine.scroll(
            state.collection,
            scroll_filter=condition,
            limit=limit,
            order_by=_ORDERS[options.kind],
            with_payload=options.needs_payloads,
            with_vectors=[FEATURES_VECTOR] if options.needs_payloads else False,
        )
        found = await _standing(state, options, records)
        if len(found) >= options.fetched or len(records) < limit:
            return found[: options.fetched]
        limit *= 2


async def count(state: IndexState, options: ReviewOptions) -> int:
    """Number of items on a list, as :meth:`fg_search.ConfidenceIndex.count_review` has it.

    Raises:
        NotScoredError: If the kind needs scores and there are none yet.
    """
    await _check_scored(state, options.kind)
    with told_of_conditions(state, options.query_filter):
        return await state.engine.count(state.collection, _condition(state, options))


async def _check_scored(state: IndexState, kind: str) -> None:
    if kind == "contradicted":
        await check_labels_scored(state)
    elif kind in MARKS:
        await check_items_scored(state)


def _condition(state: IndexState, options: ReviewOptions) -> models.Filter | None:
    """Filter for all items of a list, and for those that :func:`_standing` leaves out."""
    stages: dict[str, models.Condition] = {
        "second": _second(options.reviewer),
        "unsure": _UNSURE,
        "differ": _DIFFER,
    }
    return state.scope(stages.get(options.kind, UNDECIDED), *_conditions(options), options.query_filter)


def _second(reviewer: str | None) -> models.Filter:
    """Items that one person alone decided about, who is not the reviewer."""
    own: list[models.Condition] = [] if reviewer is None else [equals(REVIEWER_KEY, reviewer)]
    return models.Filter(must=[_SETTLED, is_empty(OPINION_ON_KEY), is_empty(DIFFER_KEY)], must_not=own)


def _conditions(options: ReviewOptions) -> Iterator[models.Condition]:
    for key, value in ((LABEL_KEY, options.label), (SUGGESTED_KEY, options.suggested)):
        if value is not None:
            yield equals(key, value)
    key, least = _SCORE_KEYS[options.kind], options.min_score
    if options.kind not in _LOW_FIRST:
        yield models.FieldCondition(key=key, range=models.Range(gte=least or 0.0))
    elif least is not None:
        yield models.FieldCondition(key=key, range=models.Range(lte=1 - least))


async def _standing(state: IndexState, options: ReviewOptions, records: Sequence[models.Record]) -> list[QueuedItem]:
    """Records with the items that their scores name, without those whose named items are gone or differ no more."""
    if not options.names_partners:
        return [QueuedItem(record) for record in records]
    kind = options.kind
    ids = list(dict.fromkeys(point for record in records for point in named(kind, features_of(record))))
    partners: dict[PointId, Any] = {}
    for page in pages(ids):
        found = await state.engine.retrieve(
            state.collection, page, with_payload=[PAYLOAD_KEY], tenant=state.chosen_tenant
        )
        partners.update((id_of(partner), features_of(partner)) for partner in found)
    queued = [QueuedItem(record, standing_partners(kind, features_of(record), partners)) for record in records]
    return [item for item in queued if item.partners]


async def _with_payloads(state: IndexState, found: Sequence[QueuedItem]) -> list[QueuedItem]:
    """Queued items with their payloads, without those that were deleted meanwhile."""
    records: dict[PointId, models.Record] = {}
    for page in pages([queued.id for queued in found]):
        read = await state.engine.retrieve(
            state.collection, page, with_vectors=[FEATURES_VECTOR], tenant=state.chosen_tenant
        )
        records |= {id_of(record): record for record in read}
    return [QueuedItem(records[queued.id]) for queued in found if queued.id in records]


async def _spread(state: IndexState, found: Sequence[QueuedItem], wanted: int) -> list[QueuedItem]:
    """Choose items so that near-copies are apart."""
    name = BASE_VECTOR if state.metadata.has_base else FEATURES_VECTOR
    records = await state.engine.retrieve(
        state.collection,
        [queued.id for queued in found],
        with_payload=False,
        with_vectors=[name],
        tenant=state.chosen_tenant,
    )
    vectors = {id_of(record): vectors_of(record)[name] for record in records}
    left = [queued for queued in found if queued.id in vectors]  # another process may have deleted one meanwhile
    if not left:
        return []
    width = state.metadata.groups * state.metadata.codes_per_group
    rows = np.array([_dense(vectors[queued.id], width) for queued in left], dtype=np.float32)
    order = await state.engine.work(lambda: spread_copies(rows, limit=wanted))
    return [left[int(row)] for row in order]


def _dense(vector: Any, width: int) -> Any:
    if not isinstance(vector, models.SparseVector):
        return vector
    row = np.zeros(width, dtype=np.float32)
    row[vector.indices] = vector.values
    return row

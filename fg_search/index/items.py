"""Items of an index as they are stored, read by their ids or by a filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models
from typing_extensions import Self

from fg_search.engine.paging import pages, scroll_pages
from fg_search.engine.port import PointId
from fg_search.ids import UserId, plain_id
from fg_search.index.few_conditions import told_of_conditions
from fg_search.index.state import IndexState
from fg_search.layout.keys import BASE_VECTOR, HASH_KEY, PAYLOAD_KEY, REVIEW_KEY, REVIEWED_KEY
from fg_search.layout.points import id_of, is_ours, payload_of
from fg_search.layout.points import vectors_of as vectors_of_point
from fg_search.validation import check_count, check_list

_PAGE = 1_000


@dataclass(frozen=True)
class IndexedItem:
    """An item of an index.

    Attributes:
        id: User's id.
        text: Text of the item.
        label: Label of the item, ``None`` if unknown.
        payload: User's own payload.
        confidence: Confidence of the item's embedding, in [1/K, 1].
        familiarity: Familiarity of the item, in [0, 1]. ``None`` if its encoder does not know its examples.
        suggested_label: Most probable other label, ``None`` without :meth:`ConfidenceIndex.score_labels`.
        wrong: Probability that the label is wrong, ``None`` without :meth:`ConfidenceIndex.score_labels`.
        decided: What a reviewer decided about the item: ``"accept"``, ``"keep"``, ``"label"`` or ``"unsure"``.
    """

    id: UserId
    text: str
    label: str | None
    payload: dict[str, Any] = field(repr=False)
    confidence: float
    familiarity: float | None
    suggested_label: str | None = None
    wrong: float | None = None
    decided: str | None = None

    @classmethod
    def of_record(cls, record: models.Record | models.ScoredPoint) -> Self:
        """Read it from its point."""
        payload = dict(payload_of(record))
        features = payload.pop(PAYLOAD_KEY)
        scores, note = features.get(REVIEW_KEY) or {}, features.get(REVIEWED_KEY) or {}
        return cls(
            features["id"],
            features["text"],
            features.get("label"),
            payload,
            features["confidence"],
            features.get("familiarity"),
            scores.get("suggested"),
            scores.get("score"),
            note.get("action"),
        )


async def items(
    state: IndexState, ids: Sequence[UserId] | None, query_filter: models.Filter | None, limit: int | None
) -> list[IndexedItem]:
    """Items by ids, in the order of these, or those that match a filter; by default all."""
    if limit is not None:
        check_count(limit, name="limit")
    if ids is None:
        with told_of_conditions(state, query_filter):
            return await _matching(state, query_filter, limit)
    if query_filter is not None:
        raise ValueError("ids and query_filter exclude each other")
    check_list(ids, "ids")
    points = list(dict.fromkeys(state.point_id(plain_id(user_id)) for user_id in ids))[:limit]
    found: dict[PointId, IndexedItem] = {}
    for page in pages(points):
        records = await state.engine.retrieve(state.collection, page, with_payload=True, tenant=state.chosen_tenant)
        found |= {id_of(record): IndexedItem.of_record(record) for record in records if is_ours(record)}
    return [found[point] for point in points if point in found]


async def vectors_of(state: IndexState, ids: Sequence[UserId]) -> dict[UserId, npt.NDArray[np.float32]]:
    """Base embeddings of items as they are stored, by their ids. Unknown ids are left out.

    Raises:
        ValueError: If the index has none.
    """
    check_list(ids, "ids")
    if not state.metadata.has_base:
        raise ValueError(f"{state.name} keeps no base vectors (base_vectors='none')")
    points = {plain_id(user_id): state.point_id(plain_id(user_id)) for user_id in ids}
    found: dict[PointId, npt.NDArray[np.float32]] = {}
    for page in pages(list(points.values())):
        records = await state.engine.retrieve(
            state.collection, page, with_payload=[HASH_KEY], with_vectors=[BASE_VECTOR], tenant=state.chosen_tenant
        )
        found |= {
            id_of(record): np.asarray(vectors_of_point(record)[BASE_VECTOR], dtype=np.float32)
            for record in records
            if is_ours(record)
        }
    return {user_id: found[point] for user_id, point in points.items() if point in found}


async def _matching(state: IndexState, query_filter: models.Filter | None, limit: int | None) -> list[IndexedItem]:
    found: list[IndexedItem] = []
    page_size = _PAGE if limit is None else min(limit, _PAGE)
    async for records in scroll_pages(
        state.engine, state.collection, page_size=page_size, scroll_filter=state.scope(query_filter)
    ):
        found += [IndexedItem.of_record(record) for record in records if is_ours(record)]
        if limit is not None and len(found) >= limit:
            return found[:limit]
    return found

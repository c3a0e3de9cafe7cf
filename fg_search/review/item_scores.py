"""Finding outliers, duplicates and conflicting near-duplicates, and leaving marks with them for those who review."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PayloadIndexes
from fg_search.index.collections import index_payload, physical_collection
from fg_search.index.corpus import Corpus, read_corpus
from fg_search.index.state import IndexState
from fg_search.layout.keys import (
    MARKED_KEY,
    PAYLOAD_KEY,
    REVIEW_KEY,
    review_key,
)
from fg_search.layout.schema import ITEM_SCORE_INDEXES
from fg_search.review.issues.marks import MARK_KEYS, MARKS, find_marks

_WRITTEN_AT_ONCE = 1000


@dataclass(frozen=True)
class ItemScores:
    """What came of looking at the items of an index.

    Attributes:
        items: All there are.
        conflicting: Those with a near-duplicate that has another label.
        duplicates: Those whose text another one has as well.
        outliers: Those far from all others.
    """

    items: int
    conflicting: int
    duplicates: int
    outliers: int

    def __str__(self) -> str:
        return (
            f"{self.items:,} items compared: {self.conflicting:,} with near-duplicates of another label, "
            f"{self.duplicates:,} with the same text as others, {self.outliers:,} outliers"
        )


async def score_items(state: IndexState, *, seed: int, progress: Callable[[int], object]) -> ItemScores:
    """Compare all items, of one tenant where the index has some, and mark those that a person should look at.

    Raises:
        ValueError: If there are no stored base embeddings, or no tenant was chosen.
    """
    _ = state.tenant  # a mark names other items: they are not another tenant's
    if not state.metadata.has_base:
        raise ValueError(f"{state.name} was made without base vectors, which items are compared by")
    corpus = await read_corpus(state, progress)
    marks = await state.engine.work(lambda: _find(corpus, seed))
    await replace_marks(
        state,
        [review_key(key) for key in MARK_KEYS],
        {corpus.point_ids[row]: mark for row, mark in marks.items()},
        ITEM_SCORE_INDEXES,
        {MARKED_KEY: {"items": len(corpus.texts)}},
    )
    counts = {kind: sum(mark.score in one for one in marks.values()) for kind, mark in MARKS.items()}
    return ItemScores(len(corpus.texts), counts["conflicting"], counts["duplicate"], counts["outlier"])


async def replace_marks(
    state: IndexState,
    keys: Sequence[str],
    marks: Mapping[int | str, Mapping[str, Any]],
    indexes: PayloadIndexes,
    metadata: Mapping[str, Any],
) -> None:
    """Remove what an earlier run left in the payload of reviewing, and write this run's.

    Args:
        state: Of the items of its tenant, or of all.
        keys: Of the payload, that are removed.
        marks: By the engine's ids; what is written with each.
        indexes: Payload indexes that the lists need.
        metadata: Of the collection: that this was done.
    """
    await index_payload(state.engine, state.collection, indexes)
    there = models.Filter(
        should=[
            models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))]) for key in keys
        ]
    )
    await state.engine.delete_payload(state.collection, keys, points=state.scope_of_all(there))
    for page in pages(list(marks), _WRITTEN_AT_ONCE):
        operations = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(
                    payload=dict(marks[point]), points=[point], key=f"{PAYLOAD_KEY}.{REVIEW_KEY}"
                )
            )
            for point in page
        ]
        await state.engine.batch_update_points(state.collection, operations)
    physical = await physical_collection(state.engine, state.collection)
    await state.engine.update_collection(physical, metadata=metadata)


def _find(corpus: Corpus, seed: int) -> dict[int, dict[str, Any]]:
    if corpus.base is None:
        return {}
    return find_marks(corpus.texts, corpus.labels, np.asarray(corpus.base), corpus.point_ids, seed=seed)

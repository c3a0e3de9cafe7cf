"""Scores of items as outliers, duplicates and conflicting near-duplicates, kept with them for reviewing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fg_search.index.corpus import Corpus, read_corpus
from fg_search.index.scores import replace_scores
from fg_search.index.state import IndexState
from fg_search.layout.keys import ITEMS_SCORED_KEY, review_key
from fg_search.layout.schema import ITEM_SCORE_INDEXES
from fg_search.review.issues.marks import MARK_KEYS, MARKS, find_marks


@dataclass(frozen=True)
class ItemScores:
    """Report of scoring the items of an index.

    Attributes:
        items: Number of items.
        conflicting: Number of items with a near-duplicate that has another label.
        duplicates: Number of items whose text another item has as well.
        outliers: Number of items far from all others.
    """

    items: int
    conflicting: int
    duplicates: int
    outliers: int

    def __str__(self) -> str:
        outliers = "outlier" if self.outliers == 1 else "outliers"
        return (
            f"{self.items:,} items compared: {self.conflicting:,} with near-duplicates of another label, "
            f"{self.duplicates:,} with the same text as others, {self.outliers:,} {outliers}"
        )


async def score_items(state: IndexState, *, seed: int, progress: Callable[[int], object]) -> ItemScores:
    """Compare all items, those of one tenant in an index with tenants, and keep scores with the flagged items.

    Raises:
        ValueError: If the index has no base embeddings, or tenants of which none was chosen.
    """
    _ = state.tenant  # scores name other items, which must not be another tenant's
    if not state.metadata.has_base:
        raise ValueError(f"{state.name} was made without base vectors, which items are compared by")
    corpus = await read_corpus(state, progress)
    marks = await state.engine.work(lambda: _find(corpus, seed))
    await replace_scores(
        state,
        [review_key(key) for key in MARK_KEYS],
        {corpus.point_ids[row]: mark for row, mark in marks.items()},
        ITEM_SCORE_INDEXES,
        {ITEMS_SCORED_KEY: {"items": len(corpus.texts)}},
    )
    counts = {kind: sum(keys.score in mark for mark in marks.values()) for kind, keys in MARKS.items()}
    return ItemScores(len(corpus.texts), counts["conflicting"], counts["duplicate"], counts["outlier"])


def _find(corpus: Corpus, seed: int) -> dict[int, dict[str, Any]]:
    if corpus.base is None:
        return {}
    return find_marks(corpus.texts, corpus.labels, np.asarray(corpus.base), corpus.point_ids, seed=seed)

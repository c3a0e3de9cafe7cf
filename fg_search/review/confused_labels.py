"""Labels that are taken for one another, as counted by the engine from what judging the labels left with the items."""

from __future__ import annotations

import json

from qdrant_client import models

from fg_search.index.collections import check_scored
from fg_search.index.state import IndexState
from fg_search.layout.keys import CONFUSION_KEY, LABEL_KEY, PAYLOAD_KEY, REVIEW_KEY, REVIEWED_KEY
from fg_search.review.issues.confusion import ConfusedLabels, confused_pairs
from fg_search.validation import check_count

UNDECIDED_ABOUT = models.IsEmptyCondition(is_empty=models.PayloadField(key=f"{PAYLOAD_KEY}.{REVIEWED_KEY}"))

_PAIRS = 10_000  # the most frequent ones, of which pairs are made
_LABELS = 100_000


def confusion_key(label: str, predicted: str) -> str:
    """How an item says that its label is taken for another one."""
    return json.dumps([label, predicted], ensure_ascii=False)


async def confused_labels(state: IndexState, limit: int) -> list[ConfusedLabels]:
    """Pairs of labels that are taken for one another by items that nobody decided about yet.

    Raises:
        NotScoredError: If labels were not judged yet.
        ValueError: If the limit is less than one.
    """
    check_count(limit, name="limit")
    await check_scored(state, REVIEW_KEY, "the labels", "score_labels")
    pairs = await state.engine.facet(
        state.collection, CONFUSION_KEY, facet_filter=state.scope(UNDECIDED_ABOUT), limit=_PAIRS
    )
    sizes = await state.engine.facet(state.collection, LABEL_KEY, facet_filter=state.scope(), limit=_LABELS)
    counts = {tuple(json.loads(str(hit.value))): hit.count for hit in pairs}
    return confused_pairs(counts, {str(hit.value): hit.count for hit in sizes}, limit=limit)

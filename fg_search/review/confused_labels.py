"""Labels that are mistaken for each other, counted by the engine over the scores of the labels."""

from __future__ import annotations

import json

from fg_search.index.scores import check_labels_scored
from fg_search.index.state import IndexState
from fg_search.layout.conditions import is_empty
from fg_search.layout.keys import CONFUSION_KEY, LABEL_KEY, REVIEWED_ACTION_KEY
from fg_search.review.issues.confusion import ConfusedLabels, confused_pairs
from fg_search.validation import check_count

UNDECIDED = is_empty(REVIEWED_ACTION_KEY)

_MAX_CONFUSIONS = 10_000  # the most frequent ones are counted
_MAX_LABELS = 100_000


def confusion_key(label: str, predicted: str) -> str:
    """Payload value of an item whose label is mistaken for another one."""
    return json.dumps([label, predicted], ensure_ascii=False)


async def confused_labels(state: IndexState, limit: int) -> list[ConfusedLabels]:
    """Pairs of labels that are mistaken for each other, by items that nobody has decided about yet.

    Raises:
        NotScoredError: If labels were not scored yet.
        ValueError: If the limit is less than one.
    """
    check_count(limit, name="limit")
    await check_labels_scored(state)
    confusions = await state.engine.facet(
        state.collection, CONFUSION_KEY, facet_filter=state.scope(UNDECIDED), limit=_MAX_CONFUSIONS
    )
    sizes = await state.engine.facet(state.collection, LABEL_KEY, facet_filter=state.scope(), limit=_MAX_LABELS)
    counts = {tuple(json.loads(str(hit.value))): hit.count for hit in confusions}
    return confused_pairs(counts, {str(hit.value): hit.count for hit in sizes}, limit=limit)

"""Conditions that nobody has changed an item since it was read, for writes that depend on what was read.

Between reading an item and writing it, seconds or minutes of encoding may pass. What people do to the item meanwhile
must not be overwritten: the engine checks the condition in the same step in which it writes.
"""

from __future__ import annotations

from qdrant_client import models

from fg_search.layout.conditions import equals, is_empty
from fg_search.layout.items import StoredItem
from fg_search.layout.keys import GIVEN_LABEL_KEY, LABEL_KEY, REVIEW_NOTE_KEY

UNTOUCHED = models.Filter(must=[is_empty(GIVEN_LABEL_KEY), is_empty(REVIEW_NOTE_KEY)])
"""Items without a correction or decision."""
TOUCHED = models.Filter(must_not=[UNTOUCHED])


def label_unchanged(seen: StoredItem) -> list[models.Condition]:
    """Conditions that an item has the label that was read, corrected or not as it was."""
    return [
        is_empty(LABEL_KEY) if seen.label is None else equals(LABEL_KEY, seen.label),
        equals(GIVEN_LABEL_KEY, seen.given_label or "") if seen.is_corrected else is_empty(GIVEN_LABEL_KEY),
    ]


def unchanged(seen: StoredItem) -> models.Filter:
    """Condition that an item has the label and the decision that were read."""
    decision: list[models.Condition] = [is_empty(REVIEW_NOTE_KEY)]
    if seen.reviewed is not None:
        decision = [equals(f"{REVIEW_NOTE_KEY}.{key}", value) for key, value in sorted(seen.reviewed.items())]
    return models.Filter(must=[*label_unchanged(seen), *decision])

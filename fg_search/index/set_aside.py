"""Items whose label is most probably wrong: not learned from and not found until somebody decides about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from fg_search.layout.keys import (
    GIVEN_LABEL_KEY,
    PAYLOAD_KEY,
    REVIEW_KEY,
    REVIEWED_ACTION_KEY,
    REVIEWED_KEY,
    SET_ASIDE_KEY,
)

_UNDECIDED = "unsure"  # a decision that leaves the question open

# The mark alone sets nothing aside: with a decision or a correction beside it the item is back, without it gone again,
# so that what a person does or takes back need not know of it.
SET_ASIDE = models.Filter(
    must=[
        models.FieldCondition(key=SET_ASIDE_KEY, match=models.MatchValue(value=True)),
        models.IsEmptyCondition(is_empty=models.PayloadField(key=GIVEN_LABEL_KEY)),
    ],
    should=[
        models.IsEmptyCondition(is_empty=models.PayloadField(key=f"{PAYLOAD_KEY}.{REVIEWED_KEY}")),
        models.FieldCondition(key=REVIEWED_ACTION_KEY, match=models.MatchValue(value=_UNDECIDED)),
    ],
)
NOT_SET_ASIDE = models.Filter(must_not=[SET_ASIDE])


def is_doubtful(features: Mapping[str, Any], least_score: float) -> bool:
    """Whether a label is wrong with at least this probability, and nobody decided about it or corrected it.

    Args:
        features: Our part of the item's payload.
        least_score: In [0, 1].
    """
    decided = (features.get(REVIEWED_KEY) or {"action": _UNDECIDED})["action"] != _UNDECIDED
    return (
        not decided
        and "given_label" not in features
        and (features.get(REVIEW_KEY) or {}).get("score", -1.0) >= least_score
    )

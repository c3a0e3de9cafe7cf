"""Items set aside: their label is most probably wrong, so they are neither learned from nor found for the time being.

The flag alone sets nothing aside. A decision or a correction beside it brings the item back, and taking that back sets
it aside again. So whatever a person does or undoes need not know of the flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from fg_search.layout.conditions import equals, is_empty
from fg_search.layout.keys import (
    GIVEN_LABEL_KEY,
    REVIEW_KEY,
    REVIEWED_ACTION_KEY,
    REVIEWED_KEY,
    SET_ASIDE_KEY,
)

_UNDECIDED = "unsure"  # the decision that leaves the question open
_DECIDED = ["accept", "keep", "label", "delete"]  # all others

# few conditions: strict mode may allow five in all, and the user has some too
SET_ASIDE = models.Filter(
    must=[equals(SET_ASIDE_KEY, True), is_empty(GIVEN_LABEL_KEY)],
    must_not=[models.FieldCondition(key=REVIEWED_ACTION_KEY, match=models.MatchAny(any=_DECIDED))],
)
NOT_SET_ASIDE = models.Filter(must_not=[SET_ASIDE])


def is_set_aside(features: Mapping[str, Any]) -> bool:
    """Whether an item is set aside, as :data:`SET_ASIDE` says to the engine.

    Args:
        features: Our part of the item's payload.
    """
    decided = (features.get(REVIEWED_KEY) or {}).get("action", _UNDECIDED)
    return bool(features.get("set_aside")) and features.get("given_label") is None and decided == _UNDECIDED


def is_doubtful(features: Mapping[str, Any], least_score: float) -> bool:
    """Whether a label is wrong with at least this probability, and nobody has decided about it or corrected it.

    Args:
        features: Our part of the item's payload.
        least_score: Probability in [0, 1].
    """
    decided = (features.get(REVIEWED_KEY) or {"action": _UNDECIDED})["action"] != _UNDECIDED
    return (
        not decided
        and "given_label" not in features
        and (features.get(REVIEW_KEY) or {}).get("score", -1.0) >= least_score
    )

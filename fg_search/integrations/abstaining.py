"""When a search of an integration abstains."""

from __future__ import annotations

from typing import Any

from fg_search.confidence.answerability import HARDLY_ANSWERABLE


def abstaining(
    on_uncertain: str, target_precision: float | None, min_query_confidence: float | None = None
) -> dict[str, Any]:
    """Arguments of :meth:`fg_search.ConfidenceIndex.search`.

    Without a target precision and a least confidence, a query that hardly looks answerable is uncertain, as it is
    marked in an index that is not calibrated.
    """
    if on_uncertain == "abstain" and target_precision is None and min_query_confidence is None:
        min_query_confidence = HARDLY_ANSWERABLE
    return {
        "on_uncertain": on_uncertain,
        "target_precision": target_precision,
        "min_query_confidence": min_query_confidence,
    }

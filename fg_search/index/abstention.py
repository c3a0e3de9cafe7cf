"""What to do with an uncertain query: flag it, abstain, or raise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.errors import UncertainQueryError
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import Hit, SearchResult
from fg_search.model.reading import MOSTLY


def judge_query(query: str, confidence: float, options: SearchOptions, *, unread: float = 0.0) -> SearchResult:
    """Decide on the query alone; the result has no hits yet.

    Args:
        query: The text.
        confidence: Of its embedding.
        options: Of the search.
        unread: Share of its tokens that the model does not know; with most of them the query is uncertain.

    Raises:
        UncertainQueryError: If the query is uncertain and the caller asked for an exception.
    """
    threshold = options.min_query_confidence
    reason = f"query confidence {confidence:.2f}"
    judged = SearchResult(query, (), confidence, "answer", uncertain=False, reason=reason)
    if unread > MOSTLY:
        read = "nothing" if unread >= 1 else f"only {1 - unread:.0%}"
        below = "" if threshold is None or confidence >= threshold else f" is below {threshold:.2f}"
        reason = f"the model can read {read} of the query (another script, or no words); {reason}{below}"
        return _doubt(judged, reason, options)
    if threshold is None:
        return judged
    if confidence >= threshold:
        return replace(judged, reason=f"{reason} reaches {threshold:.2f}")
    return _doubt(judged, f"{reason} is below {threshold:.2f}", options)


def judge_hits(
    judged: SearchResult,
    hits: tuple[Hit, ...],
    confidence: float | None,
    threshold: PrecisionThreshold | None,
    options: SearchOptions,
) -> SearchResult:
    """Decide on what was found for a query that :func:`judge_query` let pass.

    Args:
        judged: What it said.
        hits: Best first; none at all is an abstention.
        confidence: Calibrated, if there is a calibration.
        threshold: For the target precision, if there is one.
        options: Of the search.

    Raises:
        UncertainQueryError: If the result is uncertain and the caller asked for an exception.
    """
    if not hits:
        reason = f"{judged.reason}; no point passes the filters" if not options.offset else "no more hits"
        return replace(judged, decision="abstain", reason=reason, confidence=confidence)
    result = replace(judged, hits=hits, confidence=confidence)
    if confidence is None or threshold is None:
        return result
    before = f"{result.reason}; " if result.uncertain else ""
    if threshold.threshold is None:
        return _doubt(result, before + threshold.reason, options)
    wanted = f"what a precision of {threshold.target:.1%} takes ({threshold.threshold:.3f})"
    if confidence < threshold.threshold:
        return _doubt(result, f"{before}confidence {confidence:.3f} is below {wanted}", options)
    if result.uncertain:  # by the query's own confidence
        return result
    return replace(result, reason=f"confidence {confidence:.3f} reaches {wanted}")


def settle(flagged: Sequence[SearchResult], options: SearchOptions) -> list[SearchResult]:
    """The results that these options give, out of those that ``on_uncertain="flag"`` gave.

    Raises:
        UncertainQueryError: At the first uncertain query, if the options say so.
    """
    judged = [judge_query(result.query, result.query_confidence, options) for result in flagged]
    return [
        alone if alone.decision == "abstain" else _doubt(result, result.reason, options) if result.uncertain else result
        for alone, result in zip(judged, flagged, strict=True)
    ]


def _doubt(result: SearchResult, reason: str, options: SearchOptions) -> SearchResult:
    if options.on_uncertain == "raise":
        raise UncertainQueryError(f"{reason}: {result.query!r}")
    if options.on_uncertain == "abstain":
        return replace(result, hits=(), decision="abstain", uncertain=True, reason=reason)
    return replace(result, uncertain=True, reason=reason)

"""Decision to answer, to abstain or to clarify: an uncertain query is flagged, held back, asked back, or raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fg_search.confidence.answerability import HARDLY_ANSWERABLE
from fg_search.confidence.familiarity import UNFAMILIAR
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.errors import UncertainQueryError
from fg_search.index.calibration import Calibration
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import AnswerDecision, Hit, SearchResult
from fg_search.model.reading import MOSTLY


def assess_query(
    query: str,
    confidence: float,
    options: SearchOptions,
    *,
    familiarity: float | None = None,
    unread: float = 0.0,
    is_calibrated: bool = True,
) -> SearchResult:
    """Decide by the query alone. The result has no hits yet.

    Args:
        query: The text.
        confidence: Its answerability.
        options: Of the search.
        familiarity: Its familiarity, ``None`` if not known.
        unread: Share of its tokens that the model does not know; with most of them the query is uncertain.
        is_calibrated: Whether a calibrated confidence will tell more. Without, and without a threshold, the query is
            uncertain if it hardly looks answerable.

    Raises:
        UncertainQueryError: If the query is uncertain and the options say to raise.
    """
    threshold = options.min_query_confidence
    reason = f"query confidence {confidence:.2f}"
    if familiarity is not None and familiarity < UNFAMILIAR:
        reason += f" (familiarity {familiarity:.2g}: it is like little that was learned)"
    result = SearchResult(
        query, (), confidence, "answer", uncertain=False, reason=reason, query_familiarity=familiarity
    )
    if unread > MOSTLY:
        read = "nothing" if unread >= 1 else f"only {1 - unread:.0%}"
        below = "" if threshold is None or confidence >= threshold else f" is below {threshold:.2f}"
        reason = f"the model can read {read} of the query (another script, or no words); {reason}{below}"
        return _doubt(result, reason, options)
    if threshold is None:
        if is_calibrated or familiarity is None or confidence >= HARDLY_ANSWERABLE:
            return result
        return replace(result, uncertain=True, reason=f"{reason}: it looks as if there is no answer")
    if confidence >= threshold:
        return replace(result, reason=f"{reason} reaches {threshold:.2f}")
    return _doubt(result, f"{reason} is below {threshold:.2f}", options)


def assess_hits(
    assessed: SearchResult,
    hits: tuple[Hit, ...],
    threshold: PrecisionThreshold | None,
    options: SearchOptions,
    calibration: Calibration | None = None,
) -> SearchResult:
    """Decide by the hits of a query that :func:`assess_query` did not abstain from.

    Args:
        assessed: Result of :func:`assess_query`, with its calibrated confidence if there is one.
        hits: Hits, best first. Without any, the decision is to abstain.
        threshold: Threshold for the target precision, ``None`` without a target.
        options: Options of the search.
        calibration: Calibration that confidence and threshold are of.

    Raises:
        UncertainQueryError: If the result is uncertain and the options say to raise.
    """
    if not hits:
        reason = f"{assessed.reason}; no point passes the filters" if not options.offset else "no more hits"
        return replace(assessed, decision="abstain", reason=reason)
    share = None if calibration is None else calibration.share
    result = replace(assessed, hits=hits, unanswerable_share=None if share is None else share.value)
    confidence = result.confidence
    if confidence is None:
        return result
    if threshold is None:
        if result.uncertain or options.min_query_confidence is not None:  # decided by the query's own confidence
            return result
        return replace(result, reason=f"chance to be right {confidence:.2f}; no precision was asked for")
    result = replace(result, threshold=threshold.threshold)
    before = f"{result.reason}; " if result.uncertain else ""
    if threshold.threshold is None:
        return _doubt(result, before + threshold.reason, options)
    within = 1 if calibration is None else calibration.relevant_within
    of_hits = "" if within == 1 else f" of one of the first {within} hits"
    wanted = f"what a precision of {threshold.target:.1%}{of_hits} takes ({threshold.threshold:.3f})"
    if share is not None and share.value is not None and share.source != "judged":
        wanted += f" if {share.value:.0%} of the queries have no answer"
    wanted += threshold.of_group
    if calibration is not None and calibration.pretended:
        wanted += ", by an estimate from the items themselves"
    if confidence < threshold.threshold:
        return _doubt(result, f"{before}chance to be right {confidence:.3f} is below {wanted}", options)
    if result.uncertain:  # by the query's own confidence
        return result
    return replace(result, reason=f"chance to be right {confidence:.3f} reaches {wanted}")


def settle(flagged: Sequence[SearchResult], options: SearchOptions) -> list[SearchResult]:
    """Turn the results of a search with ``on_uncertain="flag"`` into those that the options ask for.

    Raises:
        UncertainQueryError: At the first uncertain query, if the options say to raise.
    """
    by_query = [
        assess_query(result.query, result.query_confidence, options, familiarity=result.query_familiarity)
        for result in flagged
    ]
    return [
        replace(assessed, nearest=result.nearest)
        if assessed.decision == "abstain"
        else _doubt(result, result.reason, options)
        if result.uncertain
        else result
        for assessed, result in zip(by_query, flagged, strict=True)
    ]


def decision_on(flagged: SearchResult, options: SearchOptions) -> AnswerDecision:
    """Decision that the options ask for about a result of a search that flags uncertain queries."""
    if not flagged.uncertain or options.on_uncertain == "flag":
        return flagged.decision
    if options.on_uncertain == "clarify" and flagged.choices:
        return "clarify"
    return "abstain"


def _doubt(result: SearchResult, reason: str, options: SearchOptions) -> SearchResult:
    if options.on_uncertain == "raise":
        raise UncertainQueryError(f"{reason}: {result.query!r}")
    doubted = replace(result, uncertain=True, reason=reason)
    if options.on_uncertain == "flag":
        return doubted
    return replace(doubted, hits=(), decision=decision_on(doubted, options))

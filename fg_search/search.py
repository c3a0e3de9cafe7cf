"""Searching with confidence: query plans for the engine, what to do with an uncertain query, results.

Everything here is a pure function or a result; :mod:`fg_search.index` joins it to an encoder and an engine.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import eq
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.confidence.threshold import PrecisionThreshold
from fg_search.embeddings import FeatureEmbeddings
from fg_search.errors import UncertainQueryError
from fg_search.ids import UserId
from fg_search.storage.instances import construct, filled
from fg_search.storage.keys import BASE_VECTOR, CONFIDENCE_KEY, FEATURES_VECTOR, PAYLOAD_KEY
from fg_search.validation import check_count, check_fraction

RankBy = Literal["auto", "features", "base", "both"]
OnUncertain = Literal["flag", "abstain", "raise"]
Decision = Literal["answer", "abstain"]

# The engine's formula re-scores the candidates of a first search. With score · confidence^w ≤ score, a point
# beyond the candidates can only be missed if its score is below all of theirs. What is found depends on their number,
# so it grows in few steps: the first pages are pages of one and the same list.
_CANDIDATES_PER_HIT = 10
_LEAST_RESCORED = 200
_LEAST_FUSED = 200
_MAX_WEIGHT = 100  # beyond, confidence^w is zero in the engine's arithmetic
_MOST_HITS = 2**31 - 1


@dataclass(frozen=True)
class SearchOptions:
    """How to search; checked when it is made.

    Attributes:
        limit: Hits at most, at least 1.
        min_confidence: Points less confident than this are excluded inside the engine; in [0, 1].
        confidence_weight: w in [0, 100] of the down-weighting ``score · confidence^w``; 0 leaves scores alone.
        query_filter: Any Qdrant filter on the user's own payload.
        min_query_confidence: Queries less confident than this are uncertain; in [0, 1].
        target_precision: Share of right answers, in (0, 1), that the answered queries are to reach: a query whose
            calibrated confidence is below the threshold for it is uncertain.
        on_uncertain: What an uncertain query gets: ``"flag"`` (hits, marked), ``"abstain"`` (no hits), or
            ``"raise"`` (:class:`UncertainQueryError`).
        rank_by: ``"features"`` (FG similarity), ``"base"`` (cosine of the base embeddings), ``"both"``
            (reciprocal-rank fusion of the two), or ``"auto"`` by how the head was trained.
        offset: Hits to leave out before the first, for paging.
    """

    limit: int = 10
    min_confidence: float | None = None
    confidence_weight: float = 0.0
    query_filter: models.Filter | None = None
    min_query_confidence: float | None = None
    target_precision: float | None = None
    on_uncertain: OnUncertain = "flag"
    rank_by: RankBy = "auto"
    offset: int = 0

    def __post_init__(self) -> None:
        for name, least in (("limit", 1), ("offset", 0)):
            self._keep(name, check_count(getattr(self, name), name=name, least=least))
        if self.limit + self.offset > _MOST_HITS:
            raise ValueError(f"limit + offset must be at most {_MOST_HITS:,}, got {self.limit + self.offset:,}")
        for name in ("min_confidence", "min_query_confidence"):
            if getattr(self, name) is not None:
                self._keep(name, check_fraction(getattr(self, name), name=name))
        if not (_is_number(self.confidence_weight) and 0 <= self.confidence_weight <= _MAX_WEIGHT):
            raise ValueError(f"confidence_weight must be between 0 and {_MAX_WEIGHT}, got {self.confidence_weight!r}")
        self._keep("confidence_weight", float(self.confidence_weight))
        target = self.target_precision
        if target is not None and not (_is_number(target) and 0 < target < 1):
            raise ValueError(f"target_precision must be greater than 0 and less than 1, got {target!r}")
        _check_choice(self.on_uncertain, OnUncertain, "on_uncertain")
        _check_choice(self.rank_by, RankBy, "rank_by")
        if self.on_uncertain != "flag" and self.min_query_confidence is None and self.target_precision is None:
            raise ValueError(
                f"on_uncertain={self.on_uncertain!r} needs target_precision or min_query_confidence: "
                "when is a query uncertain?"
            )

    def _keep(self, name: str, value: float) -> None:
        """Numbers of numpy become Python's: the engine and JSON know no others."""
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Hit:
    """One point that was found.

    Attributes:
        id: As the user gave it.
        score: Similarity to the query: FG similarity in [0, 1], base cosine in [-1, 1], or the fused rank score.
        weighted_score: What the hits are ordered by: ``score · confidence^confidence_weight``.
        confidence: Of the point's own embedding, in [1/K, 1].
        label: Of the point, or ``None``.
        text: Of the point.
        agreement: For each group whether query and point have the same most probable code.
        payload: The user's own.
    """

    id: UserId
    score: float
    weighted_score: float
    confidence: float
    label: str | None
    text: str
    agreement: tuple[bool, ...] = field(repr=False)
    payload: dict[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.weighted_score:.3f}  conf {self.confidence:.2f}  [{self.label or '-'}] {self.text}"


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        query: The text; several phrasings of one question are joined by ``" / "``.
        hits: Best first; empty if the decision is to abstain.
        query_confidence: Of the query's own embedding, in [1/K, 1].
        decision: ``"answer"`` or ``"abstain"``.
        uncertain: Whether one of the two confidences is below what was asked for.
        reason: A sentence on why it was decided so.
        confidence: Calibrated probability that the top hit is right, in [0, 1]; ``None`` if the index was not
            calibrated for this kind of search.
    """

    query: str
    hits: tuple[Hit, ...]
    query_confidence: float
    decision: Decision
    uncertain: bool
    reason: str
    confidence: float | None = None

    def __str__(self) -> str:
        lines = [self.query, f"  {self.decision}: {self.reason}"]
        return "\n".join([*lines, *(f"  {hit}" for hit in self.hits)])


@dataclass(frozen=True)
class HitGroup:
    """The hits that share a value of a payload field.

    Attributes:
        value: What they share.
        hits: Best first.
    """

    value: str | int
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class GroupedResult:
    """The answer to one query, its hits by the value of a payload field.

    Attributes:
        groups: The one with the best hit first; empty if the decision is to abstain.
        result: Everything else, with the hits of all groups.
    """

    groups: tuple[HitGroup, ...]
    result: SearchResult = field(repr=False)

    def __str__(self) -> str:
        lines = [self.result.query, f"  {self.result.decision}: {self.result.reason}"]
        for group in self.groups:
            lines += [f"  {group.value}", *(f"    {hit}" for hit in group.hits)]
        return "\n".join(lines)


@dataclass(frozen=True)
class QueryVectors:
    """One query's embedding in the forms that the engine and the results need."""

    base: npt.NDArray[np.float32]
    features: models.SparseVector
    codes: list[int]
    confidence: float


def query_vectors(embeddings: FeatureEmbeddings) -> list[QueryVectors]:
    """The vectors of n queries."""
    values, columns, starts = (part.tolist() for part in embeddings.sparse_parts())
    codes, confidences = embeddings.codes.tolist(), embeddings.confidence.tolist()
    return [
        QueryVectors(
            embeddings.base[i],
            filled(
                models.SparseVector,
                {"indices": columns[starts[i] : starts[i + 1]], "values": values[starts[i] : starts[i + 1]]},
            ),
            codes[i],
            confidences[i],
        )
        for i in range(len(embeddings))
    ]


def judge_query(query: str, confidence: float, options: SearchOptions) -> SearchResult:
    """Decide on the query alone; the result has no hits yet.

    Raises:
        UncertainQueryError: If the query is uncertain and the caller asked for an exception.
    """
    threshold = options.min_query_confidence
    reason = f"query confidence {confidence:.2f}"
    judged = SearchResult(query, (), confidence, "answer", uncertain=False, reason=reason)
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
    if threshold.threshold is None:
        return _doubt(result, threshold.reason, options)
    wanted = f"what a precision of {threshold.target:.1%} takes ({threshold.threshold:.3f})"
    if confidence < threshold.threshold:
        return _doubt(result, f"confidence {confidence:.3f} is below {wanted}", options)
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


def plan(
    query: QueryVectors, options: SearchOptions, rank_by: RankBy, scope: models.Filter | None
) -> models.QueryRequest:
    """The request that has the engine exclude, down-weight and rank.

    Args:
        query: Its vectors.
        options: Of the search; the filter in them is part of ``scope``.
        rank_by: Not ``"auto"``.
        scope: Filter for the points that are searched.
    """
    weighted = options.confidence_weight > 0
    needed = options.limit + options.offset
    wanted = _in_steps(_LEAST_RESCORED, _CANDIDATES_PER_HIT * needed) if weighted else needed
    ranked = _ranking(query, rank_by, scope, wanted)
    if weighted:
        ranked = {"prefetch": construct(models.Prefetch, **ranked), "query": _down_weighting(options.confidence_weight)}
    page = {"limit": options.limit, "with_payload": True, "offset": options.offset or None}
    return construct(models.QueryRequest, **{**ranked, **page})


def to_hits(points: Sequence[models.ScoredPoint], query: QueryVectors, options: SearchOptions) -> tuple[Hit, ...]:
    """What the engine returned, as hits."""
    codes, weight = query.codes, options.confidence_weight
    hits = []
    for point in points:
        payload = dict(point.payload or {})
        features = payload.pop(PAYLOAD_KEY)
        score, confidence = point.score, features["confidence"]
        hits.append(
            Hit(
                features["id"],
                score / confidence**weight if weight else score,
                score,
                confidence,
                features.get("label"),
                features["text"],
                tuple(map(eq, codes, features["codes"])),
                payload,
            )
        )
    return tuple(hits)


def min_confidence_condition(options: SearchOptions) -> models.FieldCondition | None:
    """Leaves out the points that are not confident enough."""
    if options.min_confidence is None:
        return None
    return _at_least(options.min_confidence)


def _ranking(query: QueryVectors, rank_by: RankBy, query_filter: models.Filter | None, limit: int) -> dict[str, Any]:
    common: dict[str, Any] = {"filter": query_filter, "limit": limit}
    features = {**common, "query": query.features, "using": FEATURES_VECTOR}
    if rank_by == "features":
        return features
    base = {**common, "query": query.base.tolist(), "using": BASE_VECTOR}
    if rank_by == "base":
        return base
    fused = {"limit": _in_steps(_LEAST_FUSED, limit)}
    return {
        "prefetch": [construct(models.Prefetch, **{**one, **fused}) for one in (features, base)],
        "query": models.FusionQuery(fusion=models.Fusion.RRF),
        "limit": limit,
    }


def _in_steps(least: int, wanted: int) -> int:
    """The first of ``least``, ten times that, a hundred times … that is enough."""
    count = least
    while count < wanted:
        count *= 10
    return count


@lru_cache(maxsize=64)
def _at_least(confidence: float) -> models.FieldCondition:
    return models.FieldCondition(key=CONFIDENCE_KEY, range=models.Range(gte=confidence))


@lru_cache(maxsize=64)
def _down_weighting(weight: float) -> models.FormulaQuery:
    power = models.PowExpression(pow=models.PowParams(base=CONFIDENCE_KEY, exponent=weight))
    return models.FormulaQuery(formula=models.MultExpression(mult=["$score", power]))


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real)


def _check_choice(value: str, choices: Any, name: str) -> None:
    if value not in get_args(choices):
        known = ", ".join(map(repr, get_args(choices)))
        raise ValueError(f"{name} must be one of {known}, got {value!r}")

"""Searching with confidence: query plans for the engine, what to do with an uncertain query, results.

Everything here is a pure function or a result; :mod:`fg_search.index` joins it to an encoder and an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.errors import UncertainQueryError
from fg_search.ids import UserId
from fg_search.storage.schema import (
    BASE_VECTOR,
    CONFIDENCE_KEY,
    FEATURES_VECTOR,
    PAYLOAD_KEY,
)
from fg_search.validation import check_fraction

RankBy = Literal["auto", "features", "base", "both"]
OnUncertain = Literal["flag", "abstain", "raise"]
Decision = Literal["answer", "abstain"]

# The engine's formula re-scores the candidates of a first search. With score · confidence^w ≤ score, a point
# beyond the candidates can only be missed if its score is below all of theirs.
_CANDIDATES_PER_HIT = 10
_MIN_CANDIDATES = 200
_MAX_WEIGHT = 100  # beyond, confidence^w is zero in the engine's arithmetic


@dataclass(frozen=True)
class SearchOptions:
    """How to search; checked when it is made.

    Attributes:
        limit: Hits at most, at least 1.
        min_confidence: Points less confident than this are excluded inside the engine; in [0, 1].
        confidence_weight: w in [0, 100] of the down-weighting ``score · confidence^w``; 0 leaves scores alone.
        query_filter: Any Qdrant filter on the user's own payload.
        min_query_confidence: Queries less confident than this are uncertain; in [0, 1].
        on_uncertain: What an uncertain query gets: ``"flag"`` (hits, marked), ``"abstain"`` (no hits), or
            ``"raise"`` (:class:`UncertainQueryError`).
        rank_by: ``"features"`` (FG similarity), ``"base"`` (cosine of the base embeddings), ``"both"``
            (reciprocal-rank fusion of the two), or ``"auto"`` by how the head was trained.
    """

    limit: int = 10
    min_confidence: float | None = None
    confidence_weight: float = 0.0
    query_filter: models.Filter | None = None
    min_query_confidence: float | None = None
    on_uncertain: OnUncertain = "flag"
    rank_by: RankBy = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.limit, bool) or not isinstance(self.limit, int) or self.limit < 1:
            raise ValueError(f"limit must be an integer of at least 1, got {self.limit!r}")
        if self.min_confidence is not None:
            check_fraction(self.min_confidence, name="min_confidence")
        if self.min_query_confidence is not None:
            check_fraction(self.min_query_confidence, name="min_query_confidence")
        if not 0 <= self.confidence_weight <= _MAX_WEIGHT:
            raise ValueError(f"confidence_weight must be between 0 and {_MAX_WEIGHT}, got {self.confidence_weight}")
        _check_choice(self.on_uncertain, OnUncertain, "on_uncertain")
        _check_choice(self.rank_by, RankBy, "rank_by")
        if self.on_uncertain != "flag" and self.min_query_confidence is None:
            raise ValueError(
                f"on_uncertain={self.on_uncertain!r} needs min_query_confidence: "
                "below which confidence is a query uncertain?"
            )


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


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        query: The text.
        hits: Best first; empty if the decision is to abstain.
        query_confidence: Of the query's own embedding, in [1/K, 1].
        decision: ``"answer"`` or ``"abstain"``.
        uncertain: Whether the query's confidence is below ``min_query_confidence``.
        reason: A sentence on why it was decided so.
    """

    query: str
    hits: tuple[Hit, ...]
    query_confidence: float
    decision: Decision
    uncertain: bool
    reason: str

    def __str__(self) -> str:
        lines = [self.query, f"  {self.decision}: {self.reason}"]
        lines += [
            f"  {hit.weighted_score:.3f}  conf {hit.confidence:.2f}  [{hit.label or '-'}] {hit.text}"
            for hit in self.hits
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class QueryVectors:
    """One query's embedding in the forms that the engine and the results need."""

    base: list[float]
    features: models.SparseVector
    codes: npt.NDArray[np.int64]
    confidence: float


def judge(query: str, confidence: float, options: SearchOptions) -> SearchResult:
    """Decide on the query alone; the result has no hits yet.

    Raises:
        UncertainQueryError: If the query is uncertain and the caller asked for an exception.
    """
    threshold = options.min_query_confidence
    if threshold is None or confidence >= threshold:
        reason = f"query confidence {confidence:.2f}"
        if threshold is not None:
            reason += f" reaches {threshold:.2f}"
        return SearchResult(query, (), confidence, "answer", uncertain=False, reason=reason)
    reason = f"query confidence {confidence:.2f} is below {threshold:.2f}"
    if options.on_uncertain == "raise":
        raise UncertainQueryError(f"{reason}: {query!r}")
    decision: Decision = "abstain" if options.on_uncertain == "abstain" else "answer"
    return SearchResult(query, (), confidence, decision, uncertain=True, reason=reason)


def answer(judged: SearchResult, hits: tuple[Hit, ...]) -> SearchResult:
    """The result of :func:`judge` with the hits that were found; none at all is an abstention."""
    if hits:
        return replace(judged, hits=hits)
    return replace(judged, decision="abstain", reason=f"{judged.reason}; no point passes the filters")


def plan(query: QueryVectors, options: SearchOptions, rank_by: RankBy) -> models.QueryRequest:
    """The request that has the engine exclude, down-weight and rank; ``rank_by`` is not ``"auto"``."""
    weighted = options.confidence_weight > 0
    wanted = max(_CANDIDATES_PER_HIT * options.limit, _MIN_CANDIDATES) if weighted else options.limit
    ranked = _ranking(query, rank_by, _with_min_confidence(options), wanted)
    if weighted:
        ranked = {"prefetch": models.Prefetch(**ranked), "query": _down_weighting(options.confidence_weight)}
    return models.QueryRequest(**{**ranked, "limit": options.limit, "with_payload": True})


def to_hits(points: Sequence[models.ScoredPoint], query: QueryVectors, options: SearchOptions) -> tuple[Hit, ...]:
    """What the engine returned, as hits."""
    codes = query.codes.tolist()
    weight = options.confidence_weight
    hits = []
    for point in points:
        payload = dict(point.payload or {})
        features = payload.pop(PAYLOAD_KEY)
        confidence = features["confidence"]
        hits.append(
            Hit(
                id=features["id"],
                score=point.score / confidence**weight if weight else point.score,
                weighted_score=point.score,
                confidence=confidence,
                label=features["label"],
                text=features["text"],
                agreement=tuple(map(int.__eq__, codes, features["codes"])),
                payload=payload,
            )
        )
    return tuple(hits)


def _ranking(query: QueryVectors, rank_by: RankBy, query_filter: models.Filter | None, limit: int) -> dict[str, Any]:
    common: dict[str, Any] = {"filter": query_filter, "limit": limit}
    features = {**common, "query": query.features, "using": FEATURES_VECTOR}
    base = {**common, "query": query.base, "using": BASE_VECTOR}
    if rank_by == "features":
        return features
    if rank_by == "base":
        return base
    return {
        "prefetch": [models.Prefetch(**features), models.Prefetch(**base)],
        "query": models.FusionQuery(fusion=models.Fusion.RRF),
        "limit": limit,
    }


def _down_weighting(weight: float) -> models.FormulaQuery:
    power = models.PowExpression(pow=models.PowParams(base=CONFIDENCE_KEY, exponent=weight))
    return models.FormulaQuery(formula=models.MultExpression(mult=["$score", power]))


def _with_min_confidence(options: SearchOptions) -> models.Filter | None:
    if options.min_confidence is None:
        return options.query_filter
    condition = models.FieldCondition(key=CONFIDENCE_KEY, range=models.Range(gte=options.min_confidence))
    if options.query_filter is None:
        return models.Filter(must=[condition])
    return models.Filter(must=[condition, options.query_filter])


def _check_choice(value: str, choices: Any, name: str) -> None:
    if value not in get_args(choices):
        known = ", ".join(map(repr, get_args(choices)))
        raise ValueError(f"{name} must be one of {known}, got {value!r}")

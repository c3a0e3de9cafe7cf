"""Whether the traffic differs from the judged queries in another way than by its share of unanswerable ones."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence.likelihood_ratio import LikelihoodRatio
from fg_search.confidence.unanswerable_share import shares

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Features = Mapping[str, npt.NDArray[np.float64]]

LEVEL = 0.01
"""Probability below which what is seen is no chance: a shift is reported."""

_MAX_JUDGED = 2_000  # judged queries whose features are kept; up to half of them have no answer
_DRAWS = 400  # weightings of the queries
_STEPS = np.linspace(0.02, 0.98, 25)  # quantiles of either kind of judged query at which distributions are compared
_PRIOR = 0.5  # weight, in queries, of one below and of one above all that were seen (Jeffreys)
_LARGEST = float(np.finfo(np.float16).max)

_WORDS = {  # what fewer and what more queries with a low value are
    "similarity": ("less similar to their best hit than", "more similar to their best hit than"),
    "query_confidence": ("more ambiguous than", "less ambiguous than"),
    "hit_ambiguity": ("answered by less ambiguous hits than", "answered by more ambiguous hits than"),
    "spread": ("found with less outstanding hits than those of", "found with more outstanding hits than those of"),
    "lead": ("found with hits that agree less than those of", "found with hits that agree more than those of"),
    "rival_gap": ("nearer to a second answer than", "farther from a second answer than"),
    "familiarity": ("less familiar than", "more familiar than"),
}


@dataclass(frozen=True)
class TrafficShift:
    """Whether the traffic is what the promise is about: judged queries, in whatever mixture of its two kinds.

    Attributes:
        holds: Whether the promise holds, as far as the queries show; false if they differ in another way than by their
            share of unanswerable ones.
        reason: The same in words, and what differs most.
        p_value: Probability that chance makes queries differ as much that do not.
        feature: Feature that differs most, see :func:`fg_search.confidence.result_features`.
        value: Value of that feature at which the two differ most.
        observed: Share of the traffic at or below it.
        expected: Share that was to be expected.
        unanswerable: Estimated share of the traffic that has no answer; ``None`` if too few such queries were judged,
            so that another share is a shift as well.
        queries: Number of queries, each as often as it was asked.
    """

    holds: bool
    reason: str
    p_value: float
    feature: str
    value: float
    observed: float
    expected: float
    unanswerable: float | None
    queries: int

    def __str__(self) -> str:
        return self.reason

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a result from :meth:`to_dict`."""
        return cls(**data)


@dataclass(frozen=True, eq=False)
class JudgedFeatures:
    """Features of judged queries to compare the traffic with, in half precision.

    Attributes:
        rows: ``(n,)`` which of the judged queries they are: up to 2,000, of either kind.
        features: ``(n,)`` float64 by name.
    """

    rows: npt.NDArray[np.int64]
    features: dict[str, FloatArray]

    @classmethod
    def of(cls, features: Features, answerable: BoolArray) -> Self:
        """Keep what is needed of the features of all judged queries, of which these have an answer."""
        rows = _kept(answerable)
        return cls(rows, {name: _rounded(values[rows]) for name, values in features.items()})

    def to_dict(self) -> dict[str, str]:
        """JSON values; with :func:`from_dict` the inverse."""
        return {
            name: base64.b64encode(values.astype("<f2").tobytes()).decode() for name, values in self.features.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, str], answerable: BoolArray) -> Self:
        """Rebuild them from :meth:`to_dict`, and which of the judged queries have an answer."""
        features = {
            name: np.frombuffer(base64.b64decode(text), dtype="<f2").astype(np.float64) for name, text in data.items()
        }
        return cls(_kept(answerable), features)


def traffic_shift(
    judged: JudgedFeatures,
    judged_odds: FloatArray,
    answerable: BoolArray,
    features: Features,
    log_odds: FloatArray,
    counts: FloatArray | None = None,
    *,
    seed: int = 0,
) -> TrafficShift:
    """Compare the traffic with the judged queries, as they would be with the traffic's share of unanswerable ones.

    For each feature, the distribution of the traffic is compared with ``(1 - s) A + s U``: A and U are those of the
    judged queries with and without an answer, s is the share that makes the log odds of the traffic most likely, as in
    :func:`fg_search.confidence.unanswerable_share.shares`. The statistic is the largest difference of the distribution
    functions at quantiles of A and U over all features, in standard errors: a Kolmogorov-Smirnov statistic.

    What chance does is drawn by a Bayesian bootstrap (Rubin, 1981) of judged queries and traffic together, in which
    the share is estimated anew. So it allows for few judged queries without an answer, and for queries that are asked
    again and again. The standard errors are those of the draws.

    Args:
        judged: Features of n judged queries.
        judged_odds: ``(n,)`` log odds that each has an answer, by a model fitted without it.
        answerable: ``(n,)`` booleans, whether each has an answer.
        features: ``(m,)`` features of the traffic.
        log_odds: ``(m,)`` log odds that each of these queries has an answer.
        counts: ``(m,)`` number of times that each was asked; by default once.
        seed: Random seed of the draws.
    """
    asked = np.ones(len(log_odds)) if counts is None else counts
    draws = _Draws(np.random.default_rng(seed), judged.features, judged_odds, answerable)
    return draws.compare({name: _rounded(features[name]) for name in judged.features}, log_odds, asked)


class _Draws:
    """Weightings of judged queries, with what is to be expected by each of them."""

    def __init__(
        self, rng: np.random.Generator, features: dict[str, FloatArray], log_odds: FloatArray, answerable: BoolArray
    ) -> None:
        self._rng = rng
        kinds = [kind for kind in (answerable, ~answerable) if kind.any()]
        self._points = {
            name: np.unique(np.concatenate([np.quantile(values[kind], _STEPS, method="lower") for kind in kinds]))
            for name, values in features.items()
        }
        below = self._below(features)
        weights = [rng.exponential(size=(_DRAWS, int(kind.sum()))) for kind in kinds]
        self._expected = [below[kind].mean(axis=0) for kind in kinds]
        self._drawn = [self._shares_below(weight, below[kind]) for weight, kind in zip(weights, kinds, strict=True)]
        self._ratio = self._ratios = None
        if len(kinds) > 1:
            evidence = log_odds[answerable], log_odds[~answerable]
            self._ratio = LikelihoodRatio.fit(*evidence)
            self._ratios = LikelihoodRatio.fit(*evidence, (weights[0], weights[1]))

    def compare(self, features: dict[str, FloatArray], log_odds: FloatArray, counts: FloatArray) -> TrafficShift:
        below, weights = self._below(features), counts / counts.mean()
        drawn_weights = weights * self._rng.exponential(size=(_DRAWS, len(weights)))
        observed = weights @ below / weights.sum()
        drawn = self._shares_below(drawn_weights, below)
        share = None
        if self._ratio is None or self._ratios is None:
            (expected,), (expected_drawn,) = self._expected, self._drawn
        else:
            share = float(shares(self._ratio(log_odds), weights[None])[0])
            expected = _mixed(share, *self._expected)
            expected_drawn = _mixed(shares(self._ratios(log_odds), drawn_weights)[:, None], *self._drawn)
        difference = drawn - expected_drawn
        error = difference.std(axis=0)
        by_chance = np.abs(difference - difference.mean(axis=0)) / error
        seen = np.abs(observed - expected) / error
        p_value = float((1 + (by_chance.max(axis=1) >= seen.max()).sum()) / (1 + _DRAWS))
        at = int(seen.argmax())
        name, value = [(name, value) for name, values in self._points.items() for value in values.tolist()][at]
        return _described(
            p_value, name, value, float(observed[at]), float(expected[at]), share, round(float(counts.sum()))
        )

    def _below(self, features: dict[str, FloatArray]) -> FloatArray:
        """Whether each query is at or below each point of each feature, ``(n, points)`` zeros and ones."""
        below = [features[name][:, None] <= points for name, points in self._points.items()]
        return np.concatenate(below, axis=1).astype(np.float64)

    def _shares_below(self, weights: FloatArray, below: FloatArray) -> FloatArray:
        """Share of the weight at or below each point, ``(draws, points)``, and a little beyond all that was seen."""
        less, more = self._rng.gamma(_PRIOR, size=(2, _DRAWS, 1))
        return np.asarray((weights @ below + less) / (weights.sum(axis=1, keepdims=True) + less + more))


def _mixed(share: Any, with_answer: FloatArray, without: FloatArray) -> FloatArray:
    return np.asarray((1 - share) * with_answer + share * without)


def _described(
    p_value: float,
    name: str,
    value: float,
    observed: float,
    expected: float,
    share: float | None,
    queries: int,
) -> TrafficShift:
    holds = p_value >= LEVEL
    chance = f"p = {p_value:.3f}, {queries:,} queries"
    if holds:
        known = "" if share is None else f", of which an estimated {share:.1%} have no answer"
        reason = f"the queries are like those judged{known} ({chance})"
    else:
        lower = observed > expected
        words = _WORDS.get(name, (f"lower in {name} than", f"higher in {name} than"))[0 if lower else 1]
        seen, awaited = (observed, expected) if lower else (1 - observed, 1 - expected)
        known = "" if share is None else f", even if {share:.1%} of them have no answer"
        reason = (
            f"the promise no longer holds, since queries are {words} those judged{known}: {seen:.1%} of them are where "
            f"{awaited:.1%} were to be expected ({chance}); calibrate again on queries of today"
        )
    return TrafficShift(holds, reason, p_value, name, value, observed, expected, share, queries)


def _kept(answerable: BoolArray) -> npt.NDArray[np.int64]:
    """Rows of the first judged queries of either kind."""
    without, with_answer = np.flatnonzero(~answerable), np.flatnonzero(answerable)
    few = without[: max(_MAX_JUDGED // 2, _MAX_JUDGED - len(with_answer))]
    return np.sort(np.concatenate([few, with_answer[: _MAX_JUDGED - len(few)]]))


def _rounded(values: FloatArray) -> FloatArray:
    """The values as they are kept: in half precision."""
    return np.asarray(values, dtype=np.float64).clip(-_LARGEST, _LARGEST).astype(np.float16).astype(np.float64)

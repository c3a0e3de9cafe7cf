"""Whether the traffic differs from the judged queries in another way than by its share of unanswerable ones."""

from __future__ import annotations

import base64
import itertools
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
"""P-value below which a shift is reported."""

_MAX_JUDGED = 2_000  # judged queries whose features are kept; up to half of them have no answer
_DRAWS = 400  # weightings of the queries
_STEPS = np.linspace(0.02, 0.98, 25)  # quantiles of either kind of judged query at which distributions are compared
_PRIOR = 0.5  # weight, in queries, of one below and of one above all that were seen (Jeffreys)
_MOST_OF_ONE = 1 / 400  # share of the traffic that a query counts at most: draws of few heavy ones say little of chance
_LEAST = 1e-9
_LARGEST = float(np.finfo(np.float16).max)

_WORDS = {  # what queries are that have much of a feature
    "similarity": "similar to their best hits",
    "query_confidence": "unambiguous",
    "hit_ambiguity": "near to ambiguous items",
    "spread": "close to one hit alone",
    "lead": "supported by hits of one label",
    "rival_gap": "far from a second answer",
    "familiarity": "familiar",
}
# Their differences are compared as well: new intents and other scripts are too familiar for how similar they are to
# anything, or not enough, while more unanswerable queries explain any change of one of them (benchmarks/shift.py).
_CONTRASTED = ("familiarity", "similarity", "query_confidence", "lead")
_AGAINST = " - "


@dataclass(frozen=True)
class TrafficShift:
    """Whether the traffic is what the promise is about: judged queries, in whatever mixture of its two kinds.

    Attributes:
        holds: Whether the promise holds, as far as the queries show; false if they differ in another way than by their
            share of unanswerable ones.
        reason: The same in words, and what differs most.
        p_value: Probability that chance makes queries differ as much that do not.
        feature: Feature that differs most, see :func:`fg_search.confidence.result_features`, or the difference of two,
            such as ``"familiarity - similarity"``, each in standard deviations from the mean of the judged queries.
        value: Value of it at which the two differ most.
        observed: Share of the traffic at or below it.
        expected: Share that was to be expected.
        unanswerable: Estimated share of the traffic that has no answer, where no query counts for more than a 400th;
            ``None`` if too few such queries were judged, so that another share is a shift as well.
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
    :func:`fg_search.confidence.unanswerable_share.shares`. The difference of the two distribution functions is squared,
    in standard errors, and averaged over quantiles of A and U, much as by Anderson & Darling (1952). The statistic is
    the largest such average, in units of what chance makes of it, over all features and some differences of two.

    What chance does is drawn by a Bayesian bootstrap (Rubin, 1981) of judged queries and traffic together, in which
    the share is estimated anew. So it allows for few judged queries without an answer, and for queries that are asked
    again and again. The log odds themselves are not compared: those of the judged queries are by other models.

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
        self._scales = {name: (float(values.mean()), float(values.std()) + _LEAST) for name, values in features.items()}
        features = self._with_contrasts(features)
        kinds = [kind for kind in (answerable, ~answerable) if kind.any()]
        self._points = {
            name: np.unique(np.concatenate([np.quantile(values[kind], _STEPS, method="lower") for kind in kinds]))
            for name, values in features.items()
        }
        self._sizes = np.array([len(points) for points in self._points.values()])
        self._first = np.cumsum(self._sizes) - self._sizes
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
        below = self._below(self._with_contrasts(features))
        weights = np.minimum(counts, _MOST_OF_ONE * counts.sum())
        weights = weights / weights.mean()
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
        by_chance = self._averages(((difference - difference.mean(axis=0)) / error) ** 2)
        errors = ((observed - expected) / error) ** 2
        seen = self._averages(errors[None]) / by_chance.mean(axis=0)
        most = (by_chance / by_chance.mean(axis=0)).max(axis=1)
        p_value = float((1 + (most >= seen.max()).sum()) / (1 + _DRAWS))
        feature = int(seen.argmax())
        first, size = self._first[feature], self._sizes[feature]
        at = int(first + errors[first : first + size].argmax())
        name, value = [(name, value) for name, values in self._points.items() for value in values.tolist()][at]
        return _described(
            p_value, name, value, float(observed[at]), float(expected[at]), share, round(float(counts.sum()))
        )

    def _with_contrasts(self, features: dict[str, FloatArray]) -> dict[str, FloatArray]:
        standard = {
            name: (features[name] - self._scales[name][0]) / self._scales[name][1]
            for name in _CONTRASTED
            if name in features
        }
        pairs = itertools.combinations(standard, 2)
        return features | {f"{one}{_AGAINST}{other}": standard[one] - standard[other] for one, other in pairs}

    def _averages(self, values: FloatArray) -> FloatArray:
        """Mean over the points of each feature, ``(B, features)``, of ``(B, points)``."""
        return np.asarray(np.add.reduceat(values, self._first, axis=1) / self._sizes)

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
        seen, awaited = (observed, expected) if lower else (1 - observed, 1 - expected)
        known = "" if share is None else f", even if {share:.1%} of them have no answer"
        reason = (
            f"the promise no longer holds, since queries are {_words(name, lower)} than those judged{known}: "
            f"{seen:.1%} of them are where {awaited:.1%} were to be expected ({chance}); calibrate again on queries of "
            "today"
        )
    return TrafficShift(holds, reason, p_value, name, value, observed, expected, share, queries)


def _words(name: str, lower: bool) -> str:
    """What queries are that have less of a feature, or more."""
    one, _, other = name.partition(_AGAINST)
    if name in _WORDS:
        return f"{'less' if lower else 'more'} {_WORDS[name]}"
    if one in _CONTRASTED and other in _CONTRASTED:
        return f"{'less' if lower else 'more'} {_WORDS[one]}, for how {_WORDS[other]} they are,"
    return f"{'lower' if lower else 'higher'} in {name}"


def _kept(answerable: BoolArray) -> npt.NDArray[np.int64]:
    """Rows of the first judged queries of either kind."""
    without, with_answer = np.flatnonzero(~answerable), np.flatnonzero(answerable)
    few = without[: max(_MAX_JUDGED // 2, _MAX_JUDGED - len(with_answer))]
    return np.sort(np.concatenate([few, with_answer[: _MAX_JUDGED - len(few)]]))


def _rounded(values: FloatArray) -> FloatArray:
    """The values as they are kept: in half precision."""
    return np.asarray(values, dtype=np.float64).clip(-_LARGEST, _LARGEST).astype(np.float16).astype(np.float64)

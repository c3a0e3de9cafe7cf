"""What precision can be promised at each threshold, for a given or an estimated share of unanswerable queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence.answer_model import AnswerEvidence
from fg_search.confidence.likelihood_ratio import LikelihoodRatio
from fg_search.confidence.thresholds import PrecisionThreshold, fewest_answers
from fg_search.confidence.unanswerable_share import UnanswerableShare, shares

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_CANDIDATES = 201  # thresholds, at quantiles of the confidence
_DRAWS = 300  # weightings of the queries
_BLOCK = 50  # weightings at a time, which bounds the memory
# A doubt about the tail that few unanswerable queries show: the weight of one more that looks like an answerable one.
_DOUBT = 0.5
# Percentiles of a bootstrap over few queries are a little too narrow, and the largest threshold that passes is a little
# too lucky. Both numbers were chosen on five sets of queries (benchmarks/promise.py).
_NARROWER = 0.75
_INTERVAL = (0.1, 0.9)


@dataclass(frozen=True, eq=False)
class JudgedEvidence:
    """Evidence of n judged queries, each by a model fitted without it.

    Attributes:
        evidence: The evidence.
        correct: ``(n,)`` booleans, whether the hit is right.
        answerable: ``(n,)`` booleans, whether there is an answer; true where ``correct`` is.
        pretended: Whether they are items taken for queries, since nobody has judged a query yet.
        right_label: ``(n,)`` weight of the right label relative to the most probable one, in [0, 1]; NaN where there is
            no right label. ``None`` if nothing is known of labels.
    """

    evidence: AnswerEvidence
    correct: BoolArray
    answerable: BoolArray
    pretended: bool = False
    right_label: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.correct)

    def __getitem__(self, rows: npt.NDArray[Any]) -> JudgedEvidence:
        return replace(
            self,
            evidence=self.evidence[rows],
            correct=self.correct[rows],
            answerable=self.answerable[rows],
            right_label=None if self.right_label is None else self.right_label[rows],
        )

    @property
    def kind(self) -> Literal["judged", "pretended"]:
        """What kind of queries they are."""
        return "pretended" if self.pretended else "judged"

    @property
    def share(self) -> float:
        """Share of the unanswerable queries among them."""
        return float(1 - self.answerable.mean())


@dataclass(frozen=True, eq=False)
class Traffic:
    """Evidence of m different queries that nobody judged.

    Attributes:
        answerable: ``(m,)`` log odds that each has an answer.
        counts: ``(m,)`` float64 number of times that each was asked.
    """

    answerable: FloatArray
    counts: FloatArray


@dataclass(frozen=True, eq=False)
class PrecisionCurve:
    """Precision and coverage of the answers at each of t thresholds of the confidence.

    Attributes:
        share: Share of unanswerable queries that it is about.
        delta: Probability with which a precision may fall below its lower bound.
        queries: Number of judged queries.
        thresholds: ``(t,)`` float64 confidences, decreasing.
        precision: ``(t,)`` estimated precision of the answers at or above each, in [0, 1].
        lower: ``(t,)`` lower bound of the precision.
        coverage: ``(t,)`` estimated share of the queries that are answered.
    """

    share: UnanswerableShare
    delta: float
    queries: int
    thresholds: FloatArray = field(repr=False)
    precision: FloatArray = field(repr=False)
    lower: FloatArray = field(repr=False)
    coverage: FloatArray = field(repr=False)

    def threshold(self, target: float) -> PrecisionThreshold:
        """The lowest threshold whose lower bound reaches the target; falsy if there is none."""
        reached = np.flatnonzero(self.lower >= target)
        if not len(reached):
            nothing = PrecisionThreshold(None, target, self.delta, 0.0, float("nan"), self.queries, "", self.share)
            return replace(nothing, reason=self._why_none(target))
        at = int(reached[-1])
        threshold, coverage, precision = (
            float(values[at]) for values in (self.thresholds, self.coverage, self.precision)
        )
        return PrecisionThreshold(
            threshold,
            target,
            self.delta,
            coverage,
            precision,
            self.queries,
            f"at {threshold:.4g} and above, {coverage:.1%} of the queries are answered, {precision:.1%} of them right, "
            f"if {self.share}; new ones reach a precision of {target:.1%} with a certainty of {1 - self.delta:.0%} "
            f"({self.queries:,} judged queries)",
            self.share,
        )

    def _why_none(self, target: float) -> str:
        needed = fewest_answers(target, self.delta)
        if needed > self.queries:
            return (
                f"{self.queries} queries cannot show a precision of {target:.1%} with a certainty of "
                f"{1 - self.delta:.0%}: even without an error it takes {needed}; calibrate on more, or ask for less"
            )
        best = float(self.lower.max())
        return (
            f"no threshold reaches a precision of {target:.1%} with a certainty of {1 - self.delta:.0%} by these "
            f"{self.queries:,} queries, if {self.share}; the most that they can promise is {_floor(best)}: ask for "
            "less, or calibrate on more queries, with more that have no answer"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`from_dict`."""
        arrays = {name: getattr(self, name).tolist() for name in ("precision", "lower", "coverage")}
        return {
            "share": self.share.to_dict(),
            "delta": self.delta,
            "queries": self.queries,
            "thresholds": self.thresholds.tolist(),
            **arrays,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a curve from :meth:`to_dict`."""
        arrays = {
            name: np.asarray(data[name], dtype=np.float64) for name in ("thresholds", "precision", "lower", "coverage")
        }
        return cls(UnanswerableShare.from_dict(data["share"]), data["delta"], data["queries"], **arrays)


def precision_curve(
    judged: JudgedEvidence,
    ratio: LikelihoodRatio | None,
    *,
    stated: float | None = None,
    traffic: Traffic | None = None,
    delta: float = 0.1,
    seed: int = 0,
) -> PrecisionCurve:
    """Bound the precision at every threshold, for the traffic's share of unanswerable queries.

    With a share s, the precision at a threshold is ``(1 - s) R / ((1 - s) A + s U)``, where A and U are the shares of
    the answerable and the unanswerable queries that are answered, and R the share of the answerable ones that are
    answered rightly. All that is uncertain is drawn together, 300 times, by a Bayesian bootstrap (Rubin, 1981): every
    query gets a weight from the standard exponential distribution. One wrong answer more, of the highest confidence,
    gets a weight, too; without unanswerable queries, the lower bound is then that of Clopper & Pearson (1934). The
    tail of the unanswerable queries is estimated from the answerable ones by the ratio of their densities, fitted anew
    in each draw, as is the share.

    The bound holds for queries of the two kinds as they were judged, in whatever mixture. It is approximate: it takes
    the ratio to have the form of :class:`LikelihoodRatio`.

    Args:
        judged: Evidence of judged queries.
        ratio: Ratio fitted on it; ``None`` if no query is unanswerable.
        stated: Share of unanswerable queries, if it is known.
        traffic: Unjudged queries to estimate the share from. Without either, it is that of the judged queries.
        delta: Probability with which the precision may fall below the bound, in (0, 1).
        seed: Random seed of the draws.
    """
    return _Bounds(judged, ratio, stated, traffic).curve(delta, seed)


def confidence_at(share: float, evidence: AnswerEvidence, ratio: LikelihoodRatio | None) -> npt.NDArray[np.float32]:
    """Probability that each hit is right if a share of the queries has no answer, ``(n,)`` float32."""
    if ratio is None:
        return evidence.right.astype(np.float32)
    with_answer = (1 - share) / ((1 - share) + share * ratio(evidence.answerable)[0])
    return np.asarray(evidence.right * with_answer, dtype=np.float32)


class _Bounds:
    """Draws of the precision at candidate thresholds."""

    def __init__(
        self,
        judged: JudgedEvidence,
        ratio: LikelihoodRatio | None,
        stated: float | None,
        traffic: Traffic | None,
    ) -> None:
        self._judged, self._ratio, self._stated, self._traffic = judged, ratio, stated, traffic
        with_answer = judged.answerable
        self._yes, self._no = judged.evidence[with_answer], judged.evidence[~with_answer]
        self._wrong = ~judged.correct[with_answer]
        self._share = self._best_share()
        scores = confidence_at(self._share, judged.evidence, ratio).astype(np.float64)
        self._above_yes, self._above_no, self.thresholds = self._candidates(scores[with_answer], scores[~with_answer])

    def curve(self, delta: float, seed: int) -> PrecisionCurve:
        precision, share = (np.concatenate(parts) for parts in zip(*self._draws(seed), strict=True))
        low, high = (float(value) for value in np.quantile(share, _INTERVAL))
        estimate, coverage = self._estimate()
        return PrecisionCurve(
            self._described(low, high),
            delta,
            len(self._judged),
            self.thresholds,
            estimate,
            np.quantile(precision, delta * _NARROWER, axis=0),
            coverage,
        )

    def _best_share(self) -> float:
        if self._ratio is None:
            return 0.0
        if self._stated is not None:
            return self._stated
        if self._traffic is not None:
            return float(shares(self._ratio(self._traffic.answerable), self._traffic.counts[None])[0])
        return self._judged.share

    def _described(self, low: float, high: float) -> UnanswerableShare:
        if self._stated is not None:
            return UnanswerableShare(self._stated, self._stated, self._stated, "stated", 0)
        if self._traffic is not None:
            return UnanswerableShare(self._share, low, high, "estimated", int(self._traffic.counts.sum()))
        if self._ratio is None:
            return UnanswerableShare.unknown(len(self._judged))
        return UnanswerableShare(self._share, low, high, self._judged.kind, len(self._judged))

    def _candidates(self, yes: FloatArray, no: FloatArray) -> tuple[_Above, _Above, FloatArray]:
        steps = np.linspace(0, 1, _CANDIDATES)
        thresholds = np.unique(np.quantile(np.concatenate([yes, no]), steps, method="lower"))[::-1]
        return _Above(yes, thresholds), _Above(no, thresholds), thresholds

    def _estimate(self) -> tuple[FloatArray, FloatArray]:
        """Precision and coverage with all weights equal."""
        ones = np.ones((1, len(self._yes))), np.ones((1, len(self._no)))
        wrong, answered, beyond = self._shares_above(*ones, np.zeros((1, 1)), np.zeros((1, 1)), self._ratio)
        coverage = (1 - self._share) * answered + self._share * beyond
        false = (1 - self._share) * wrong + self._share * beyond
        return (1 - false / coverage)[0], coverage[0]

    def _draws(self, seed: int) -> Iterator[tuple[FloatArray, FloatArray]]:
        rng = np.random.default_rng(seed)
        for _ in range(_DRAWS // _BLOCK):
            yes, no, error, doubt = (
                rng.exponential(size=(_BLOCK, count)) for count in (len(self._yes), len(self._no), 1, 1)
            )
            ratio, share = self._ratio, np.zeros((_BLOCK, 1))
            if ratio is not None:
                ratio = LikelihoodRatio.fit(self._yes.answerable, self._no.answerable, (yes, no))
                share = self._share_of(ratio, yes, no, rng)[:, None]
            wrong, answered, beyond = self._shares_above(yes, no, error, doubt, ratio)
            false = (1 - share) * wrong + share * beyond
            yield 1 - false / ((1 - share) * answered + share * beyond), share[:, 0]

    def _share_of(
        self, ratio: LikelihoodRatio, yes: FloatArray, no: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        if self._stated is not None:
            return np.full(len(yes), self._stated)
        if self._traffic is not None:
            counts = self._traffic.counts
            return shares(ratio(self._traffic.answerable), counts * rng.exponential(size=(len(yes), len(counts))))
        without, with_answer = no.sum(axis=1), yes.sum(axis=1)
        return np.asarray(without / (without + with_answer), dtype=np.float64)

    def _shares_above(
        self, yes: FloatArray, no: FloatArray, error: FloatArray, doubt: FloatArray, ratio: LikelihoodRatio | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Shares at or above each threshold, (B, t): wrong and all of the answerable queries, and unanswerable ones."""
        total = yes.sum(axis=1, keepdims=True)
        wrong = (self._above_yes(yes * self._wrong) + error) / (total + error)
        answered = (self._above_yes(yes) + error) / (total + error)
        if ratio is None:
            return wrong, answered, np.zeros_like(answered)
        others = no.sum(axis=1, keepdims=True)
        # the distribution of the unanswerable on the queries of both kinds (Qin, 1998): where there are many of them
        # it is theirs, and in the tail it is that of the answerable, tilted
        at_yes, at_no = ratio(self._yes.answerable), ratio(self._no.answerable)
        yes_part, no_part = yes * at_yes / (total + others * at_yes), no * at_no / (total + others * at_no)
        mass = yes_part.sum(axis=1, keepdims=True) + no_part.sum(axis=1, keepdims=True)
        beyond = (self._above_yes(yes_part) + self._above_no(no_part)) / mass
        count = len(self._no)
        return wrong, answered, (count * beyond + _DOUBT * doubt * answered) / (count + _DOUBT * doubt)


class _Above:
    """Sums of weights of the queries at or above each threshold."""

    def __init__(self, scores: FloatArray, thresholds: FloatArray) -> None:
        self._order = np.argsort(-scores, kind="stable")
        self._last = np.searchsorted(-scores[self._order], -thresholds, side="right")

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Sums ``(B, t)`` of ``(B, n)`` weights."""
        sums = np.cumsum(weights[:, self._order], axis=1)
        return np.concatenate([np.zeros((len(weights), 1)), sums], axis=1)[:, self._last]


def _floor(precision: float) -> str:
    return f"{np.floor(1000 * precision) / 10:.1f}%"

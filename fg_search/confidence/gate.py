"""Answers or abstains, so that the answers reach a precision: for whatever ranks the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence.group_promise import JudgedGroups
from fg_search.confidence.promise import DELTA, PrecisionPromise
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.errors import NotFittedError
from fg_search.validation import check_booleans, check_count, check_mapping, is_missing

FloatArray = npt.NDArray[np.float64]
Evidence = Mapping[str, npt.ArrayLike]

_SAME = 1e-12  # scores that differ by a smaller part of themselves differ only by rounding


@dataclass(frozen=True, eq=False)
class GateDecisions:
    """Decisions about the results of n queries.

    Attributes:
        answer: ``(n,)`` booleans, whether to answer.
        confidence: ``(n,)`` float32 probability that each query is answered rightly.
        threshold: The threshold that decided, with the reason for it.
        by_group: Thresholds of the groups that decided in its place, by name; empty without groups.
    """

    answer: npt.NDArray[np.bool_]
    confidence: npt.NDArray[np.float32]
    threshold: PrecisionThreshold
    by_group: Mapping[str, PrecisionThreshold] = field(default_factory=dict)


class PrecisionGate:
    """Decides which results to answer with, so that the answers reach a precision.

    It stands behind any ranking: an index, a fusion, a reranker. Judged queries teach it how sure a result is, and
    which thresholds keep a promise. Where some of them have no answer, it learns apart whether a query has one and
    whether the result is it, and :meth:`adapt` follows the traffic when more such queries come, without a judgment.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> scores = -np.sort(-rng.uniform(size=(400, 5)))
        >>> gate = PrecisionGate().fit(scores, relevant=rng.uniform(size=400) < scores[:, 0] ** 9)
        >>> decisions = gate.decide(scores, target_precision=0.7)
        >>> bool(decisions.answer.any()), bool(decisions.answer.all())
        (True, False)
    """

    def __init__(self) -> None:
        self._promise: PrecisionPromise | None = None
        self._scale = 1.0

    def __repr__(self) -> str:
        if self._promise is None:
            return "PrecisionGate()"
        return f"PrecisionGate({self._promise.queries:,} judged queries; {self._promise.share})"

    @property
    def promise(self) -> PrecisionPromise:
        """What was learned.

        Raises:
            NotFittedError: Before :meth:`fit`.
        """
        if self._promise is None:
            raise NotFittedError("this gate was not fitted; call fit(scores, relevant) with judged results")
        return self._promise

    def fit(
        self,
        scores: npt.ArrayLike,
        relevant: npt.ArrayLike,
        *,
        answerable: npt.ArrayLike | None = None,
        relevant_within: int = 1,
        evidence: Evidence | None = None,
        groups: Sequence[object] | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn from judged results.

        Args:
            scores: ``(n, k)`` scores of the results, best first, on any scale on which more is better; NaN for missing
                results at the end. ``(n,)`` scores of the first results will do.
            relevant: ``(n, k)`` booleans, whether each result is right, or ``(n,)`` for the first results alone.
            answerable: ``(n,)`` booleans, whether there is an answer at all. By default a query has one if any of its
                results is right; with judgments of the first results alone, all queries have one.
            relevant_within: A query is answered rightly if one of its first ``relevant_within`` results is right.
            evidence: ``(n,)`` further numbers by name, higher for results that are more likely right (familiarity of
                the query, say), on the scale of similarities, shares or log odds.
            groups: ``(n,)`` values, such as the labels of the first results, to each of which the precision is promised
                by itself: thresholds go up where answers are right less often. ``None`` is no group.
            seed: Random seed of the folds.

        Raises:
            ValueError: If shapes do not match, a number is not finite, evidence has the name of a number that scores
                have themselves (``"score"``, ``"lead"``, ``"spread"``), or nearly all results are right or wrong.
        """
        table, shape = _scores(scores), np.shape(relevant)
        if shape not in ((len(table),), table.shape):
            raise ValueError(f"relevant has shape {shape}, scores has {table.shape}")
        judged = check_booleans(np.ravel(relevant), name="relevant").reshape(len(table), -1)
        if check_count(relevant_within, name="relevant_within") > judged.shape[1]:
            raise ValueError(
                f"relevant_within must be at most the number of judged results of a query, {judged.shape[1]}, "
                f"got {relevant_within}"
            )
        correct = np.asarray(judged[:, :relevant_within].any(axis=1))
        if answerable is None:
            answerable = judged.any(axis=1) if len(shape) > 1 else np.ones(len(correct), dtype=bool)
        scale = _scale(table[:, 0])
        self._promise = PrecisionPromise.learn(
            _features(table / scale, evidence),
            correct,
            answerable,
            groups=None if groups is None else JudgedGroups.of("group", _grouped(groups, len(table))),
            seed=seed,
        )
        self._scale = scale
        return self

    def adapt(
        self,
        scores: npt.ArrayLike | None = None,
        *,
        counts: npt.ArrayLike | None = None,
        evidence: Evidence | None = None,
        expected_unanswerable: float | None = None,
    ) -> PrecisionGate:
        """A gate for traffic with another share of unanswerable queries; this one stays as it is.

        Args:
            scores: ``(m, k)`` scores of different unjudged queries, as in :meth:`fit`, to estimate the share from.
            counts: ``(m,)`` number of times that each was asked; by default once. Equal queries are no evidence of
                their own: give each once.
            evidence: Further numbers, as in :meth:`fit`.
            expected_unanswerable: The share, in [0, 1), if you know it.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If both or neither are given, or there are too few queries.
        """
        features = None if scores is None else self._evidence(scores, evidence)
        asked = None if features is None or counts is None else _counts(counts, features)
        adapted = PrecisionGate()
        adapted._scale = self._scale
        adapted._promise = self.promise.adapted(features, counts=asked, expected_unanswerable=expected_unanswerable)
        return adapted

    def check_traffic(
        self, scores: npt.ArrayLike, *, counts: npt.ArrayLike | None = None, evidence: Evidence | None = None
    ) -> TrafficShift:
        """Whether unjudged queries are like the judged ones, in whatever mixture of those with and without an answer.

        If not, what is promised need not hold, even after :meth:`adapt`.

        Args:
            scores: ``(m, k)`` scores of different unjudged queries, as in :meth:`fit`.
            counts: ``(m,)`` number of times that each was asked; by default once.
            evidence: Further numbers, as in :meth:`fit`.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If there are too few queries.
        """
        features = self._evidence(scores, evidence)
        return self.promise.shift(features, counts=None if counts is None else _counts(counts, features))

    def confidence(self, scores: npt.ArrayLike, *, evidence: Evidence | None = None) -> npt.NDArray[np.float32]:
        """Probability that each query is answered rightly, ``(n,)`` float32; arguments as in :meth:`fit`.

        It is 0 for a query without any result, whose scores are all NaN.
        """
        promise = self.promise
        table = _table(scores)
        found = ~np.isnan(table).all(axis=1) if table.size else np.zeros(len(table), dtype=bool)
        confidence = np.zeros(len(table), dtype=np.float32)
        if found.any():
            rows = {name: _further(name, values, len(table))[found] for name, values in _given(evidence).items()}
            confidence[found] = promise.confidence(self._evidence(table[found], rows))
        return confidence

    def threshold(
        self, target_precision: float, delta: float = DELTA, *, group: object | None = None
    ) -> PrecisionThreshold:
        """The lowest confidence at which answers reach a precision; falsy, with a reason, if there is none.

        Args:
            target_precision: The precision, in (0, 1).
            delta: Probability with which the precision may fall below it, in [0.01, 1).
            group: One of the groups given to :meth:`fit`, or a new one: its threshold, never below that of all.
        """
        pooled = self.promise.threshold(target_precision, delta)
        return pooled if group is None else self.promise.group_thresholds(pooled).promise(str(group)).threshold

    def decide(
        self,
        scores: npt.ArrayLike,
        target_precision: float,
        *,
        evidence: Evidence | None = None,
        groups: Sequence[object] | None = None,
        delta: float = DELTA,
    ) -> GateDecisions:
        """Answer, or abstain. If the target cannot be promised, no query is answered; nor is one without any result.

        Args:
            scores: ``(n, k)`` scores, as in :meth:`fit`, but for rows that are all NaN, of queries without any result.
            target_precision: Precision that the answers are to reach, in (0, 1).
            evidence: Further numbers, as in :meth:`fit`.
            groups: ``(n,)`` values as in :meth:`fit`: each query is decided by the threshold of its group.
            delta: Probability with which the precision may fall below the target, in [0.01, 1).

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If an argument is out of range, or there are groups and :meth:`fit` had none.
        """
        threshold = self.threshold(target_precision, delta)
        confidence = self.confidence(scores, evidence=evidence)
        if groups is None:
            return GateDecisions(confidence >= _least(threshold), confidence, threshold)
        of_groups, names = self.promise.group_thresholds(threshold), _grouped(groups, len(confidence))
        known = {name: of_groups.promise(name).threshold for name in dict.fromkeys(names) if name is not None}
        least = np.array([_least(threshold if name is None else known[name]) for name in names])
        return GateDecisions(confidence >= least, confidence, threshold, known)

    def to_dict(self) -> dict[str, Any]:
        """The fitted gate as JSON values; the inverse of :meth:`from_dict`."""
        return {"scale": self._scale, "promise": self.promise.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a gate from :meth:`to_dict`.

        Raises:
            FormatVersionError: If a newer release wrote it.
        """
        gate = cls()
        gate._scale, gate._promise = float(data["scale"]), PrecisionPromise.from_dict(data["promise"])
        return gate

    def _evidence(self, scores: npt.ArrayLike, evidence: Evidence | None) -> dict[str, FloatArray]:
        return _features(_scores(scores) / self._scale, evidence)


def _counts(counts: npt.ArrayLike, features: Mapping[str, FloatArray]) -> FloatArray:
    asked, queries = np.asarray(counts, dtype=np.float64), len(features["score"])
    if asked.shape != (queries,) or not (np.isfinite(asked) & (asked > 0)).all():
        raise ValueError(f"counts must hold a number greater than 0 for each of the {queries} queries")
    return asked


def _scale(top: FloatArray) -> float:
    """Standard deviation of the top scores, or their size if they are all the same."""
    size = float(np.abs(top).max()) or 1.0
    spread = float(np.std(top / size))  # of large numbers, the squares would not be finite
    return size * spread if spread > _SAME else size


def _features(scaled: FloatArray, evidence: Evidence | None) -> dict[str, FloatArray]:
    """Top score, its lead over the second result, and over the mean of the others; then the evidence."""
    top, others = scaled[:, 0], scaled[:, 1:]
    features = {"score": top}
    if others.shape[1]:
        found = ~np.isnan(others)
        listed = np.where(found, others, 0)
        worst = np.nanmin(scaled, axis=1)
        features["lead"] = top - np.where(found[:, 0], listed[:, 0], worst)
        mean = listed.sum(axis=1) / np.maximum(found.sum(axis=1), 1)
        features["spread"] = top - np.where(found.any(axis=1), mean, worst)
    return features | {name: _further(name, values, len(top)) for name, values in _given(evidence).items()}


def _given(evidence: Evidence | None) -> Evidence:
    if evidence is None:
        return {}
    check_mapping(evidence, "evidence", example="{'familiarity': [0.2, 0.9]}")
    return evidence


def _further(name: str, values: npt.ArrayLike, queries: int) -> FloatArray:
    if name in ("score", "lead", "spread"):
        raise ValueError(f"evidence[{name!r}] has the name of a number that scores have themselves; rename it")
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (queries,):
        raise ValueError(f"evidence[{name!r}] has shape {numbers.shape}, scores has {queries} queries")
    if not np.isfinite(numbers).all():
        raise ValueError(f"evidence[{name!r}] is not finite at position {int((~np.isfinite(numbers)).argmax())}")
    return numbers


def _least(threshold: PrecisionThreshold) -> float:
    return np.inf if threshold.threshold is None else threshold.threshold


def _grouped(groups: Sequence[object], queries: int) -> list[str | None]:
    """Names of groups."""
    if len(groups) != queries:
        raise ValueError(f"groups has {len(groups)} values, scores has {queries} queries")
    return [None if is_missing(value) else str(value) for value in groups]


def _scores(scores: npt.ArrayLike) -> FloatArray:
    """Scores of at least one query, each with a result, as an ``(n, k)`` array."""
    table = _table(scores)
    if not table.size:
        raise ValueError(f"scores must be of at least one query and one result, got shape {np.shape(scores)}")
    missing = np.isnan(table)
    if missing[:, 0].any():
        raise ValueError(f"scores[{int(missing[:, 0].argmax())}] has no result; leave such queries out: abstain")
    if np.isinf(table).any():
        raise ValueError(f"scores{np.argwhere(np.isinf(table))[0].tolist()} is infinite")
    if (missing[:, :-1] & ~missing[:, 1:]).any() or (np.diff(table) > 0).any():
        raise ValueError("the scores of a query must fall from the best result to the last, with NaN at the end")
    return table


def _table(scores: npt.ArrayLike) -> FloatArray:
    table = np.asarray(scores, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2:
        raise ValueError(f"scores must have shape (n, k) or (n,), got {np.shape(scores)}")
    return table

"""The lowest confidence threshold that reaches a target precision, with a finite-sample guarantee."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from fg_search.confidence.unanswerable_share import UnanswerableShare
from fg_search.validation import check_inner_fraction, check_outcomes

GroupBasis = Literal["own", "pooled", "not promised", "none"]

_CANDIDATES = 100  # maximum number of thresholds tried; more would only add chances to stop early


@dataclass(frozen=True)
class PrecisionThreshold:
    """A confidence threshold for a target precision; falsy if no threshold reaches it.

    Attributes:
        threshold: Lowest confidence to answer; ``None`` if no threshold reaches the target.
        target: Target precision, in (0, 1).
        delta: Probability, in (0, 1), that the precision on new queries may fall below the target.
        coverage: Share of the calibration queries that are answered, in [0, 1].
        precision: Share of right answers among the answered queries, in [0, 1]; NaN if none is answered.
        queries: Number n of calibration queries.
        reason: One sentence that explains the result.
        share: Share of unanswerable queries that it is about; ``None`` if that was not looked at.
        group: Label or tenant whose threshold it is; ``None`` if it is that of all queries together. With a group,
            ``queries``, ``coverage`` and ``precision`` are about its own queries.
        grouped_by: What the group is: ``"label"``, ``"tenant"`` or ``"group"``.
        basis: Where a group's threshold comes from: ``"own"`` (higher than that of all), ``"pooled"`` (that of all,
            which the group reaches the target with), ``"not promised"`` (that of all, and too few judged queries to
            tell), ``"none"`` (no threshold: the group falls short, or nothing can be promised at all).
    """

    threshold: float | None
    target: float
    delta: float
    coverage: float
    precision: float
    queries: int
    reason: str
    share: UnanswerableShare | None = None
    group: str | None = None
    grouped_by: str | None = None
    basis: GroupBasis | None = None

    @property
    def of_group(self) -> str:
        """How a decision by a group's threshold is told from one by that of all; empty if it is that of all."""
        if self.basis == "own":
            return f", the own threshold of {self.grouped_by} {self.group}"
        if self.basis == "not promised":
            return f", which is not promised for {self.grouped_by} {self.group} by itself"
        return ""

    def __bool__(self) -> bool:
        return self.threshold is not None

    def __str__(self) -> str:
        return self.reason


def threshold_for_precision(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, target: float, *, delta: float = 0.1
) -> PrecisionThreshold:
    """Choose the lowest threshold at which answers are right with probability at least ``target``.

    Over random draws of the n calibration queries, the precision on new queries from the same distribution falls below
    ``target`` with probability at most ``delta``. Candidate thresholds are ordered by the number of queries they
    answer, from few to many, before any outcome is seen. Each is tested for "the precision is below the target" by an
    exact binomial test at level ``delta``, and the last one before the first failure is chosen (fixed-sequence testing:
    Bates et al., 2021; "Learn then Test", Angelopoulos et al., 2021). Because the sequence runs over ranks, the
    guarantee assumes that the probability of being right does not decrease as the confidence increases.

    Args:
        confidence: ``(n,)`` finite numbers on any scale, higher is more confident, for queries that neither the head
            nor the calibrator was fitted on.
        correct: ``(n,)`` booleans, whether the answer is right; always false for an out-of-scope query.
        target: Target precision, in (0, 1).
        delta: Allowed probability of missing the target, in (0, 1).

    Returns:
        The threshold with its coverage; falsy, with a reason, if no threshold reaches the target.

    Raises:
        ValueError: If lengths differ or are zero, a confidence is not finite, or a number is out of range.

    Example:
        >>> found = threshold_for_precision([0.9] * 80 + [0.2] * 20, [True] * 80 + [False] * 20, target=0.95)
        >>> found.threshold, found.coverage
        (0.9, 0.8)
    """
    from scipy.stats import binom

    scores, right = check_outcomes(confidence, correct)
    check_inner_fraction(target, name="target")
    check_inner_fraction(delta, name="delta")
    order = np.argsort(-scores, kind="stable")
    scores, errors = scores[order], np.cumsum(~right[order])
    last_of_tie = np.searchsorted(-scores, -scores, side="right")  # number of queries at or above each confidence
    answered = last_of_tie[_sequence(len(scores), target, delta) - 1]
    passed = np.asarray(binom.cdf(errors[answered - 1], answered, 1 - target)) <= delta
    before_failure = len(passed) if passed.all() else int(passed.argmin())
    chosen = int(answered[before_failure - 1]) if before_failure else 0
    if not chosen:
        return PrecisionThreshold(
            None, target, delta, 0.0, float("nan"), len(scores), _why_none(len(scores), target, delta)
        )
    coverage, precision = chosen / len(scores), 1 - float(errors[chosen - 1]) / chosen
    return PrecisionThreshold(
        float(scores[chosen - 1]),
        target,
        delta,
        coverage,
        precision,
        len(scores),
        f"at {scores[chosen - 1]:.4g} and above, {coverage:.1%} of {len(scores):,} queries are answered, "
        f"{precision:.1%} of them right; "
        f"new ones reach a precision of {target:.1%} with a certainty of {1 - delta:.0%}",
    )


@lru_cache
def fewest_answers(target: float, delta: float, errors: int = 0) -> int:
    """Smallest number of answers that passes the test with ``errors`` errors."""
    from scipy.stats import binom

    most = errors + 1
    while binom.cdf(errors, most, 1 - target) > delta:
        most *= 2
    return bisect_left(range(most + 1), True, lo=errors + 1, key=lambda n: binom.cdf(errors, n, 1 - target) <= delta)


def _sequence(queries: int, target: float, delta: float) -> npt.NDArray[np.int64]:
    """Ranks at which thresholds are tried; they depend only on the arguments, never on outcomes.

    Given enough queries, the first rank tolerates up to three errors. A sequence that started with the smallest set
    that can pass would stop at a single stray error.
    """
    start = next(
        (first for errors in (3, 2, 1, 0) if (first := fewest_answers(target, delta, errors)) <= queries // 4),
        fewest_answers(target, delta),
    )
    if start > queries:
        return np.empty(0, dtype=np.int64)
    return np.unique(np.linspace(start, queries, min(_CANDIDATES, queries - start + 1)).astype(np.int64))


def _why_none(queries: int, target: float, delta: float) -> str:
    needed = fewest_answers(target, delta)
    if needed > queries:
        return (
            f"{queries} queries cannot show a precision of {target:.1%} with a certainty of {1 - delta:.0%}: "
            f"even without an error it takes {needed}; calibrate on more, or ask for less"
        )
    return (
        f"no threshold reaches a precision of {target:.1%} with a certainty of {1 - delta:.0%} on these {queries:,} "
        "queries: the most confident answers contain too many errors"
    )

"""What judged answers prove about their precision, at any time: bounds that hold however often one looks at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.validation import check_inner_fraction, is_number

FloatArray = npt.NDArray[np.float64]

_STAKES = 64  # strategies that the capital is divided among
_STEPS = 24  # halvings of an interval that holds a bound: to a millionth
_ROUNDING = 1e-9

_QUANTILES = (np.arange(_STAKES) + 0.5) / _STAKES
# most answers are right: stakes on that are mostly high, of Beta(1, 1/2), and stakes on wrong ones mostly low, of
# Beta(1/2, 1); both were as tight as any other at 20 to 200 judgements, within .01
_STAKES_ON_RIGHT = 1 - (1 - _QUANTILES) ** 2
_STAKES_ON_WRONG = _QUANTILES**2


@dataclass(frozen=True)
class PrecisionBounds:
    """What is known of a precision.

    Attributes:
        lower: It is at least this, with a certainty of 90 % unless the audit was told otherwise; in [0, 1].
        upper: It is at most this, with the same certainty, in [0, 1].
        estimate: Unbiased estimate, in about [0, 1]; NaN before anything was judged.
        judged: Number of judged answers.
        right: Number of right ones among them.
    """

    lower: float
    upper: float
    estimate: float
    judged: int
    right: int


class PrecisionAudit:
    """Bounds of a precision that may be looked at after every judgement, and at any of them one may stop.

    Somebody who believes that the precision is ``m`` would take any fair bet on the next judgement. A gambler stakes
    a share of his capital on "right" in each; if ``m`` is true, the capital is a martingale, and ever exceeds 1/delta
    with a probability of delta at most (Ville, 1939). So the lower bound is the greatest ``m`` at which it has been
    exceeded: a confidence sequence by betting (Waudby-Smith & Ramdas, 2024, doi:10.1093/jrsssb/qkad009). The capital is
    spread over 64 shares to stake, as in Robbins' (1970) mixture. The upper bound is that of stakes on "wrong".

    Answers are drawn at random, with or without replacement:

    * with replacement, or from unending traffic: leave out ``total``;
    * without replacement, each next one with a probability in proportion to its weight among those that are left: give
      ``total``, the weight of all. The fair odds then follow what is left (Shekhar et al., 2023, arXiv:2305.06884), and
      once everything is judged, both bounds are the precision.

    Each bound alone holds at all times with a probability of ``1 - delta``.

    Args:
        total: Weight of all answers that are drawn from; ``None`` if they are drawn with replacement.
        delta: Probability with which a bound may ever be wrong, in (0, 1).

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> audit = PrecisionAudit()
        >>> for _ in range(50):
        ...     bounds = audit.observe(right=True)
        >>> round(bounds.lower, 3), audit.proves(0.9), audit.refutes(0.95)
        (0.942, True, False)
    """

    def __init__(self, *, total: float | None = None, delta: float = 0.1) -> None:
        check_inner_fraction(delta, name="delta")
        if total is not None and (not is_number(total) or not 0 < total < np.inf):
            raise ValueError(f"total must be a number greater than 0, got {total!r}")
        self._total, self._delta = total, delta
        self._outcomes: list[bool] = []
        self._weights: list[float] = []

    def __repr__(self) -> str:
        return f"PrecisionAudit({self.right} of {self.judged} right, total={self._total}, delta={self._delta})"

    @property
    def judged(self) -> int:
        """Number of judged answers."""
        return len(self._outcomes)

    @property
    def right(self) -> int:
        """Number of right ones among them."""
        return sum(self._outcomes)

    @property
    def estimate(self) -> float:
        """Unbiased estimate of the precision; NaN before anything was judged."""
        if not self._outcomes:
            return float("nan")
        outcomes = np.array(self._outcomes, dtype=bool)
        if self._total is None:
            return float(outcomes.mean())
        found, seen = self._sums(outcomes)
        return float(np.mean(found[:-1] + (self._total - seen[:-1]) * outcomes) / self._total)

    @property
    def bounds(self) -> PrecisionBounds:
        """What is known by now."""
        lower = self._lowest(np.array(self._outcomes, dtype=bool), _STAKES_ON_RIGHT)
        upper = 1 - self._lowest(~np.array(self._outcomes, dtype=bool), _STAKES_ON_WRONG)
        return PrecisionBounds(lower, upper, self.estimate, self.judged, self.right)

    def observe(self, right: bool, weight: float = 1.0) -> PrecisionBounds:
        """Add the judgement of the answer that was drawn next.

        Args:
            right: Whether it is right.
            weight: Its weight, greater than 0. It counts only if the audit has a ``total``.

        Raises:
            ValueError: If ``right`` is no boolean, the weight is out of range, or the weights exceed the total.
        """
        self.add(right, weight)
        return self.bounds

    def add(self, right: bool, weight: float = 1.0) -> None:
        """As :meth:`observe`, where the bounds in between are of no interest. They count nevertheless."""
        if right not in (0, 1):
            raise ValueError(f"right must be a boolean, got {right!r}")
        if not is_number(weight) or not 0 < weight < np.inf:
            raise ValueError(f"weight must be a number greater than 0, got {weight!r}")
        if self._total is not None and sum(self._weights) + weight > self._total * (1 + _ROUNDING):
            raise ValueError(f"the judged answers weigh more than the total of {self._total:g}")
        self._outcomes.append(bool(right))
        self._weights.append(float(weight))

    def proves(self, target: float) -> bool:
        """Whether the lower bound has reached a precision, in (0, 1).

        Raises:
            ValueError: If it is out of range.
        """
        check_inner_fraction(target, name="target")
        return self._excludes(target, np.array(self._outcomes, dtype=bool), _STAKES_ON_RIGHT)

    def refutes(self, target: float) -> bool:
        """Whether the upper bound has fallen below a precision, in (0, 1).

        Raises:
            ValueError: If it is out of range.
        """
        check_inner_fraction(target, name="target")
        return self._excludes(1 - target, ~np.array(self._outcomes, dtype=bool), _STAKES_ON_WRONG)

    def _lowest(self, outcomes: npt.NDArray[np.bool_], stakes: FloatArray) -> float:
        """Lower bound of the share of an outcome."""
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._excludes(middle, outcomes, stakes) else (low, middle)
        return low

    def _excludes(self, share: float, outcomes: npt.NDArray[np.bool_], stakes: FloatArray) -> bool:
        """Whether it was ever unlikely that an outcome has no greater share than this."""
        if not len(outcomes):
            return False
        expected = np.full(len(outcomes), share)
        if self._total is not None:
            found, seen = self._sums(outcomes)
            if found[-1] > share * self._total * (1 + _ROUNDING):
                return True  # not unlikely, but impossible
            expected = (share * self._total - found[:-1]) / (self._total - seen[:-1])
        gain = outcomes / np.maximum(expected, _ROUNDING)
        capital = np.cumsum(np.log1p(stakes * (gain[:, None] - 1)), axis=0)
        most = capital.max(axis=1)
        growth = most + np.log(np.exp(capital - most[:, None]).mean(axis=1))
        return bool(growth.max() >= -np.log(self._delta))

    def _sums(self, outcomes: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        """Weight of the answers with the outcome, and of all, ``(judged + 1,)``: before each judgement, and now."""
        weights = np.array(self._weights)
        found, seen = (np.concatenate([[0.0], np.cumsum(part)]) for part in (weights * outcomes, weights))
        return found, seen

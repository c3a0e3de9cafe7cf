"""What a confidence threshold that was chosen for a target precision reaches on other queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.evaluation.proportions import Proportion


@dataclass(frozen=True)
class ReachedPrecision:
    """Coverage and precision that a target precision gives on the evaluated queries.

    Attributes:
        target: Target precision.
        threshold: Queries with at least this confidence are answered. ``None`` if no threshold can promise the target.
        coverage: Share of the queries that are answered, in [0, 1].
        precision: Share of right answers among the answered queries, ``nan`` if none is answered.
        answered: Answered queries among all of them, with an interval.
        right: Right answers among the answered queries, with an interval.
        answerable: Answered queries among those that have an answer in the index.
        unanswerable: Answered queries among those that have none.
    """

    target: float
    threshold: float | None
    coverage: float
    precision: float
    answered: Proportion
    right: Proportion
    answerable: Proportion
    unanswerable: Proportion

    @classmethod
    def of(
        cls,
        target: float,
        threshold: float | None,
        confidence: npt.NDArray[np.float64],
        correct: npt.NDArray[np.bool_],
        in_scope: npt.NDArray[np.bool_],
    ) -> Self:
        """Answer the n queries of at least this confidence."""
        given = answered_at(threshold, confidence)
        answered, right = Proportion.of(given), Proportion.of(correct[given])
        return cls(
            target=target,
            threshold=threshold,
            coverage=answered.share,
            precision=right.share,
            answered=answered,
            right=right,
            answerable=Proportion.of(given[in_scope]),
            unanswerable=Proportion.of(given[~in_scope]),
        )


def answered_at(threshold: float | None, confidence: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """``(n,)`` booleans, whether each query is answered: none of them if there is no threshold."""
    return np.zeros(len(confidence), dtype=bool) if threshold is None else confidence >= threshold

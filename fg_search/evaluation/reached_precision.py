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
        given: npt.NDArray[np.bool_],
        correct: npt.NDArray[np.bool_],
        in_scope: npt.NDArray[np.bool_],
    ) -> Self:
        """Of n queries, some of which are answered: those of ``given``."""
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

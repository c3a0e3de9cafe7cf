"""Proportions with their confidence intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

_Z = 1.96  # normal quantile of a 95 % interval


@dataclass(frozen=True)
class Proportion:
    """A share of something counted, with its 95 % confidence interval (:func:`wilson_interval`).

    Attributes:
        count: Number of those that have it.
        total: Number of all.
        share: ``count / total``, in [0, 1]; NaN if there are none.
        low: Lower end of the interval; 0 if there are none.
        high: Upper end of the interval; 1 if there are none.
    """

    count: int
    total: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, has_it: npt.NDArray[np.bool_]) -> Self:
        """Count ``(n,)`` booleans."""
        count, total = int(has_it.sum()), len(has_it)
        if not total:
            return cls(0, 0, math.nan, 0.0, 1.0)  # one object, so that equal reports are equal
        return cls(count, total, count / total, *wilson_interval(count / total, total))


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson, 1927).

    Args:
        share: Observed proportion, in [0, 1].
        count: Number of observations, at least 1.

    Returns:
        Lower and upper end, in [0, 1].
    """
    square = _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z * ((share * (1 - share) + square / (4 * count)) / count) ** 0.5 / (1 + square / count)
    # for shares of 0 and 1 one end is the share itself, which rounding would miss
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))

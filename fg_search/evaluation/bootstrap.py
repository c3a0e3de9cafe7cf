"""Bootstrap confidence intervals of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.validation import check_inner_fraction


@dataclass(frozen=True)
class Interval:
    """A metric with its bootstrap confidence interval.

    Attributes:
        estimate: Metric on all items.
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Confidence level, such as .95.
    """

    estimate: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"


def bootstrap_interval(
    metric: Callable[..., float],
    *columns: npt.ArrayLike,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap (Efron, 1979): quantiles of the metric over resamples of the items with replacement.

    Args:
        metric: Function from the columns to a number; resamples for which it is NaN (only one class) are ignored.
            If it is NaN for all, so are the ends of the interval.
        columns: Arrays with one row per item, resampled together.
        level: Confidence level, in (0, 1).
        resamples: Number of resamples, at least 1.
        seed: Random seed.

    Raises:
        ValueError: If there are no columns, lengths differ, or a number is out of range.

    Example:
        >>> print(bootstrap_interval(lambda right: right.mean(), [1, 1, 0, 1, 1, 1, 0, 1], resamples=200))
        0.75 [0.5, 1]
    """
    check_inner_fraction(level, name="level")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    arrays: list[npt.NDArray[Any]] = [np.asarray(column) for column in columns]
    if not arrays or not len(arrays[0]) or len({len(array) for array in arrays}) > 1:
        raise ValueError(f"columns must be equally long and not empty, got lengths {[len(a) for a in arrays]}")
    rng = np.random.default_rng(seed)
    n = len(arrays[0])
    drawn = (rng.integers(n, size=n) for _ in range(resamples))
    values = np.array([metric(*(array[rows] for array in arrays)) for rows in drawn])
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)]) if len(known) else (np.nan, np.nan)
    return Interval(float(metric(*arrays)), float(low), float(high), level)

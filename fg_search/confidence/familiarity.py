"""Familiarity: how near an input is to what was learned from, on the scale of the examples themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

UNFAMILIAR = 0.05  # of inputs like those learned from, a twentieth is less familiar

_KNOTS = 256  # quantiles kept of the examples' similarities
_TAIL = UNFAMILIAR  # below this share there are too few examples to count: the tail is extrapolated
_SAME = 1e-6  # cosines that differ by less than this differ only by rounding
_LEAST_EXCESS = 1e-3  # smallest scale of the tail, in units of cosine
_EXCESS_OF_SPREAD = 0.5  # and in standard deviations, as texts have it: a tail of few examples says little


@dataclass(frozen=True, eq=False)
class FamiliarityScale:
    """Maps the largest similarity to anything learned to the share of the learned examples that are less familiar.

    Each of these is judged without itself, so that the share of a new input of the same kind is uniform in [0, 1]: it
    is a conformal p-value (Vovk et al., 2005) for "this is like what was learned". Below the twentieth that is
    least familiar the share falls exponentially, at the rate of the mean excess, so that inputs still rank where no
    example reaches.

    Attributes:
        knots: ``(q,)`` float32 similarities in ascending order, at the shares ``(i + 1/2) / q``.

    Raises:
        ValueError: If there are no knots, or they are not in order.

    Example:
        >>> scale = FamiliarityScale.of(np.linspace(0.5, 0.9, 101))
        >>> scale(np.array([0.2, 0.7, 1.0])).round(2)
        array([0. , 0.5, 1. ], dtype=float32)
    """

    knots: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.knots.ndim != 1 or not len(self.knots):
            raise ValueError(f"knots must be (q,) with at least one similarity, got shape {self.knots.shape}")
        if not (np.diff(self.knots) >= 0).all():
            raise ValueError("knots must be in ascending order")

    @classmethod
    def of(cls, similarities: FloatArray) -> FamiliarityScale:
        """The scale of n examples from the largest similarity ``(n,)`` of each to the others."""
        count = min(len(similarities), _KNOTS)
        shares = (np.arange(count) + 0.5) / max(count, 1)
        # "hazen" makes the knots of all n examples the examples themselves
        return cls(np.quantile(np.asarray(similarities, dtype=np.float32), shares, method="hazen").astype(np.float32))

    def __call__(self, similarities: FloatArray) -> npt.NDArray[np.float32]:
        """Familiarity ``(n,)`` float32 in (0, 1] of inputs with these largest similarities, ``(n,)``; 1 for a copy."""
        knots = self.knots.astype(np.float64)
        shares = (np.arange(len(knots)) + 0.5) / len(knots)
        last = np.append(np.diff(knots) > 0, True)  # of equal similarities
        asked = np.asarray(similarities, dtype=np.float64)
        start = float(np.quantile(knots, _TAIL, method="hazen"))
        below = knots[knots < start]
        excess = max(
            float((start - below).mean()) if len(below) else 0.0, _EXCESS_OF_SPREAD * float(knots.std()), _LEAST_EXCESS
        )
        found = np.interp(asked, np.append(knots[last], 1), np.append(shares[last], 1)).clip(_TAIL, 1)
        tail = _TAIL * np.exp(np.minimum(asked - start, 0) / excess)
        found = np.where(asked < start, tail, found)
        found = np.where(asked >= 1 - _SAME, 1, found)
        return np.asarray(found.clip(np.finfo(np.float32).tiny, 1), dtype=np.float32)

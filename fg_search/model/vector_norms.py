"""How long the vectors are that a head has learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

_SAMPLED = 16_384


@dataclass(frozen=True)
class VectorNorms:
    """Euclidean lengths of vectors: the 1st, 50th and 99th percentile.

    Attributes:
        low: Length that one in a hundred falls below.
        median: Length that half of them fall below.
        high: Length that one in a hundred exceeds.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, vectors: npt.NDArray[np.floating[Any]]) -> Self:
        """Of vectors ``(n, d)``, n at least one; of many, of an even sample."""
        sample = vectors[:: -(-len(vectors) // _SAMPLED)]
        low, median, high = np.quantile(np.linalg.norm(sample, axis=1), (0.01, 0.5, 0.99)).tolist()
        return cls(low, median, high)

    def to_dict(self) -> dict[str, float]:
        """The attributes, as JSON."""
        return asdict(self)

    @classmethod
    def of_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Of what :meth:`to_dict` returned."""
        return cls(*(float(saved[name]) for name in ("low", "median", "high")))

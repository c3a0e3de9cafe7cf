"""The share of queries that have no answer, estimated from queries that nobody judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

FloatArray = npt.NDArray[np.float64]
ShareSource = Literal["judged", "pretended", "stated", "estimated", "unknown"]

_HALVINGS = 22  # of the interval that holds the share
_MOST = 0.999


@dataclass(frozen=True)
class UnanswerableShare:
    """Share of the traffic's queries that have no answer.

    Attributes:
        value: The share, in [0, 1); ``None`` if it is unknown.
        low: Lower end of its 80 % interval; the value itself if it was stated.
        high: Upper end.
        source: ``"judged"`` (as among the judged queries), ``"pretended"`` (as among items taken for queries),
            ``"stated"``, ``"estimated"`` from unjudged queries, or ``"unknown"``: of the judged queries, too few were
            found to have no answer to tell what such queries look like.
        queries: Number of queries that it was taken from; 0 if it was stated.
    """

    value: float | None
    low: float | None
    high: float | None
    source: ShareSource
    queries: int

    @classmethod
    def unknown(cls, queries: int) -> Self:
        """The share among judged queries of which too few were found to have no answer."""
        return cls(None, None, None, "unknown", queries)

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "as many queries have no answer as of the judged ones, of which too few were found to have none"
        share = f"{self.value:.1%} of the queries have no answer"
        if self.source == "stated":
            return f"{share}, as stated"
        if self.source in ("judged", "pretended"):
            return f"{share}, as of the {self.source} ones"
        return f"{share} ({self.low:.1%} to {self.high:.1%}), as estimated from {self.queries:,} queries"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a share from :meth:`to_dict`."""
        # the engine drops what is null
        value, low, high = (data.get(name) for name in ("value", "low", "high"))
        return cls(value, low, high, data["source"], data["queries"])


def shares(ratio: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Maximum likelihood of the share of unanswerable queries, once for each of B weightings.

    The evidence of each query is drawn from a mixture of two densities of which only the ratio is known; the mixture's
    likelihood has a single maximum. Expectation maximisation (Saerens, Latinne & Decaestecker, 2002) climbs to the
    same; halving an interval gets there sooner.

    Args:
        ratio: ``(B, m)`` ratio of the densities, unanswerable to answerable, of m queries.
        weights: ``(B, m)`` positive weights of the queries; by default equal.

    Returns:
        ``(B,)`` float64 in [0, 1).
    """
    weighted = np.ones_like(ratio) if weights is None else weights
    surplus = ratio - 1
    low, high = np.zeros(len(ratio)), np.full(len(ratio), _MOST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rises = (weighted * surplus / (1 + middle[:, None] * surplus)).sum(axis=1) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return np.asarray((low + high) / 2, dtype=np.float64)

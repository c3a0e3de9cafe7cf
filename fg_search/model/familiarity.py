"""What a head has learned from, in short: prototypes of its examples, and how near to these the examples are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fg_search.arrays import row_slices, unit_rows
from fg_search.confidence.familiarity import FamiliarityScale

_PROTOTYPES = 512  # more, and even all examples, tell known from unknown no better (docs/how-sure.md)
_PASSES = 2  # of k-means
_SAMPLED = 16384  # examples that the prototypes are made of
_JUDGED = 4096  # examples that the scale is made of
_ROWS = 8192  # rows per product
_DECIMALS = 5  # of a cosine: the last ones depend on how many texts are embedded at once


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Prototypes of the examples that a head was trained on, and the scale of the similarity to them.

    Attributes:
        prototypes: ``(m, d)`` float32 tensor, rows of unit length: the examples themselves if there are few, otherwise
            the means of spherical k-means (Dhillon & Modha, 2001).
        scale: Maps the cosine to the nearest prototype to the share of the examples that are less familiar.
    """

    prototypes: Tensor
    scale: FamiliarityScale

    @classmethod
    def of(cls, embeddings: npt.NDArray[np.floating[Any]], *, seed: int = 0) -> Familiarity | None:
        """Summarise the examples ``(n, d)``, of many a sample; ``None`` for fewer than two: none can be judged."""
        if len(embeddings) < 2:
            return None
        rng = np.random.default_rng(seed)
        if len(embeddings) > _SAMPLED:
            embeddings = embeddings[np.sort(rng.permutation(len(embeddings))[:_SAMPLED])]
        rows = _unit(embeddings)
        order = torch.from_numpy(rng.permutation(len(rows)))
        prototypes, nearest = rows, torch.arange(len(rows))
        if len(rows) > _PROTOTYPES:
            prototypes = rows[order[:_PROTOTYPES]]
            for _ in range(_PASSES):
                nearest = torch.cat(
                    [(rows[some] @ prototypes.T).argmax(dim=1) for some in row_slices(len(rows), _ROWS)]
                )
                held, nearest = torch.unique(nearest, return_inverse=True)
                sums = torch.zeros(len(held), rows.shape[1]).index_add_(0, nearest, rows)
                prototypes = nn.functional.normalize(sums, dim=1)
        return cls(prototypes, FamiliarityScale.of(_without_themselves(rows, nearest, order[:_JUDGED])))

    def __call__(self, embeddings: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Familiarity ``(n,)`` float32 in (0, 1] of embeddings ``(n, d)``; see :class:`FamiliarityScale`."""
        return self.scale(self.similarity(embeddings))

    def similarity(self, embeddings: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Cosine ``(n,)`` float32 of embeddings ``(n, d)`` to the nearest prototype."""
        rows = _unit(embeddings)
        found = np.empty(len(rows), dtype=np.float32)
        for some in row_slices(len(rows), _ROWS):
            found[some] = (rows[some] @ self.prototypes.T).max(dim=1).values.numpy()
        return np.asarray(found.round(_DECIMALS), dtype=np.float32)


def _without_themselves(rows: Tensor, nearest: Tensor, judged: Tensor) -> npt.NDArray[np.float32]:
    """Cosine of each judged example to the nearest prototype, were it not among the examples."""
    count = int(nearest.max()) + 1
    sums = torch.zeros(count, rows.shape[1]).index_add_(0, nearest, rows)
    sizes = torch.bincount(nearest, minlength=count)
    prototypes = nn.functional.normalize(sums, dim=1)
    own = nearest[judged]
    others = nn.functional.normalize(sums[own] - rows[judged], dim=1)
    without = torch.where(sizes[own] > 1, (others * rows[judged]).sum(dim=1), -1.0)
    found = rows[judged] @ prototypes.T
    found[torch.arange(len(judged)), own] = without
    return np.asarray(found.max(dim=1).values.numpy(), dtype=np.float32)


def _unit(embeddings: npt.NDArray[np.floating[Any]]) -> Tensor:
    return torch.from_numpy(unit_rows(embeddings))

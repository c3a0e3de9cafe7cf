"""Maximal marginal relevance on sparse vectors, which the engine offers for dense ones only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import qdrant_edge as edge

Floats = npt.NDArray[np.float32]


class _Postings:
    """Sparse vectors by index, for dot products with all of them at once."""

    def __init__(self, vectors: Sequence[edge.SparseVector]) -> None:
        self._size = len(vectors)
        rows: dict[int, tuple[list[int], list[float]]] = {}
        for row, vector in enumerate(vectors):
            for index, value in zip(vector.indices, vector.values, strict=True):
                at, values = rows.setdefault(index, ([], []))
                at.append(row)
                values.append(value)
        self._rows = {
            index: (np.asarray(at), np.asarray(values, dtype=np.float32)) for index, (at, values) in rows.items()
        }

    def dot(self, vector: edge.SparseVector) -> Floats:
        """Return the dot product of a vector with each of the others."""
        products = np.zeros(self._size, dtype=np.float32)
        for index, value in zip(vector.indices, vector.values, strict=True):
            if index in self._rows:
                at, values = self._rows[index]
                products[at] += np.float32(value) * values
        return products


def diversify(
    query: edge.SparseVector, candidates: Sequence[edge.SparseVector], relevance_weight: float, limit: int
) -> list[int]:
    """Choose candidates that are relevant and unlike those chosen before.

    Equal scores are resolved as in qdrant-client's local mode, which follows the server: the last of them is chosen,
    and the last candidate takes its place.

    Args:
        query: Query vector.
        candidates: Vectors to choose from.
        relevance_weight: From 0 (diversity alone) to 1 (similarity to the query alone).
        limit: Maximum number of candidates to choose.

    Returns:
        Positions of the chosen candidates, in the order in which they were chosen.
    """
    if not candidates:
        return []
    postings = _Postings(candidates)
    relevance = postings.dot(query)
    pending = list(range(len(candidates)))
    chosen: list[int] = []
    closest = np.full(len(candidates), -np.inf, dtype=np.float32)
    scores = relevance
    while pending and len(chosen) < limit:
        pending_scores = scores[pending]
        place = len(pending) - 1 - int(np.argmax(pending_scores[::-1]))
        chosen.append(pending[place])
        pending[place] = pending[-1]
        pending.pop()
        closest = np.maximum(closest, postings.dot(candidates[chosen[-1]]))
        scores = relevance_weight * relevance - (1 - relevance_weight) * closest
    return chosen

"""Retrieval metrics: recall, and how well confidence predicts that the nearest neighbour is right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.evaluation.selective import auroc
from fg_search.validation import check_booleans, check_vectors

_SIMILARITIES = 2**24  # similarities computed at once; bounds the memory


def recall_at_k(relevant: npt.ArrayLike, k: int) -> float:
    """Share of the queries with a relevant item among their first k hits (R@k, as in metric learning).

    Args:
        relevant: ``(n, m)`` booleans, whether each hit is relevant, best hit first; m >= k.
        k: Number of hits considered, at least 1.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: If the shape is wrong, there are no queries, or ``k`` is out of range.
    """
    listed = np.asarray(relevant, dtype=bool)
    if listed.ndim != 2 or not len(listed):
        raise ValueError(f"relevant must have shape (n, m) with at least one query, got {listed.shape}")
    if not 1 <= k <= listed.shape[1]:
        raise ValueError(f"k must be between 1 and the {listed.shape[1]} hits a query has, got {k}")
    return float(listed[:, :k].any(axis=1).mean())


def r_auroc(embeddings: npt.ArrayLike, labels: npt.ArrayLike, confidence: npt.ArrayLike) -> float:
    """R-AUROC of the URL benchmark (Kirchhof et al., 2023): AUROC of the confidence for a right nearest neighbour.

    Each item is a query against all others by cosine; it is right if its nearest neighbour has the same label.

    Args:
        embeddings: ``(n, d)`` finite vectors, n >= 2.
        labels: ``(n,)`` labels.
        confidence: ``(n,)`` finite numbers, higher is more confident.

    Returns:
        A number in [0, 1]; NaN if all items are right or all are wrong.

    Raises:
        ValueError: If lengths differ, there are fewer than two items, or a number is not finite.
    """
    rows = check_vectors(embeddings, name="embeddings")
    names = np.asarray(labels)
    if names.shape != (len(rows),) or len(rows) < 2:
        raise ValueError(f"labels must be one for each of at least 2 embeddings, got {names.shape} for {len(rows)}")
    unit = unit_rows(rows)
    nearest = np.empty(len(unit), dtype=np.int64)
    rows_at_once = max(1, _SIMILARITIES // len(unit))
    for start in range(0, len(unit), rows_at_once):
        similarity = unit[start : start + rows_at_once] @ unit.T
        own = np.arange(len(similarity))
        similarity[own, start + own] = -np.inf
        nearest[start : start + rows_at_once] = similarity.argmax(axis=1)
    return auroc(confidence, check_booleans(names[nearest] == names, name="right"))

"""Whether the right things are found, and whether an embedding knows when its neighbours are wrong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.evaluation.selective import auroc
from fg_search.validation import check_booleans, check_vectors

_SIMILARITIES = 2**24  # held at once: bounds the memory


def recall_at_k(relevant: npt.ArrayLike, k: int) -> float:
    """Share of the queries with a relevant item among their first k hits (R@k, as in metric learning).

    Args:
        relevant: ``(n, m)`` booleans, whether each hit is relevant, the best first; m >= k.
        k: Hits that count.

    Returns:
        A number in [0, 1].
    """
    listed = np.asarray(relevant, dtype=bool)
    if listed.ndim != 2 or not len(listed):
        raise ValueError(f"relevant must have shape (n, m) with at least one query, got {listed.shape}")
    if not 1 <= k <= listed.shape[1]:
        raise ValueError(f"k must be between 1 and the {listed.shape[1]} hits a query has, got {k}")
    return float(listed[:, :k].any(axis=1).mean())


def r_auroc(embeddings: npt.ArrayLike, labels: npt.ArrayLike, confidence: npt.ArrayLike) -> float:
    """R-AUROC of the URL benchmark (Kirchhof et al., 2023): does the confidence tell a right nearest neighbour?

    Every item is a query against all others, by cosine; it is right if its nearest neighbour has its label.

    Args:
        embeddings: ``(n, d)`` finite vectors.
        labels: ``(n,)`` labels.
        confidence: ``(n,)`` finite numbers, higher is surer.

    Returns:
        AUROC in [0, 1] of the confidence for being right; NaN if all are right, or all wrong.
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

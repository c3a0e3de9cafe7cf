"""Items that are far from everything."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.review.neighbours import nearest


def outlier_scores(
    embeddings: npt.ArrayLike, rows: npt.ArrayLike | None = None, *, k: int = 10
) -> npt.NDArray[np.float64]:
    """Distance to the k-th nearest other item (Ramaswamy, Rastogi & Shim, 2000), one minus the cosine.

    Args:
        embeddings: ``(n, d)`` finite float array.
        rows: ``(m,)`` items to look at; by default all.
        k: The neighbour that counts: more than the copies an odd item may have. With fewer others, the farthest.

    Returns:
        ``(m,)`` float64 in [0, 1]; 1 for items that point nowhere near any other, or are alone.

    Raises:
        ValueError: If a row does not exist, k is less than one, or a number is not finite.
    """
    found = nearest(embeddings, rows, k=k)
    farthest = np.where(found.rows >= 0, found.similarity, np.inf).min(axis=1)
    return np.asarray(np.where(np.isinf(farthest), 1.0, 1.0 - farthest.astype(np.float64)).clip(0, 1))

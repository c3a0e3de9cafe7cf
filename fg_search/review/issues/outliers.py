"""Items far from all others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.review.issues.neighbours import nearest
from fg_search.validation import check_count

_WHISKER = 1.5


def outlier_scores(
    embeddings: npt.ArrayLike,
    rows: npt.ArrayLike | None = None,
    *,
    k: int = 10,
    most_compared: int = 20_000,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Cosine distance (one minus the cosine) to the k-th nearest other item (Ramaswamy, Rastogi & Shim, 2000).

    If there are more than ``most_compared`` items, each is compared with a random sample of that size, which keeps the
    time linear and finds outliers just as well (Sugiyama & Borgwardt, 2013).

    Args:
        embeddings: ``(n, d)`` finite float array.
        rows: ``(m,)`` rows to score; all by default.
        k: Rank of the neighbour whose distance counts; choose it larger than the number of copies an outlier may have.
            If there are fewer than k others, the farthest counts.
        most_compared: Maximum number of items that each item is compared with.
        seed: Random seed for the sample.

    Returns:
        ``(m,)`` float64 in [0, 1]; 1 for an item that is orthogonal or opposite to the others, or the only one.

    Raises:
        ValueError: If a row does not exist, a count is less than one, or a number is not finite.
    """
    check_count(most_compared, name="most_compared")
    count = len(np.asarray(embeddings))
    among = None
    if count > most_compared:
        among = np.sort(np.random.default_rng(seed).choice(count, most_compared, replace=False))
    found = nearest(embeddings, rows, k=k, among=among)
    farthest = np.where(found.rows >= 0, found.similarity, np.inf).min(axis=1)
    return np.asarray(np.where(np.isinf(farthest), 1.0, 1.0 - farthest.astype(np.float64)).clip(0, 1))


def are_outliers(scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each score lies above the upper fence, 1.5 interquartile ranges above the third quartile (Tukey, 1977).

    Args:
        scores: ``(n,)`` scores from :func:`outlier_scores`.

    Returns:
        ``(n,)`` booleans.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    lower, upper = np.percentile(values, [25, 75])
    return np.asarray(values > upper + _WHISKER * (upper - lower))

"""Reordering a ranking so that a reviewer does not see one near-copy after the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.validation import check_count, check_fraction, check_vectors


def spread_copies(
    embeddings: npt.ArrayLike, *, limit: int | None = None, similarity: float = 0.9, window: int = 10
) -> npt.NDArray[np.int64]:
    """Reorder a ranking so that no window of it holds two near-copies, as long as other items remain.

    Each place takes the first remaining item that is not a near-copy of an item in the window before it: the greedy
    rule of maximal marginal relevance (Carbonell & Goldstein, 1998), with a threshold instead of a weight, so that a
    ranking without copies stays as it is. If only copies remain, the first of them is taken.

    Args:
        embeddings: ``(n, d)`` finite float array in ranking order, the best item first.
        limit: Number of items to choose; all by default.
        similarity: Minimum cosine of two near-copies, in [0, 1].
        window: Number of consecutive places that must not hold two near-copies.

    Returns:
        ``(min(n, limit),)`` int64, the chosen rows in their new order.

    Raises:
        ValueError: If a number is out of range or not finite.
    """
    unit = unit_rows(check_vectors(embeddings, name="embeddings"))
    check_fraction(similarity, name="similarity")
    check_count(window, name="window")
    wanted = len(unit) if limit is None else min(check_count(limit, name="limit"), len(unit))
    left = list(range(len(unit)))
    chosen: list[int] = []
    while len(chosen) < wanted:
        recent = unit[chosen[-(window - 1) :]] if window > 1 else unit[:0]
        place = next((i for i, row in enumerate(left) if not (recent @ unit[row] >= similarity).any()), 0)
        chosen.append(left.pop(place))
    return np.array(chosen, dtype=np.int64)

"""A batch that is worth a person's hour: no run of near-copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.validation import check_count, check_fraction, check_vectors


def spread_copies(
    embeddings: npt.ArrayLike, *, limit: int | None = None, similarity: float = 0.9, window: int = 10
) -> npt.NDArray[np.int64]:
    """Reorder a ranking so that no two near-copies stand within a window, as long as there is anything else.

    Each place takes the first item left that is no near-copy of those in the window before it: the greedy rule of
    maximal marginal relevance (Carbonell & Goldstein, 1998) with a threshold in the place of a weight, so that an
    order without copies is not touched. Where only copies are left, the first of them is taken.

    Args:
        embeddings: ``(n, d)`` finite float array in the order of the ranking, the best first.
        limit: Items to choose; by default all.
        similarity: Cosine in [0, 1] from which two items are near-copies.
        window: Any that many places in a row are free of them.

    Returns:
        ``(min(n, limit),)`` int64, rows in their new order.

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

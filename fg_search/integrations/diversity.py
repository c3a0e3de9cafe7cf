"""Hits that differ from each other: maximal marginal relevance (Carbonell & Goldstein, 1998).

An index finds more hits than are wanted, as it ranks them. Of these, one after the other is taken that is most like the
query and least like what was taken, by the cosines of base embeddings. The first one is the index's first hit: the
confidence is about it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.confidence_index import ConfidenceIndex
from fg_search.index.search_results import SearchResult
from fg_search.validation import check_count, check_fraction


def diverse(
    index: ConfidenceIndex, result: SearchResult, query: npt.ArrayLike, *, limit: int, relevance: float
) -> SearchResult:
    """The result with some of its hits.

    Args:
        index: The index that has found them, with base vectors.
        result: What it has found, more than ``limit`` hits.
        query: ``(d,)`` base embedding of the query.
        limit: Number of hits to take.
        relevance: Weight of being like the query, in [0, 1]; that of differing from what was taken is the rest.

    Raises:
        ValueError: If the weight is out of range, or the index has no base vectors.
    """
    check_count(limit, name="number of hits")
    check_fraction(relevance, name="the weight of relevance")
    vectors = index.vectors_of([hit.id for hit in result.hits])
    there = [hit for hit in result.hits if hit.id in vectors]  # what was deleted in this moment is none
    if not there:
        return replace(result, hits=())
    units = unit_rows(np.stack([vectors[hit.id] for hit in there]))
    likeness = units @ unit_rows(np.asarray(query, dtype=np.float32)[None])[0]
    return replace(result, hits=tuple(there[i] for i in _chosen(likeness, units @ units.T, limit, relevance)))


def _chosen(
    likeness: npt.NDArray[np.float32], similarities: npt.NDArray[np.float32], limit: int, relevance: float
) -> list[int]:
    """Positions of the hits to take, in order; the first hit is taken anyway.

    Args:
        likeness: ``(n,)`` cosine of each hit and the query.
        similarities: ``(n, n)`` cosines of hits.
        limit: Number of hits to take.
        relevance: Weight of the likeness.
    """
    taken = [0]
    while len(taken) < min(limit, len(likeness)):
        worth = relevance * likeness - (1 - relevance) * similarities[:, taken].max(axis=1)
        worth[taken] = -np.inf
        taken.append(int(worth.argmax()))
    return taken

"""Clusters of queries that got no sure answer: candidates for labels that the index lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fg_search._deprecation import renamed_parameters
from fg_search.arrays import unit_rows
from fg_search.model.terms import typical_terms
from fg_search.queries.entries import MIN_SIZE, SIMILARITY, LoggedQuery
from fg_search.validation import check_count, check_fraction, check_same_length, check_texts, check_vectors

FloatArray = npt.NDArray[np.float32]

_ROWS = 512  # rows of cosines computed at once


@dataclass(frozen=True, eq=False)
class QueryCluster:
    """Queries that ask for the same thing.

    Attributes:
        rows: ``(m,)`` int64 rows of the queries, the most central first.
        size: Number of times they were asked, all together.
        centre: ``(d,)`` float32 unit vector: the mean of their embeddings, weighted by how often each was asked.
        cohesion: Mean cosine of the queries and the centre, weighted in the same way.
        terms: Words that are typical of the cluster among all queries, by class-based TF-IDF.
    """

    rows: npt.NDArray[np.int64]
    size: int
    centre: FloatArray
    cohesion: float
    terms: tuple[str, ...]


@dataclass(frozen=True)
class MissingLabel:
    """A candidate for a label that the index lacks.

    Attributes:
        name: Proposed name: a few words that stand together in its queries.
        terms: Words that are typical of its queries among all that got no sure answer.
        size: Number of times its queries were asked, all together.
        cohesion: Mean cosine of the queries and their centre. A high one means that they ask for the same thing.
        nearest_label: Label of the item nearest to the centre, which the queries may ask for after all. ``None`` if no
            item has a label.
        nearest_similarity: Similarity of that item and the centre: cosine of the base embeddings, or FG similarity in
            an index without base vectors.
        queries: Queries of the cluster, the most central first.
    """

    name: str
    terms: tuple[str, ...]
    size: int
    cohesion: float
    nearest_label: str | None
    nearest_similarity: float | None
    queries: tuple[LoggedQuery, ...] = field(repr=False)


@renamed_parameters(least_size="min_size")
def cluster_queries(
    embeddings: npt.ArrayLike,
    texts: Sequence[str],
    counts: Sequence[int],
    *,
    background: Sequence[str] = (),
    similarity: float = SIMILARITY,
    min_size: int = MIN_SIZE,
) -> list[QueryCluster]:
    """Group queries whose mean cosine is high: agglomerative clustering with average linkage (Sokal & Michener, 1958).

    It needs no number of clusters, and queries that resemble no others stay alone. Time and memory grow with the square
    of n: 5,000 queries take 200 MB.

    Args:
        embeddings: ``(n, d)`` finite float array.
        texts: Texts of the n queries.
        counts: Number of times each query was asked, at least 1.
        background: Reference texts for term weighting.
        similarity: Clusters are merged as long as the mean cosine between them is at least this, in [0, 1]. Higher
            values make more and smaller clusters.
        min_size: Minimum number of times the queries of a cluster were asked, all together.

    Returns:
        Clusters, the largest first.

    Raises:
        ValueError: If lengths differ, or a number is out of range or not finite.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    unit = unit_rows(check_vectors(embeddings, name="embeddings"))
    words = check_texts(texts)
    check_same_length(len(words), {"embeddings": unit, "counts": counts})
    weights = np.array([check_count(count, name=f"counts[{i}]") for i, count in enumerate(counts)], dtype=np.int64)
    check_fraction(similarity, name="similarity")
    check_count(min_size, name="min_size")
    if not words:
        return []
    if len(words) == 1:
        numbers = np.zeros(1, dtype=np.int64)
    else:
        merges = linkage(_distances(unit), method="average")
        numbers = fcluster(merges, 1 - similarity, criterion="distance").astype(np.int64) - 1
    sizes = np.bincount(numbers, weights=weights).astype(np.int64)
    kept = np.flatnonzero(sizes >= min_size)
    kept = kept[np.argsort(-sizes[kept], kind="stable")]
    rest = len(kept)  # terms have to stand out from queries without a cluster, too
    place = np.full(len(sizes), rest, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    codes = np.concatenate([place[numbers], np.full(len(background), rest, dtype=np.int64)])
    terms = typical_terms([*words, *background], codes, rest + 1)
    return [
        _cluster(np.flatnonzero(numbers == number), int(sizes[number]), unit, weights, terms[i])
        for i, number in enumerate(kept)
    ]


def _cluster(
    rows: npt.NDArray[np.int64],
    size: int,
    unit: FloatArray,
    weights: npt.NDArray[np.int64],
    terms: tuple[str, ...],
) -> QueryCluster:
    centre = unit_rows((weights[rows] @ unit[rows])[np.newaxis])[0]
    closeness = unit[rows] @ centre
    order = np.argsort(-closeness, kind="stable")
    return QueryCluster(rows[order], size, centre, float(np.average(closeness, weights=weights[rows])), terms)


def _distances(unit: FloatArray) -> npt.NDArray[np.float32]:
    """``(n (n - 1) / 2,)`` float32 cosine distances of all pairs of rows, in scipy's condensed order."""
    count = len(unit)
    condensed = np.empty(count * (count - 1) // 2, dtype=np.float32)
    filled = 0
    for start in range(0, count, _ROWS):
        cosines = unit[start : start + _ROWS] @ unit.T
        for i, row in enumerate(cosines, start):
            others = row[i + 1 :]
            condensed[filled : filled + len(others)] = others
            filled += len(others)
    np.subtract(1, condensed, out=condensed)
    return condensed.clip(0, out=condensed)

"""Items that say the same and are labelled differently."""

from __future__ import annotations

import heapq
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.codebook import unit_rows
from fg_search.review.neighbours import label_numbers
from fg_search.validation import check_count, check_fraction, check_texts, check_vectors

# Of the pairs of CLINC150 utterances with a cosine (all-MiniLM-L6-v2) of at least this, 99.7 % have one label; between
# .8 and .85 it is 95 %. A difference above it is a mistake more often than a distinction.
NEAR_DUPLICATE = 0.94

_ROWS = 2048  # similarities of so many items with so many others are held at once


@dataclass(frozen=True)
class DuplicatePair:
    """Two near-copies.

    Attributes:
        first, second: Their rows, ``first < second``.
        similarity: Their cosine.
    """

    first: int
    second: int
    similarity: float


def normalised_text(text: str) -> str:
    """Lower case, compatibility forms folded, punctuation dropped, white space as single spaces.

    A text of punctuation alone keeps it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = "".join(" " if unicodedata.category(letter).startswith("P") else letter for letter in folded).split()
    return " ".join(words) if words else " ".join(folded.split())


def same_text(texts: Sequence[str], labels: Sequence[str | None] | None = None) -> list[tuple[int, ...]]:
    """Groups of items with the same normalised text.

    Args:
        texts: One for each item.
        labels: If given, only groups with more than one label (``None`` counts as none) are listed.

    Returns:
        Rows of each group, at least two, in their order; the largest groups first.

    Raises:
        ValueError: If lengths differ.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(check_texts(texts)):
        groups[normalised_text(text)].append(row)
    if labels is not None and len(labels) != len(texts):
        raise ValueError(f"labels has {len(labels)} items, texts has {len(texts)}; give one for each text")
    found = [tuple(rows) for rows in groups.values() if len(rows) > 1]
    if labels is not None:
        found = [rows for rows in found if len({labels[row] for row in rows} - {None}) > 1]
    return sorted(found, key=lambda rows: (-len(rows), rows))


def near_duplicates(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    similarity: float = NEAR_DUPLICATE,
    limit: int = 1000,
) -> list[DuplicatePair]:
    """Pairs of items at least this similar, the most similar first; exact, block by block.

    Args:
        embeddings: ``(n, d)`` finite float array.
        labels: ``(n,)`` labels; if given, only pairs with different ones (``None`` counts as none) are listed.
        similarity: Cosine in [0, 1].
        limit: Pairs that are kept: the memory does not grow with their number.

    Raises:
        ValueError: If lengths differ or a number is out of range or not finite.
    """
    unit = unit_rows(check_vectors(embeddings, name="embeddings"))
    check_fraction(similarity, name="similarity")
    check_count(limit, name="limit")
    number = None if labels is None else label_numbers(labels, len(unit))
    best: list[tuple[float, int, int]] = []  # a heap with the worst pair on top; rows negated: earlier ones are kept
    for start in range(0, len(unit), _ROWS):
        for other in range(start, len(unit), _ROWS):
            cosines = (unit[start : start + _ROWS] @ unit[other : other + _ROWS].T).clip(-1, 1)
            pairs = cosines >= similarity
            if other == start:
                pairs = np.triu(pairs, 1)
            if number is not None:
                left, right = number[start : start + _ROWS, None], number[other : other + _ROWS]
                pairs &= (left != right) & (left >= 0) & (right >= 0)
            rows, columns = np.nonzero(pairs)
            values = cosines[rows, columns]
            if len(values) > limit:  # ties with the last that is kept are left to the heap
                rows, columns, values = _at_least(np.partition(values, -limit)[-limit], rows, columns, values)
            for value, row, column in zip(values.tolist(), rows.tolist(), columns.tolist(), strict=True):
                pair = (value, -(start + row), -(other + column))
                if len(best) < limit:
                    heapq.heappush(best, pair)
                elif pair > best[0]:
                    heapq.heapreplace(best, pair)
    return [DuplicatePair(-row, -column, value) for value, row, column in sorted(best, reverse=True)]


def _at_least(
    least: float, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], values: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    kept = values >= least
    return rows[kept], columns[kept], values[kept]

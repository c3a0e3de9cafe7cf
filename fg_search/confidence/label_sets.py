"""Sets of labels that hold the right one with a promised probability: conformal prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.validation import check_inner_fraction

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelCutoff:
    """The least probability of a label at which it belongs to the set; falsy if no set keeps the promise.

    Attributes:
        cutoff: Least probability, in (0, 1]; ``None`` if no set keeps the promise.
        miss: Probability, in (0, 1), with which the right label may be missing.
        queries: Number of calibration queries.
        reason: Sentence that explains the result.
    """

    cutoff: float | None
    miss: float
    queries: int
    reason: str

    def __bool__(self) -> bool:
        return self.cutoff is not None

    def __str__(self) -> str:
        return self.reason


def label_cutoff(probability: npt.ArrayLike, miss: float) -> LabelCutoff:
    """Choose the cutoff so that the set of all labels at or above it holds the right label of a new query.

    It is the k-th smallest probability that the right labels of n calibration queries have, with
    ``k = floor(miss · (n + 1))``. If a new query is exchangeable with them, its right label is below the cutoff with a
    probability of at most ``miss``, over the draws of both (split conformal prediction: Vovk, Gammerman & Shafer,
    2005). The probabilities need not be true for that; the better they are, the smaller the sets. Sets with a common
    cutoff are the smallest on average, and adapt to the query: of a clear query they hold one label, of an ambiguous
    one several, and none of a query that nothing is probable for (Sadinle, Lei & Wasserman, 2019). Queries without an
    answer are no part of the promise: they have no right label to miss.

    Args:
        probability: ``(n,)`` probability of the right label of each calibration query, which has one; 0 where it is no
            candidate.
        miss: Probability with which the right label may be missing, in (0, 1).

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> found = label_cutoff([0.9, 0.8, 0.3, 0.7, 0.95, 0.6, 0.85, 0.99, 0.5], miss=0.2)
        >>> found.cutoff
        0.5
    """
    check_inner_fraction(miss, name="miss")
    right = np.asarray(probability, dtype=np.float64)
    if right.ndim != 1 or not ((right >= 0) & (right <= 1)).all():
        raise ValueError("probability must be an array of n numbers in [0, 1]")
    missed = int(np.floor(miss * (len(right) + 1) + 1e-9))  # 0.1 · 10 is to be 1
    if not missed:
        return LabelCutoff(
            None,
            miss,
            len(right),
            f"{len(right)} such queries of the calibration have an answer, and it takes {fewest_queries(miss)} to tell "
            f"which labels miss the right one in {miss:.1%} of them; calibrate on more, or allow more misses",
        )
    cutoff = float(np.partition(right, missed - 1)[missed - 1])
    if not cutoff:
        absent = float((right == 0).mean())
        return LabelCutoff(
            None,
            miss,
            len(right),
            f"the right label is not among the candidates of {absent:.1%} of {len(right):,} such queries, and "
            f"{miss:.1%} may miss it: no set of labels does better",
        )
    return LabelCutoff(
        cutoff,
        miss,
        len(right),
        f"labels with a probability of {cutoff:.3g} and above: they miss the right one of at most {miss:.1%} of the "
        f"queries that have an answer, by {len(right):,} such queries of the calibration",
    )


def fewest_queries(miss: float) -> int:
    """Number of calibration queries from which a cutoff can promise ``miss``."""
    return int(np.ceil(1 / miss - 1 - 1e-9))


def label_weights(posterior: npt.ArrayLike, votes: npt.ArrayLike) -> FloatArray:
    """How probable labels are, relative to the most probable one.

    Args:
        posterior: ``(n, k)`` posterior over the labels that the head knows, by the query alone; k may be 0.
        votes: ``(n, L)`` numbers from 0 on, votes of the hits for their labels; the first k are those that the head
            knows, the others came after it was fitted.

    Returns:
        ``(n, L)`` weights in [0, 1], over the largest of the row. A label that the head does not know has the share of
        its votes; the rest is shared as the posterior says.
    """
    known = np.asarray(posterior, dtype=np.float64)
    cast = np.asarray(votes, dtype=np.float64)
    total = cast.sum(axis=1, keepdims=True)
    shares = np.divide(cast, total, out=np.zeros_like(cast), where=total > 0)
    new = shares[:, known.shape[1] :]
    mixed = np.concatenate([known * (1 - new.sum(axis=1, keepdims=True)), new], axis=1)
    largest = mixed.max(axis=1, keepdims=True, initial=0)
    return np.asarray(np.divide(mixed, largest, out=np.zeros_like(mixed), where=largest > 0), dtype=np.float64)

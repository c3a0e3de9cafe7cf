"""Items that could be more than one thing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ambiguity:
    """How ambiguous n items are.

    Attributes:
        score: ``(n,)`` float64 in [0, 1], higher is more ambiguous.
        confidence: ``(n,)`` of the embedding.
        margin: ``(n,)`` lead of the most probable label over the second, or ``None``.
        agreement: ``(n,)`` share of the neighbours with the commonest label among them, or ``None``.
    """

    score: FloatArray
    confidence: FloatArray
    margin: FloatArray | None = None
    agreement: FloatArray | None = None


def ambiguity(
    confidence: npt.ArrayLike,
    *,
    codes_per_group: int,
    margin: npt.ArrayLike | None = None,
    agreement: npt.ArrayLike | None = None,
) -> Ambiguity:
    """The mean of what is missing: of confidence, of the lead of one label, of agreement among the neighbours.

    Args:
        confidence: ``(n,)`` in [0, 1]; 1/K, the least there is, counts as none.
        codes_per_group: K.
        margin: ``(n,)`` in [0, 1], :attr:`fg_search.review.labels.LabelJudgements.margin`; left out where there are
            no labels.
        agreement: ``(n,)`` in [0, 1], of :func:`neighbour_agreement`; likewise.

    Raises:
        ValueError: If lengths differ or a number is out of range.
    """
    if codes_per_group < 2:
        raise ValueError(f"codes_per_group must be at least 2, got {codes_per_group}")
    sure = _fractions(confidence, "confidence", None)
    least = 1 / codes_per_group
    missing = [1 - ((sure - least) / (1 - least)).clip(0, 1)]
    lead = None if margin is None else _fractions(margin, "margin", len(sure))
    agreed = None if agreement is None else _fractions(agreement, "agreement", len(sure))
    missing += [1 - part for part in (lead, agreed) if part is not None]
    return Ambiguity(np.mean(missing, axis=0), sure, lead, agreed)


def neighbour_agreement(labels: npt.ArrayLike) -> FloatArray:
    """Share of an item's neighbours that have the commonest label among them.

    Args:
        labels: ``(n, k)`` labels of the neighbours of each item, ``None`` where there is none.

    Returns:
        ``(n,)`` float64 in (0, 1]; 1 where there are no neighbours that could disagree.
    """
    names = np.asarray(labels, dtype=object)
    if names.ndim != 2:
        raise ValueError(f"labels must have shape (n, k), got {names.shape}")
    shares = []
    for row in names:
        known = [name for name in row if name is not None]
        shares.append(max(map(known.count, set(known))) / len(known) if known else 1.0)
    return np.array(shares, dtype=np.float64)


def _fractions(values: npt.ArrayLike, name: str, count: int | None) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or (count is not None and len(array) != count):
        raise ValueError(f"{name} must be one number for each item, got shape {array.shape}")
    inside = (array >= 0) & (array <= 1 + 1e-6)  # float32 means of ones may exceed one
    if not inside.all():
        odd = int((~inside).argmax())
        raise ValueError(f"{name}[{odd}] is {array[odd]}, not between 0 and 1")
    return np.minimum(array, 1)

"""How many labels are probably wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.bootstrap import Interval

IntArray = npt.NDArray[np.int64]
Block = tuple[IntArray, npt.NDArray[np.floating]]

_RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """The share of labels that are probably wrong.

    Attributes:
        share: In [0, 1], with an interval that tells how far chance alone could move it.
        by_label: ``(L,)`` float64, the same for the items given each label; 0 for a label that no item has.
        examples: Items that were looked at.
    """

    share: Interval
    by_label: npt.NDArray[np.float64]
    examples: int

    def __str__(self) -> str:
        low, high = self.share.low, self.share.high
        return f"{self.share.estimate:.1%} of the labels are probably wrong ({low:.1%} to {high:.1%})"


def estimate_noise(blocks: Callable[[], Iterable[Block]], labels: int, *, seed: int = 0) -> NoiseEstimate:
    """The off-diagonal share of the confident joint (Northcutt, Jiang & Chuang, 2021), calibrated to the given counts.

    An item counts as of the most probable label among those that it is at least as probable to have as the items
    given that label are on average; items for which there is none do not count. The interval is a percentile
    bootstrap over the items; it does not cover what the posterior itself gets wrong.

    Args:
        blocks: Gives the items in pieces, the same each time: given labels ``(b,)``, integers in [0, L), and a
            posterior ``(b, L)``, rows sum to one, from a model that has not seen these labels.
        labels: Number L of labels.
        seed: Of the bootstrap.

    Raises:
        ValueError: If there are no items, or shapes do not fit.
    """
    counts, sums = np.zeros(labels, dtype=np.int64), np.zeros(labels)
    for given, posterior in blocks():
        if posterior.shape != (len(given), labels):
            raise ValueError(f"posterior must have shape {(len(given), labels)}, got {posterior.shape}")
        counts += np.bincount(given, minlength=labels)
        sums += np.bincount(given, weights=posterior[np.arange(len(given)), given], minlength=labels)
    examples = int(counts.sum())
    if not examples:
        raise ValueError("there are no labels to judge")
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    agreeing, disagreeing = np.zeros(labels, dtype=np.int64), np.zeros(labels, dtype=np.int64)
    for given, posterior in blocks():
        confident = np.where(posterior >= thresholds, posterior, -1.0)
        top = confident.argmax(axis=1)
        counted = confident[np.arange(len(given)), top] >= 0
        agreeing += np.bincount(given[counted & (top == given)], minlength=labels)
        disagreeing += np.bincount(given[counted & (top != given)], minlength=labels)
    outcomes = np.stack([agreeing, disagreeing, counts - agreeing - disagreeing])
    drawn = np.random.default_rng(seed).multinomial(examples, outcomes.ravel() / examples, size=_RESAMPLES)
    shares = [_share(one.reshape(outcomes.shape)) for one in drawn]
    low, high = np.percentile(shares, [2.5, 97.5])
    return NoiseEstimate(
        Interval(_share(outcomes), float(low), float(high), 0.95), _by_label(outcomes[0], outcomes[1]), examples
    )


def _by_label(agreeing: IntArray, disagreeing: IntArray) -> npt.NDArray[np.float64]:
    return np.asarray(disagreeing / np.maximum(agreeing + disagreeing, 1))


def _share(outcomes: IntArray) -> float:
    """Of ``(3, L)`` counts: agreeing, disagreeing, undecided."""
    counts = outcomes.sum(axis=0)
    return float((_by_label(outcomes[0], outcomes[1]) * counts).sum() / counts.sum())

"""How many labels are probably wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.bootstrap import Interval

IntArray = npt.NDArray[np.int64]
Block = tuple[IntArray, npt.NDArray[np.floating]]
Shares = Any  # a number, or an array of them

_RESAMPLES = 1000
_LEVEL = 0.95
_AGREEING, _DISAGREEING = 0, 1  # else the posterior is not sure enough to count
# What a model gets wrong falls with the examples it learned from as a power of their number, with exponents of mostly
# 1/2 to 1. From half of the examples to all, an exponent a takes off 2^a - 1 of what is still wrong after all.
_USUAL_RATE = 1 / (2 ** (2 / 3) - 1)
_SLOWEST_RATE = 1 / (2**0.5 - 1)


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """The share of labels that are probably wrong.

    Attributes:
        share: In [0, 1], with an interval for what chance could do to it, and for what the model gets wrong itself.
        by_label: ``(L,)`` float64, the same for the items given each label; 0 for a label that no item has.
        examples: Items that were looked at.
    """

    share: Interval
    by_label: npt.NDArray[np.float64]
    examples: int

    def __str__(self) -> str:
        low, high = self.share.low, self.share.high
        return f"{self.share.estimate:.1%} of the labels are probably wrong ({low:.1%} to {high:.1%})"


def estimate_noise(
    blocks: Callable[[], Iterable[Block]],
    labels: int,
    *,
    from_half: Callable[[], Iterable[Block]],
    seed: int = 0,
) -> NoiseEstimate:
    """The off-diagonal share of the confident joint, less what more examples would take off it.

    In the confident joint (Northcutt, Jiang & Chuang, 2021), calibrated to the given counts, an item counts as of the
    most probable label among those that it is at least as probable to have as the items given that label are on
    average, and not less than by chance; items for which there is none do not count. What the model itself gets wrong
    counts as noise there, much of it where examples are few. It shows in how the share falls from a model of half of
    the examples to one of all, and is extrapolated along the learning curve to as many as one likes (a power law;
    Cortes et al., 1993). Wrong labels stay wrong however many there are.

    The interval is a percentile bootstrap over the items; its lower end takes the slowest usual rate of learning, its
    upper end no extrapolation at all. A bootstrap cannot draw what was not seen: where next to nothing disagrees, the
    upper end is the exact bound for none among the items that count (Clopper & Pearson, 1934, one-sided: of n items
    1 - 0.05^(1/n), about 3/n, the rule of three; Hanley & Lippman-Hand, 1983).

    Args:
        blocks: Gives the items in pieces, the same each time: given labels ``(b,)``, integers in [0, L), and a
            posterior ``(b, L)``, rows sum to one, from a model that has not seen these labels.
        labels: Number L of labels.
        from_half: The same items in the same order, the posterior from half as many examples.
        seed: Of the bootstrap.

    Raises:
        ValueError: If there are no items, shapes do not fit, or the items are not the same.
    """
    given, outcomes = _outcomes(blocks, labels)
    same, with_half = _outcomes(from_half, labels)
    if not np.array_equal(given, same):
        raise ValueError("from_half must give the same items, in the same order, as blocks")
    counts = np.zeros((3, 3, labels), dtype=np.int64)
    np.add.at(counts, (outcomes, with_half, given), 1)
    examples = len(given)
    drawn = np.random.default_rng(seed).multinomial(examples, counts.ravel() / examples, size=_RESAMPLES)
    resampled = np.array([_shares(one.reshape(counts.shape)) for one in drawn])
    share, half = _shares(counts)
    estimate = _extrapolated(share, half, _USUAL_RATE)
    lowest = _extrapolated(resampled[:, 0], resampled[:, 1], _SLOWEST_RATE)
    low, high = float(np.percentile(lowest, 2.5)), float(np.percentile(resampled[:, 0], 97.5))
    counted = int(counts[[_AGREEING, _DISAGREEING]].sum())
    unseen = 1 - (1 - _LEVEL) ** (1 / counted) if counted else 1.0
    by_label = _by_label(counts.sum(axis=1)) * (estimate / share if share else 1)
    interval = Interval(float(estimate), min(low, float(estimate)), max(high, float(estimate), unseen), _LEVEL)
    return NoiseEstimate(interval, by_label, examples)


def _outcomes(blocks: Callable[[], Iterable[Block]], labels: int) -> tuple[IntArray, IntArray]:
    """``(n,)`` given labels, and whether the confident joint has each item agree, disagree or not count."""
    counts, sums = np.zeros(labels, dtype=np.int64), np.zeros(labels)
    for given, posterior in blocks():
        if posterior.shape != (len(given), labels):
            raise ValueError(f"posterior must have shape {(len(given), labels)}, got {posterior.shape}")
        counts += np.bincount(given, minlength=labels)
        sums += np.bincount(given, weights=posterior[np.arange(len(given)), given], minlength=labels)
    if not counts.sum():
        raise ValueError("there are no labels to judge")
    # of a label with one or two examples nothing can be learned without them: its threshold would be about nothing, and
    # all items that do not count would count as of it
    thresholds = np.where(counts > 0, np.maximum(sums / np.maximum(counts, 1), 1 / labels), np.inf)
    labelled, outcomes = [], []
    for given, posterior in blocks():
        confident = np.where(posterior >= thresholds, posterior, -1.0)
        top = confident.argmax(axis=1)
        counted = confident[np.arange(len(given)), top] >= 0
        labelled.append(given)
        outcomes.append(np.where(counted, np.where(top == given, _AGREEING, _DISAGREEING), 2))
    return np.concatenate(labelled), np.concatenate(outcomes)


def _extrapolated(share: Shares, half: Shares, rate: float) -> Shares:
    return np.clip(share - rate * np.maximum(half - share, 0), 0, 1)


def _shares(counts: IntArray) -> tuple[float, float]:
    """Of ``(3, 3, L)`` counts, by outcome with all examples and with half of them: the share with either."""
    return _share(counts.sum(axis=1)), _share(counts.sum(axis=0))


def _by_label(outcomes: IntArray) -> npt.NDArray[np.float64]:
    agreeing, disagreeing = outcomes[_AGREEING], outcomes[_DISAGREEING]
    return np.asarray(disagreeing / np.maximum(agreeing + disagreeing, 1))


def _share(outcomes: IntArray) -> float:
    counts = outcomes.sum(axis=0)
    return float((_by_label(outcomes) * counts).sum() / counts.sum())

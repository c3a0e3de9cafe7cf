"""Estimating the share of wrong labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.bootstrap import Interval

IntArray = npt.NDArray[np.int64]
Block = tuple[IntArray, npt.NDArray[np.floating]]
Shares = Any  # a float, or an array of floats

_RESAMPLES = 1000
_LEVEL = 0.95
_AGREEING, _DISAGREEING = 0, 1  # 2 where the posterior is not confident enough to count
# The error of a model falls as a power of the number of its training examples, with an exponent a that mostly lies
# between 1/2 and 1. Training on all examples instead of half of them removes 2^a - 1 times the error that remains.
_USUAL_RATE = 1 / (2 ** (2 / 3) - 1)
_SLOWEST_RATE = 1 / (2**0.5 - 1)


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """The estimated share of wrong labels.

    Attributes:
        share: Share of wrong labels, in [0, 1], with an interval that covers sampling error and the model's own error.
        by_label: ``(L,)`` float64 in [0, 1], the share of wrong labels among the items given each label; 0 for a label
            that no item has.
        examples: Number of items the estimate is based on.
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
    """Estimate the share of wrong labels: the off-diagonal of the confident joint, minus the model's own errors.

    The confident joint (Northcutt, Jiang & Chuang, 2021) is calibrated to the given label counts. An item counts
    towards the most probable label whose threshold it reaches. The threshold of a label is the mean self-confidence of
    the items given it, and at least chance level. Items that reach no threshold do not count.

    The model's own errors look like label noise in it, the more so the fewer examples there are. They shrink with more
    examples, while wrong labels stay wrong. So the drop of the share from a model trained on half of the examples to
    one trained on all is extrapolated along a power-law learning curve (Cortes et al., 1993) and subtracted.

    The interval is a percentile bootstrap over the items. Its lower end assumes the slowest usual learning rate, its
    upper end no extrapolation. A bootstrap cannot draw what was never observed: if hardly any item disagrees, the upper
    end is the exact one-sided bound for zero events among the n items that count, 1 - 0.05^(1/n) (Clopper & Pearson,
    1934), or about 3/n, the rule of three (Hanley & Lippman-Hand, 1983).

    Args:
        blocks: Yields the items in blocks, in the same order each time it is called: ``(b,)`` given labels, integers in
            [0, L), and their ``(b, L)`` posterior, rows summing to one, from a model that never saw these labels.
        labels: Number L of labels.
        from_half: Like ``blocks``, for the same items in the same order, with a model trained on half of the examples.
        seed: Random seed for the bootstrap.

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
    resampled = np.array([_shares(sample.reshape(counts.shape)) for sample in drawn])
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
    """``(n,)`` given labels, and ``(n,)`` whether each agrees, disagrees or does not count in the confident joint."""
    counts, sums = np.zeros(labels, dtype=np.int64), np.zeros(labels)
    for given, posterior in blocks():
        if posterior.shape != (len(given), labels):
            raise ValueError(f"posterior must have shape {(len(given), labels)}, got {posterior.shape}")
        counts += np.bincount(given, minlength=labels)
        sums += np.bincount(given, weights=posterior[np.arange(len(given)), given], minlength=labels)
    if not counts.sum():
        raise ValueError("there are no labels to score")
    # out of fold, a label with one or two examples is never predicted: its threshold would be about zero, and every
    # item that does not count would count towards it
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
    """The shares with all and with half of the examples, from ``(3, 3, L)`` counts by both outcomes and given label."""
    return _share(counts.sum(axis=1)), _share(counts.sum(axis=0))


def _by_label(outcomes: IntArray) -> npt.NDArray[np.float64]:
    agreeing, disagreeing = outcomes[_AGREEING], outcomes[_DISAGREEING]
    return np.asarray(disagreeing / np.maximum(agreeing + disagreeing, 1))


def _share(outcomes: IntArray) -> float:
    counts = outcomes.sum(axis=0)
    return float((_by_label(outcomes) * counts).sum() / counts.sum())

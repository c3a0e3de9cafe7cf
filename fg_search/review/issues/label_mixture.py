"""Given labels as a mixture of right and wrong ones: how likely each share of wrong ones is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]
Block = tuple[IntArray, FloatArray]

_LEAST = 1e-30
_LARGEST_LOG_ODDS = 60  # between two labels: a probability of 1e-26 and one of zero are the same here
_HALVINGS = 20  # of an interval within [0, 1]: to a millionth
# Where labels are wrong, a posterior whose temperature took all of them to be right is up to three times too soft; one
# from elsewhere may be too sharp.
_STEPS = 8  # powers from one to its double
_POWERS = 2 ** np.arange(-2, 3.01, 1 / _STEPS)


@dataclass(frozen=True, eq=False)
class LabelMixture:
    """Likelihoods of n given labels under K sharpened or softened posteriors ``p``.

    Attributes:
        right: ``(n, K)`` likelihood of the label if it is right, ``p(label)``.
        anywhere: ``(n, K)`` likelihood if it is wrong and may be any label but the true one with the same probability.
        nearby: ``(n, K)`` likelihood if it is wrong and is drawn from ``p`` without the true label, as the model's own
            confusions are.
    """

    right: FloatArray
    anywhere: FloatArray
    nearby: FloatArray

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> LabelMixture:
        """Read ``(b,)`` given labels and their ``(b, L)`` posterior, block by block.

        Raises:
            ValueError: If there are no labels.
        """
        parts = [[_likelihoods(given, posterior, power) for power in _POWERS] for given, posterior in blocks]
        if not parts:
            raise ValueError("there are no labels to score")
        right, anywhere, nearby = (
            np.concatenate([np.stack([one[kind] for one in part], axis=1) for part in parts]) for kind in range(3)
        )
        return cls(right, anywhere, nearby)

    def right_in_doubt(self, share: float) -> FloatArray:
        """``(n, K)`` likelihood of the label if it is right, and the model half as sure of this share of the items.

        Items of few examples, or at the edge of their label, are misread with more confidence than a single temperature
        allows for. Two temperatures give the posterior the heavier tail that such items need.
        """
        softer = self.right[:, np.maximum(np.arange(len(_POWERS)) - _STEPS, 0)]
        return np.asarray(self.right + np.float32(share) * (softer - self.right))

    def wrong(self, anywhere: float) -> FloatArray:
        """``(n, K)`` likelihood of the label if it is wrong, where this share of the wrong labels may be any."""
        return np.asarray(np.float32(anywhere) * self.anywhere + np.float32(1 - anywhere) * self.nearby)


def most_likely_share(right: FloatArray, wrong: FloatArray, prior: float = 0.0) -> tuple[float, int]:
    """The share h and the column that maximise ``prod((1 - h) * right + h * wrong) * (1 - h) ** prior``.

    Args:
        right: ``(n, K)`` likelihoods of the labels if they are right.
        wrong: ``(n, K)`` likelihoods if they are wrong.
        prior: Number of further labels that are taken to have been seen to be right.
    """
    shares = _maxima(right, wrong, prior)
    with np.errstate(divide="ignore"):
        likelihood = _log_likelihood(right, wrong, shares) + (prior * np.log1p(-shares) if prior else 0)
    column = int(likelihood.argmax())
    return float(shares[column]), column


def likely_shares(right: FloatArray, wrong: FloatArray, drop: float) -> tuple[float, float]:
    """Least and largest share whose log likelihood, in its best column, is at most ``drop`` below the maximum.

    This is the profile likelihood interval. In each column the log likelihood is concave, so that the shares form an
    interval there, whose ends are found by bisection.
    """
    shares = _maxima(right, wrong, 0.0)
    likelihood = _log_likelihood(right, wrong, shares)
    least = likelihood.max() - drop
    near = likelihood >= least
    right, wrong, shares = right[:, near], wrong[:, near], shares[near]
    return float(_end(right, wrong, shares, 0.0, least).min()), float(_end(right, wrong, shares, 1.0, least).max())


def _likelihoods(given: IntArray, posterior: FloatArray, power: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    rows = np.arange(len(given))
    odds = np.log(np.maximum(posterior, _LEAST), dtype=np.float32)
    top = odds.argmax(axis=1)
    odds -= odds[rows, top][:, None]
    odds *= np.float32(power)
    np.exp(np.maximum(odds, -_LARGEST_LOG_ODDS), out=odds)
    odds[rows, top] = 0
    rest = odds.sum(axis=1)  # without the top label, whose 1 would drown what is left
    own = np.where(top == given, 1, odds[rows, given])
    odds /= (1 + rest)[:, None] - odds  # p / (1 - p)
    odds[rows, top] = 1 / rest
    odds[rows, given] = 0
    right = own / (1 + rest)
    anywhere = np.where(top == given, rest / (1 + rest), 1 - right) / (posterior.shape[1] - 1)
    # the sum over each other label t, if that is the true one, of p(t) * p(given) / (1 - p(t))
    nearby = right * odds.sum(axis=1)
    return right, anywhere, nearby


def _log_likelihood(right: FloatArray, wrong: FloatArray, share: FloatArray) -> npt.NDArray[np.float64]:
    mixed = np.maximum(right + share.astype(np.float32) * (wrong - right), _LEAST)
    return np.asarray(np.log(mixed).sum(axis=0, dtype=np.float64))


def _maxima(right: FloatArray, wrong: FloatArray, prior: float) -> npt.NDArray[np.float64]:
    """``(K,)`` shares at which the slope of the concave log likelihood of each column turns negative."""
    low, high = np.zeros(right.shape[1]), np.ones(right.shape[1])
    more = wrong - right
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        mixed = np.maximum(right + share.astype(np.float32) * more, _LEAST)
        rises = (more / mixed).sum(axis=0, dtype=np.float64) > prior / (1 - share)
        low, high = np.where(rises, share, low), np.where(rises, high, share)
    return np.where(low > 0, (low + high) / 2, 0.0)


def _end(
    right: FloatArray, wrong: FloatArray, inside: FloatArray, outside: float, least: float
) -> npt.NDArray[np.float64]:
    """``(K,)`` shares between ``inside`` and ``outside`` at which the log likelihood falls below ``least``."""
    beyond = np.full(len(inside), outside)
    kept = np.where(_log_likelihood(right, wrong, beyond) >= least, outside, inside)
    for _ in range(_HALVINGS):
        share = (kept + beyond) / 2
        holds = _log_likelihood(right, wrong, share) >= least
        kept, beyond = np.where(holds, share, kept), np.where(holds, beyond, share)
    return np.asarray(kept)

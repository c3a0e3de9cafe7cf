"""Estimating the share of wrong labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.bootstrap import Interval
from fg_search.review.issues.label_mixture import Block, IntArray, LabelMixture, likely_shares, most_likely_share

_LEVEL = 0.95
_DROP = 1.92  # half the 95 % quantile of the chi-squared distribution with one degree of freedom (Wilks, 1938)
# Which wrong labels are given is not known: any, or those the model itself confuses with the true one. The more of the
# latter, the more of the model's own errors look like wrong labels.
_ANYWHERE = 0.9
_ANYWHERE_FOR_LOW, _ANYWHERE_FOR_HIGH = 1.0, 0.5
_IN_DOUBT = (
    0.0,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
)  # shares of the items of which the model may be half as sure as it says
_SEEN_RIGHT = 2.0  # labels: where posteriors say nothing, no label is called wrong


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """The estimated share of wrong labels.

    Attributes:
        share: Share of wrong labels, in [0, 1], with an interval that covers sampling error and the model's own error.
            It is that of the labels that could be scored.
        by_label: ``(L,)`` float64 in [0, 1], the share of wrong labels among the items given each label; 0 for a label
            that no item has.
        examples: Number of items the estimate is based on.
    """

    share: Interval
    by_label: npt.NDArray[np.float64]
    examples: int

    @classmethod
    def unknown(cls, labels: int) -> NoiseEstimate:
        """What is known where no label can be judged: nothing."""
        return cls(Interval(0.0, 0.0, 1.0, _LEVEL), np.zeros(labels), 0)

    def __str__(self) -> str:
        if not self.examples:
            return "too few examples of each label to judge how many are wrong"
        low, high = self.share.low, self.share.high
        return f"{self.share.estimate:.1%} of the labels are probably wrong ({low:.1%} to {high:.1%})"


def estimate_noise(blocks: Iterable[Block], labels: int) -> NoiseEstimate:
    """Estimate the share h of wrong labels by maximum likelihood, together with how sure the posterior may be.

    The likelihood of a given label is ``(1 - h) * p(label) + h * q(label)`` (Bootkrajang & Kabán, 2012). ``p`` is the
    posterior to a power, the inverse of a temperature (Guo et al., 2017). ``q`` is what a wrong label may be: nine
    times in ten any but the true one with the same probability, else one that the model itself confuses with it.

    What the model has not learned makes its posterior soft for right labels, too; a wrong label contradicts a posterior
    that is right about others when it is as sure. So few examples, or texts that do not show their label, are not taken
    for wrong labels: they make the interval wide.

    The interval is that of the profile likelihood. Its lower end is for wrong labels that are all of the first kind,
    and for a model that may be half as sure as it says of any share of the items: what it misreads explains a few sure
    contradictions in a corpus without an error, but not those of wrong labels. It is a whole number of labels, as less
    than one is none. The upper end is for half of the wrong labels of the second kind, and at least the exact one-sided
    bound for zero events among n items, 1 - 0.05^(1/n) (Clopper & Pearson, 1934), or about 3/n, the rule of three
    (Hanley & Lippman-Hand, 1983).

    Args:
        blocks: The items in blocks: ``(b,)`` given labels, integers in [0, L), and their ``(b, L)`` posterior, rows
            summing to one, from a model that never saw these labels. It may be too sure or not sure enough.
        labels: Number L of labels, at least two.

    Raises:
        ValueError: If there are no items, or shapes do not fit.
    """
    given: list[IntArray] = []

    def checked() -> Iterable[Block]:
        for own, posterior in blocks:
            if posterior.shape != (len(own), labels):
                raise ValueError(f"posterior must have shape {(len(own), labels)}, got {posterior.shape}")
            if len(own):
                given.append(own)
                yield own, posterior

    mixture = LabelMixture.of(checked())
    examples = len(mixture.right)
    wrong = mixture.wrong(_ANYWHERE)
    estimate, column = most_likely_share(mixture.right, wrong, _SEEN_RIGHT)
    low, _ = likely_shares(
        np.concatenate([mixture.right_in_doubt(share) for share in _IN_DOUBT], axis=1),
        np.tile(mixture.wrong(_ANYWHERE_FOR_LOW), len(_IN_DOUBT)),
        _DROP,
    )
    _, high = likely_shares(mixture.right, mixture.wrong(_ANYWHERE_FOR_HIGH), _DROP)
    unseen = 1 - (1 - _LEVEL) ** (1 / examples)
    low = float(np.floor(min(low, estimate) * examples) / examples)
    interval = Interval(estimate, low, max(high, estimate, unseen), _LEVEL)
    doubt = estimate * wrong[:, column]
    doubt = doubt / ((1 - estimate) * mixture.right[:, column] + doubt)
    return NoiseEstimate(interval, _means(np.concatenate(given), doubt, labels), examples)


def _means(given: IntArray, values: npt.NDArray[np.floating], labels: int) -> npt.NDArray[np.float64]:
    sums = np.bincount(given, weights=values, minlength=labels)
    return np.asarray(sums / np.maximum(np.bincount(given, minlength=labels), 1))

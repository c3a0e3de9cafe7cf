"""How right the answers of each group are, by what is known of it and of all groups together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_OFFSETS = np.linspace(-6, 6, 61)  # log odds by which a group may be better or worse than its confidence says
# Prior of the offsets, with a mean and a spread that are not known either. Their own priors are Gaussian.
_MEANS = np.linspace(-1.5, 1.5, 13)
_SPREADS = np.array([0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.2, 1.6, 2.2])
_MEAN_SCALE, _SPREAD_SCALE = 0.5, 1.0
# A group that is wrong where it is sure has no single offset. So its answers must agree with the offset: together with
# as many as these that are right as often as the offset says. Numbers chosen on four sets of queries
# (benchmarks/promise_by_label.py).
_AGREEING = 20.0
_QUARTILE = 0.25
# Where a group falls short, the offset is not believed, and its surest answers have to stand against the others.
_DOUBT = 3.0
_NARROWER = 0.75  # a share of delta, as of precision_curve
_SHAPE = 10.0  # weight of all groups' confidences among those of one
_INTERVAL = (0.1, 0.9)
_LEAST = 1e-6
_TINY = 1e-200


@dataclass(frozen=True, eq=False)
class GroupBounds:
    """Precision of the answers of g groups at each of t thresholds; the last row is a group that nobody has judged.

    Attributes:
        thresholds: ``(t,)`` float64 confidences, decreasing.
        lower: ``(g + 1, t)`` lower bounds of the precision, in [0, 1].
        right: ``(g + 1, t)`` numbers of right answers, weighted.
        counted: ``(g + 1, t)`` numbers of all answers, weighted likewise.
        precision: ``(g + 1, t)`` estimates.
        low: ``(g + 1, t)`` lower ends of their 80 % intervals.
        high: ``(g + 1, t)`` upper ends.
        answered: ``(g + 1, t)`` numbers of judged queries at or above each threshold.
    """

    thresholds: FloatArray
    lower: FloatArray
    right: FloatArray
    counted: FloatArray
    precision: FloatArray
    low: FloatArray
    high: FloatArray
    answered: IntArray

    def own(self, row: int, delta: float) -> FloatArray:
        """Lower bounds ``(t,)`` of a group's precision by its own answers alone (Clopper & Pearson, 1934)."""
        from scipy.special import betaincinv

        right = np.maximum(self.right[row], _LEAST)
        return np.asarray(
            betaincinv(right, self.counted[row] - self.right[row] + 1, _NARROWER * delta), dtype=np.float64
        )

    def doubted(self, row: int, precision: float) -> FloatArray:
        """Lower quartiles ``(t,)`` of its precision, if three more answers were as right as with this precision."""
        from scipy.special import betaincinv

        wrong = self.counted[row] - self.right[row]
        parts = self.right[row] + _DOUBT * precision, wrong + _DOUBT * (1 - precision)
        return np.asarray(betaincinv(*parts, _QUARTILE), dtype=np.float64)


def group_offsets(confidence: FloatArray, correct: BoolArray, codes: IntArray, groups: int) -> FloatArray:
    """Posterior of each group's offset: how much better or worse it is, in log odds, than its confidences say.

    The offsets of the groups come from one Gaussian, whose mean and spread are learned with them: a group with few
    judged queries is taken to be like the others, one with many as it is. Everything is summed over grids.

    Args:
        confidence: ``(n,)`` calibrated confidences of judged queries.
        correct: ``(n,)`` booleans, whether each is answered rightly.
        codes: ``(n,)`` number of each query's group.
        groups: Number of groups, some of which may have no query.

    Returns:
        ``(groups, 61)`` probabilities of offsets from -6 to 6.
    """
    log_odds = _logit(confidence)[:, None] + _OFFSETS
    likelihood = np.zeros((groups, len(_OFFSETS)))
    np.add.at(likelihood, codes, -np.logaddexp(0, np.where(correct[:, None], -log_odds, log_odds)))
    likelihood = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    priors = np.exp(-(((_OFFSETS - _MEANS[:, None, None]) / _SPREADS[:, None]) ** 2) / 2).reshape(-1, len(_OFFSETS))
    priors /= priors.sum(axis=1, keepdims=True)
    seen = np.maximum(priors @ likelihood.T, _TINY)  # (priors, groups)
    plausible = (-((_MEANS[:, None] / _MEAN_SCALE) ** 2) / 2 - (_SPREADS / _SPREAD_SCALE) ** 2 / 2).ravel()
    evidence = np.log(seen).sum(axis=1) + plausible
    weights = np.exp(evidence - evidence.max())
    posterior = likelihood * ((weights[:, None] / seen).T @ priors)
    return np.asarray(posterior / posterior.sum(axis=1, keepdims=True), dtype=np.float64)


def group_bounds(
    offsets: FloatArray,
    confidence: FloatArray,
    correct: BoolArray,
    weights: FloatArray,
    codes: IntArray,
    thresholds: FloatArray,
    delta: float,
) -> GroupBounds:
    """Bound the precision of each group's answers at every threshold.

    A bound takes two things together. The offset of the group is as low as its posterior allows with probability
    ``delta``. And the group's own answers, with twenty more that are right as often as the mean offset says (a beta
    distribution), are right as often as their lower quartile. Of the groups that are promised a precision, about a
    share ``delta`` may fall short of it, as intervals by empirical Bayes do on the average over groups (Morris, 1983).

    Args:
        offsets: ``(g, 61)`` posteriors by :func:`group_offsets`; the last group has no judged query.
        confidence: ``(n,)`` confidences of judged queries for the share of unanswerable ones that is promised for.
        correct: ``(n,)`` booleans.
        weights: ``(n,)`` weights that give the judged queries that share.
        codes: ``(n,)`` group of each.
        thresholds: ``(t,)`` confidences, decreasing, the last one no higher than all confidences.
        delta: Probability of a bound that is too high.
    """
    from scipy.special import betaincinv

    groups = len(offsets)
    place = np.searchsorted(-thresholds, -confidence, side="left")
    cells = codes * len(thresholds) + place

    def above(values: FloatArray) -> FloatArray:
        """Sums of values at or above each threshold, by group."""
        sums = np.bincount(cells, values, groups * len(thresholds)).reshape(groups, -1)
        return np.asarray(sums.cumsum(axis=1), dtype=np.float64)

    log_odds = _logit(confidence)
    of_all, shape = _shape(log_odds, weights, place, len(thresholds))
    total = above(weights)

    def modelled(offset: FloatArray) -> FloatArray:
        """Precision by the confidences, if these are off by each group's offset."""
        shared = (_sigmoid(of_all + offset[:, None]) * shape).cumsum(axis=1) / shape.cumsum()
        own = above(weights * _sigmoid(log_odds + offset[codes]))
        return np.asarray((own + _SHAPE * shared) / (total + _SHAPE), dtype=np.float64)

    mean = modelled(offsets @ _OFFSETS)
    counted = total**2 / np.maximum(above(weights**2), _LEAST)  # queries of equal weights that tell as much
    right = above(weights * correct) / np.maximum(total, _LEAST) * counted
    rights, wrongs = right + _AGREEING * mean, counted - right + _AGREEING * (1 - mean)
    low, high = (_quantile(offsets, level) for level in _INTERVAL)
    return GroupBounds(
        thresholds,
        np.minimum(modelled(_quantile(offsets, _NARROWER * delta)), betaincinv(rights, wrongs + 0.5, _QUARTILE)),
        right,
        counted,
        rights / (rights + wrongs),
        np.minimum(modelled(low), betaincinv(rights, wrongs, _QUARTILE)),
        np.maximum(modelled(high), betaincinv(rights, wrongs, 1 - _QUARTILE)),
        above(np.ones(len(confidence))).astype(np.int64),
    )


def _shape(log_odds: FloatArray, weights: FloatArray, place: IntArray, steps: int) -> tuple[FloatArray, FloatArray]:
    """Mean log odds between thresholds, of all groups, and the weight there."""
    shape = np.bincount(place, weights, steps)
    mean = np.bincount(place, weights * log_odds, steps) / np.maximum(shape, _LEAST)
    return mean, np.maximum(shape, _LEAST)


def _quantile(offsets: FloatArray, level: float) -> FloatArray:
    middle = offsets.cumsum(axis=1) - offsets / 2
    return np.array([np.interp(level, row, _OFFSETS) for row in middle])


def _logit(probability: FloatArray) -> FloatArray:
    kept = probability.clip(_LEAST, 1 - _LEAST)
    return np.asarray(np.log(kept / (1 - kept)), dtype=np.float64)


def _sigmoid(log_odds: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64)

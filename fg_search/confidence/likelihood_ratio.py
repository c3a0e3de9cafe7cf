"""How much more often evidence is seen of queries without an answer than of those with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

FloatArray = npt.NDArray[np.float64]

# Gaussian priors, as the inverse of their variance: the slope is near -1 if the log odds are calibrated, and the ratio
# bends at the knot only if the queries say so clearly. Chosen on five sets of queries (benchmarks/promise.py).
_SLOPE_PENALTY, _BEND_PENALTY = 0.05, 3.0
_START_BELOW = 3.0  # evidence of the median answerable query is rare among the others; Newton's method starts there
_MAX_STEP = 1.5
_ITERATIONS = 40
_TOLERANCE = 1e-4
_MAX_LOG = 40.0


@dataclass(frozen=True, eq=False)
class LikelihoodRatio:
    """Ratio of the densities of the evidence, unanswerable to answerable: ``exp(a + b u + c max(u, 0))``.

    The evidence is the log odds that a query has an answer, standardised to ``u``. Densities whose logarithms differ by
    a function of few parameters are a density ratio (or exponential tilt) model (Qin, 1998): logistic regression of one
    kind of query against the other estimates it, whatever the densities are.

    Attributes:
        knot: Median log odds of the answerable queries.
        scale: Their standard deviation.
        coefficients: ``(B, 3)`` float64; B is the number of weightings it was fitted with.
    """

    knot: float
    scale: float
    coefficients: FloatArray

    @classmethod
    def fit(
        cls,
        answerable: FloatArray,
        unanswerable: FloatArray,
        weights: tuple[FloatArray, FloatArray] | None = None,
    ) -> Self:
        """Fit the ratio, once for each of B weightings of the queries.

        Args:
            answerable: ``(n,)`` log odds of queries that have an answer.
            unanswerable: ``(m,)`` log odds of queries that have none.
            weights: ``(B, n)`` and ``(B, m)`` positive floats; by default ones, with B = 1.
        """
        knot, scale = float(np.median(answerable)), float(np.std(answerable)) + 1e-6
        yes, no = weights if weights is not None else (np.ones((1, len(answerable))), np.ones((1, len(unanswerable))))
        basis = _basis(np.concatenate([answerable, unanswerable]), knot, scale)
        without = np.concatenate([np.zeros(len(answerable)), np.ones(len(unanswerable))])
        start = np.array([np.log(len(unanswerable) / len(answerable)) - _START_BELOW, -scale, 0.0])
        fitted = _logistic(basis, without, np.concatenate([yes, no], axis=1), start)
        fitted[:, 0] -= np.log(no.sum(axis=1) / yes.sum(axis=1))  # the ratio of the densities, not of the numbers
        return cls(knot, scale, fitted)

    def __call__(self, log_odds: FloatArray) -> FloatArray:
        """The ratio at ``(n,)`` log odds, ``(B, n)`` positive floats."""
        logarithm = self.coefficients @ _basis(log_odds, self.knot, self.scale).T
        return np.asarray(np.exp(logarithm.clip(-_MAX_LOG, _MAX_LOG)), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`from_dict`."""
        return {"knot": self.knot, "scale": self.scale, "coefficients": self.coefficients.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a ratio from :meth:`to_dict`."""
        return cls(data["knot"], data["scale"], np.asarray(data["coefficients"], dtype=np.float64))


def _basis(log_odds: FloatArray, knot: float, scale: float) -> FloatArray:
    standard = (log_odds - knot) / scale
    return np.stack([np.ones_like(standard), standard, np.maximum(standard, 0)], axis=1)


def _logistic(basis: FloatArray, target: FloatArray, weights: FloatArray, start: FloatArray) -> FloatArray:
    """Penalised logistic regressions ``(B, d)``, one for each weighting, by damped Newton steps."""
    from scipy.special import expit

    count, width = len(weights), basis.shape[1]
    penalty = np.array([0.0, _SLOPE_PENALTY, _BEND_PENALTY])
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), width * width)
    found = np.tile(start, (count, 1))
    for _ in range(_ITERATIONS):
        probability = expit(found @ basis.T)
        gradient = (weights * (target - probability)) @ basis - penalty * (found - start)
        curvature = ((weights * probability * (1 - probability)) @ products).reshape(count, width, width)
        step = np.linalg.solve(curvature + np.diag(penalty + 1e-9), gradient[:, :, None])[:, :, 0]
        step *= np.minimum(1, _MAX_STEP / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-9))
        found += step
        if np.abs(step).max() < _TOLERANCE:
            break
    return found

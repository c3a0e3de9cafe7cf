"""The calibrated probability that a result is right, learned from judged queries."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.errors import FormatVersionError, NotFittedError
from fg_search.validation import check_booleans

Method = Literal["logistic", "isotonic"]

_FORMAT = 1
_FOLDS = 5
# Penalties on half the squared weights, added to the log loss (a Gaussian prior). The first feature is trusted; the
# others must earn their weight: fitted to few outcomes, they could make the ranking worse than the first feature alone.
_PENALTY_OF_FIRST, _PENALTY = 0.1, 3.0
# Similarities, shares and log odds that differ by less than this differ only by rounding. It is added in quadrature to
# the standard deviation: otherwise standardisation would blow up a feature that hardly varies.
_RESOLUTION = 0.01


class Calibrator:
    """Maps features of a result to the calibrated probability that it is right.

    Every feature is evidence *for* the result: the probability never decreases as a feature increases. This constraint
    is built in, because a fit to few outcomes could easily get the sign wrong.

    ``"logistic"`` is a logistic regression on the standardised features with non-negative weights (with one feature:
    Platt, 1999) and a Gaussian prior on the weights that trusts the first feature more than the others.
    ``"isotonic"`` is an interpolated monotone step function (Zadrozny & Elkan, 2002) of a single feature, or of the
    cross-fitted logistic score of several. It assumes no shape, but needs about a thousand queries, and ranks less
    finely because all results on one step get the same probability.

    Args:
        method: ``"logistic"`` or ``"isotonic"``.

    Attributes:
        features: Names of the features, in order; empty before :meth:`fit`.

    Raises:
        ValueError: If the method is unknown.

    Example:
        >>> calibrator = Calibrator().fit({"score": [0.1, 0.2, 0.8, 0.9]}, [False, False, True, True])
        >>> calibrator.predict({"score": [0.15, 0.85]}).round()
        array([0., 1.])
    """

    def __init__(self, method: Method = "logistic") -> None:
        if method not in ("logistic", "isotonic"):
            raise ValueError(f"method must be 'logistic' or 'isotonic', got {method!r}")
        self.method = method
        self.features: tuple[str, ...] = ()
        self._mean = self._scale = self._weights = np.empty(0)
        self._intercept = 0.0
        self._steps: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None

    def __repr__(self) -> str:
        return f"Calibrator({self.method!r}, features={list(self.features)})"

    def fit(self, features: Mapping[str, npt.ArrayLike], correct: npt.ArrayLike) -> Self:
        """Fit on judged queries that the head was not trained on.

        Args:
            features: ``(n,)`` finite numbers for each feature name, most trusted feature first (see
                :func:`result_features`). They should be on the scale of similarities, shares or log odds: a standard
                deviation far below .01 is treated as rounding.
            correct: ``(n,)`` booleans, whether the top hit is right; always false for an out-of-scope query.

        Returns:
            The calibrator itself.

        Raises:
            ValueError: If lengths differ, a number is not finite, all outcomes are the same, or several features have
                too few outcomes for isotonic calibration.
        """
        right = check_booleans(correct, name="correct")
        table = _table(features, tuple(features))
        if len(table) != len(right):
            raise ValueError(f"the features have {len(table)} rows, correct has {len(right)}")
        if right.all() or not right.any():
            which = "right" if len(right) and right.all() else "wrong"
            raise ValueError(
                f"all {len(right)} results are {which}: a calibrator needs both, right and wrong; "
                "add held-out queries of the other kind"
            )
        self.features = tuple(features)
        self._mean, self._scale = table.mean(axis=0), np.hypot(table.std(axis=0), _RESOLUTION)
        self._steps = None
        standard = (table - self._mean) / self._scale
        self._weights, self._intercept = _fit_logistic(standard, right)
        if self.method == "isotonic":
            self._fit_isotonic(standard, right)
        return self

    def predict(self, features: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float64]:
        """Probability that each result is right.

        Args:
            features: ``(n,)`` finite numbers for each feature name used in :meth:`fit`; others are ignored.

        Returns:
            ``(n,)`` float64 array in [0, 1].

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If a feature is missing or a number is not finite.
        """
        if not self.features:
            raise NotFittedError("this calibrator was not fitted; call fit(features, correct) on judged queries")
        missing = [name for name in self.features if name not in features]
        if missing:
            raise ValueError(f"the calibrator was fitted with {list(self.features)}; missing here: {missing}")
        standard = (_table(features, self.features) - self._mean) / self._scale
        if self._steps is not None:
            return np.interp(self._score(standard), *self._steps)
        from scipy.special import expit

        return np.asarray(expit(self._score(standard)), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """The fitted calibrator as JSON values; the inverse of :meth:`from_dict`."""
        return {
            "format": _FORMAT,
            "method": self.method,
            "features": list(self.features),
            "mean": self._mean.tolist(),
            "scale": self._scale.tolist(),
            "weights": self._weights.tolist(),
            "intercept": self._intercept,
            "steps": None if self._steps is None else [values.tolist() for values in self._steps],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a calibrator from :meth:`to_dict`.

        Raises:
            FormatVersionError: If a newer release wrote it.
        """
        if data["format"] > _FORMAT:
            raise FormatVersionError(
                f"the calibrator has format {data['format']}, this release reads up to {_FORMAT}; upgrade fg_search"
            )
        calibrator = cls(data["method"])
        calibrator.features = tuple(data["features"])
        calibrator._mean, calibrator._scale, calibrator._weights = (
            np.asarray(data[name], dtype=np.float64) for name in ("mean", "scale", "weights")
        )
        calibrator._intercept = float(data["intercept"])
        if data["steps"] is not None:
            score, probability = (np.asarray(values, dtype=np.float64) for values in data["steps"])
            calibrator._steps = score, probability
        return calibrator

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON to ``path``."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file written by :meth:`save`.

        Raises:
            FormatVersionError: If a newer release wrote it.
        """
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))

    def _score(self, standard: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self._steps is not None and len(self.features) == 1:
            return standard[:, 0]
        return np.asarray(standard @ self._weights + self._intercept)

    def _fit_isotonic(self, standard: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> None:
        from sklearn.isotonic import IsotonicRegression

        rarer = min(int(right.sum()), int((~right).sum()))
        if standard.shape[1] == 1:
            score = standard[:, 0]
        elif rarer < _FOLDS:
            raise ValueError(
                f"isotonic calibration of several features needs {_FOLDS} right and {_FOLDS} wrong results, "
                f"got {rarer} of one kind; use method='logistic'"
            )
        else:
            score = _held_out_scores(standard, right)
        model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, right)
        self._steps = (
            np.asarray(model.X_thresholds_, dtype=np.float64),
            np.asarray(model.y_thresholds_, dtype=np.float64),
        )


def _fit_logistic(
    standard: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], float]:
    """Non-negative weights ``(f,)`` and intercept of the logistic regression with the penalties above."""
    from scipy.optimize import minimize
    from scipy.special import expit

    count = standard.shape[1]
    penalty = np.full(count, _PENALTY)
    penalty[0] = _PENALTY_OF_FIRST
    share = right.mean()

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights, score = parameters[:-1], standard @ parameters[:-1] + parameters[-1]
        surplus = expit(score) - right
        value = (np.logaddexp(0, score) - right * score).sum() + (penalty * weights**2).sum() / 2
        return float(value), np.append(standard.T @ surplus + penalty * weights, surplus.sum())

    found = minimize(
        loss,
        np.append(np.zeros(count), np.log(share / (1 - share))),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * count + [(None, None)],
        options={"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-8},
    )
    return np.asarray(found.x[:-1], dtype=np.float64), float(found.x[-1])


def _held_out_scores(standard: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Cross-fitted logistic scores ``(n,)``: each result is scored by weights fitted without it.

    On scores fitted to the same outcomes, the step function would be overconfident.
    """
    from sklearn.model_selection import StratifiedKFold

    scores = np.empty(len(right))
    for others, held_out in StratifiedKFold(_FOLDS).split(standard, right):
        weights, intercept = _fit_logistic(standard[others], right[others])
        scores[held_out] = standard[held_out] @ weights + intercept
    return scores


def _table(features: Mapping[str, npt.ArrayLike], names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """The named features as the columns of an ``(n, f)`` array."""
    if not names:
        raise ValueError("there must be at least one feature")
    columns = [np.asarray(features[name], dtype=np.float64) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.shape != columns[0].shape or column.ndim != 1:
            raise ValueError(f"feature {name!r} has shape {column.shape}, expected one number for each result")
        if not np.isfinite(column).all():
            raise ValueError(f"feature {name!r} is not finite at position {int((~np.isfinite(column)).argmax())}")
    return np.stack(columns, axis=1)

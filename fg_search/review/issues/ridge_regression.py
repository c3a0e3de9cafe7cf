"""Ridge regression of labels on random features, with leave-one-out predictions in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fg_search.arrays import row_slices, unit_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

_UNITS = 4096
_UNITS_PER_EXAMPLE = 8  # with few examples, more units than this learn nothing new
_RIDGE = 0.1  # with features of mean square norm one, the prior weighs as much as a tenth of an example
_MOST_LEVERAGE = 1 - 1e-4  # keeps the leave-one-out division finite
_NUMBERS = 2**23  # size of one block of rows, in numbers
_STATISTICS_ROWS = 4096  # rows from which the mean and the scale of the units are estimated


@dataclass(frozen=True, eq=False)
class LabelRegression:
    """Ridge regression of one-hot labels on random rectified units.

    The units are orthogonal random features (Rahimi & Recht, 2007; Yu et al., 2016) that approximate the arc-cosine
    kernel (Cho & Saul, 2009). The leave-one-out prediction for a fitted example has a closed form (PRESS: Allen, 1974):
    every example is predicted by a regression on all others, at the cost of a single fit.
    """

    _weight: FloatArray = field(repr=False)
    _bias: FloatArray = field(repr=False)
    _mean: FloatArray = field(repr=False)
    _scale: float
    _factor: FloatArray = field(repr=False)
    _solution: FloatArray = field(repr=False)
    _centre: FloatArray = field(repr=False)
    _examples: int

    @classmethod
    def fit(cls, embeddings: FloatArray, given: IntArray, labels: int, seed: int) -> LabelRegression:
        """Fit ``(n,)`` labels ``given``, integers in [0, labels), to ``(n, d)`` embeddings, block by block."""
        from scipy.linalg import cho_solve, cholesky

        rows = unit_rows(embeddings)
        weight, bias = _random_units(rows, min(_UNITS, _UNITS_PER_EXAMPLE * len(rows)), np.random.default_rng(seed))
        sample = _activations(rows[:: -(-len(rows) // _STATISTICS_ROWS)], weight, bias)
        mean = sample.mean(axis=0)
        scale = 1 / max(float(np.sqrt(np.square(sample - mean).sum(axis=1).mean())), 1e-6)
        units = len(mean)
        gram, moment = np.zeros((units, units)), np.zeros((labels, units))
        total = np.zeros(units)
        for some in row_blocks(len(rows), max(units, labels)):
            block = (_activations(rows[some], weight, bias) - mean) * np.float32(scale)
            gram += block.T @ block
            moment += _one_hot(given[some], labels).T @ block
            total += block.sum(axis=0, dtype=np.float64)
        drift = total / len(rows)  # the exact mean minus that of the sample
        gram -= len(rows) * np.outer(drift, drift)
        share = np.bincount(given, minlength=labels) / len(rows)
        moment -= np.outer(share, total)
        gram[np.diag_indices(units)] += _RIDGE
        factor = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        solution = cho_solve((factor, True), moment.T, check_finite=False)
        return cls(
            weight,
            bias,
            (mean + drift / scale).astype(np.float32),
            scale,
            factor.astype(np.float32),
            solution.astype(np.float32),
            share.astype(np.float32),
            len(rows),
        )

    @property
    def dimension(self) -> int:
        """Dimension d of the embeddings."""
        return int(self._weight.shape[0])

    @property
    def width(self) -> int:
        """Maximum number of values held for one row."""
        return int(max(self._solution.shape))

    def predict(self, embeddings: FloatArray) -> FloatArray:
        """``(n, L)`` float32 predictions for rows that were not fitted: about 1 for the right label, 0 for others."""
        return self._scores(self._centred(embeddings))

    def leverage(self, embeddings: FloatArray) -> FloatArray:
        """``(n,)`` float32 in [0, 1): how much the prediction for each fitted row depends on its own label."""
        return self._leverage(self._centred(embeddings))

    def leave_one_out(self, embeddings: FloatArray, given: IntArray, leverage: FloatArray | None = None) -> FloatArray:
        """``(n, L)`` float32 predictions for fitted rows, each as if that row had been left out of the fit."""
        units = self._centred(embeddings)
        own = self._leverage(units) if leverage is None else leverage
        scores = self._scores(units)
        scores[np.arange(len(given)), given] -= own
        scores /= (1 - own)[:, None]
        return scores

    def _centred(self, embeddings: FloatArray) -> FloatArray:
        units = _activations(unit_rows(embeddings), self._weight, self._bias)
        units -= self._mean
        units *= np.float32(self._scale)
        return units

    def _scores(self, units: FloatArray) -> FloatArray:
        return np.asarray(units @ self._solution + self._centre, dtype=np.float32)

    def _leverage(self, units: FloatArray) -> FloatArray:
        from scipy.linalg import solve_triangular

        solved = solve_triangular(self._factor, units.T, lower=True, check_finite=False)
        own = np.einsum("ij,ij->j", solved, solved) + np.float32(1 / self._examples)
        return np.asarray(np.minimum(own, _MOST_LEVERAGE), dtype=np.float32)


def row_blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of ``count`` rows such that each block of ``width`` columns has a bounded size."""
    return row_slices(count, max(1, _NUMBERS // max(1, width)))


def _activations(unit: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    units = unit @ weight
    units += bias
    return np.asarray(np.maximum(units, 0, out=units))


def _one_hot(given: IntArray, labels: int) -> csr_array:
    from scipy.sparse import csr_array

    ones = np.ones(len(given), dtype=np.float32)
    return csr_array((ones, given, np.arange(len(given) + 1)), shape=(len(given), labels))


def _random_units(rows: FloatArray, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """``(d, count)`` weights and ``(count,)`` biases, scaled to how far the embeddings spread around their mean."""
    dimension = rows.shape[1]
    blocks = []
    for _ in range(-(-count // dimension)):
        basis = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
        blocks.append(basis * np.linalg.norm(rng.standard_normal((dimension, dimension)), axis=0))
    mean = rows.mean(axis=0)
    spread = max(float(np.sqrt(np.square(rows - mean).sum(axis=1).mean())), 1e-6)
    weight = (np.concatenate(blocks, axis=1)[:, :count] / spread).astype(np.float32)
    bias = (2 * rng.random(count) - 1).astype(np.float32) - mean @ weight
    return weight, bias.astype(np.float32)

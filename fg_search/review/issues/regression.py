"""What an item's label would be if it had never been seen: ridge regression on random units, leave-one-out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.sparse import csr_array

from fg_search.arrays import unit_rows

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

_UNITS = 4096
_UNITS_PER_EXAMPLE = 8  # of fewer examples more units learn nothing new
_RIDGE = 0.1  # for units of mean square norm one: the prior weighs as much as a tenth of an example
_MOST_LEVERAGE = 1 - 1e-4  # an example that alone decides what is said of it; keeps the division finite
_NUMBERS = 2**23  # held at once in one block of rows
_STATISTICS_ROWS = 4096  # that tell where the units are and how far they spread


@dataclass(frozen=True, eq=False)
class LabelRegression:
    """Ridge regression of one-hot labels on random rectified units.

    The units approximate the arc-cosine kernel (Cho & Saul, 2009; Rahimi & Recht, 2007; orthogonal, as in Yu et al.,
    2016). What it would say of an example without having seen it has a closed form (PRESS: Allen, 1974), so that every
    example is judged by a regression of its own on all others, at the price of one.
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
        """Regress ``given`` ``(n,)``, integers in [0, labels), on embeddings ``(n, d)``, block by block."""
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
        drift = total / len(rows)  # of the exact mean from the sample's
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
        """Of the embeddings."""
        return int(self._weight.shape[0])

    @property
    def width(self) -> int:
        """Most numbers that are held for one row."""
        return int(max(self._solution.shape))

    def predict(self, embeddings: FloatArray) -> FloatArray:
        """``(n, L)`` float32: about 1 for the label, 0 for others; for rows that were not fitted."""
        return self._scores(self._centred(embeddings))

    def leverage(self, embeddings: FloatArray) -> FloatArray:
        """``(n,)`` float32: how much of what is said of each fitted row comes from its own label."""
        return self._leverage(self._centred(embeddings))

    def leave_one_out(self, embeddings: FloatArray, given: IntArray, leverage: FloatArray | None = None) -> FloatArray:
        """``(n, L)`` float32: what would be said of each fitted row, had it not been fitted with its label."""
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
        solved = solve_triangular(self._factor, units.T, lower=True, check_finite=False)
        own = np.einsum("ij,ij->j", solved, solved) + np.float32(1 / self._examples)
        return np.asarray(np.minimum(own, _MOST_LEVERAGE), dtype=np.float32)


def row_blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of rows whose blocks of ``width`` columns are of bounded size."""
    step = max(1, _NUMBERS // max(1, width))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _activations(unit: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    units = unit @ weight
    units += bias
    return np.asarray(np.maximum(units, 0, out=units))


def _one_hot(given: IntArray, labels: int) -> csr_array:
    ones = np.ones(len(given), dtype=np.float32)
    return csr_array((ones, given, np.arange(len(given) + 1)), shape=(len(given), labels))


def _random_units(rows: FloatArray, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Weights ``(d, count)`` and biases for the spread of the rows: embeddings that all point one way spread little."""
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

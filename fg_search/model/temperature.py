"""Temperature scaling: one parameter that calibrates the group confidences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.calibration_error import expected_calibration_error

_LARGEST_LOG = 3.0  # temperatures from 1/20 to 20


@dataclass(frozen=True)
class Temperature:
    """A temperature fitted on held-out examples.

    Attributes:
        temperature: Temperature T in softmax(z / T), from 1/20 to 20.
        ece_before: Expected calibration error (15 bins) of the group confidences at T = 1, in [0, 1].
        ece_after: Expected calibration error at T, in [0, 1]; in-sample, but for a single parameter.
        accuracy: Share of the held-out codes that were predicted correctly, in [0, 1].
    """

    temperature: float
    ece_before: float
    ece_after: float
    accuracy: float


def fit_temperature(
    logits: npt.NDArray[np.floating[Any]], codes: npt.NDArray[np.integer[Any]], *, examples: int
) -> Temperature:
    """Fit the temperature by maximum likelihood (Guo et al., 2017) with smoothed targets (Platt, 1999).

    If all of a few held-out codes are predicted correctly, the likelihood alone would push every confidence to one.
    Platt's targets account for the sample size: with ``e`` examples, the right code has probability
    ``1 - 1 / (e + 2)``.

    Args:
        logits: ``(m, K)`` float array at T = 1; each row is one group of one held-out example.
        codes: ``(m,)`` integers in [0, K), the right codes.
        examples: Number e of distinct examples among the m rows.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    scores = np.asarray(logits, dtype=np.float64)
    right = np.arange(len(codes)), np.asarray(codes)
    doubt = 1 / (examples + 2)

    def loss(log_temperature: float) -> float:
        logs = log_softmax(scores / np.exp(log_temperature), axis=1)
        others = (logs.sum(axis=1) - logs[right]) / (scores.shape[1] - 1)
        return -float(((1 - doubt) * logs[right] + doubt * others).mean())

    found = minimize_scalar(loss, bounds=(-_LARGEST_LOG, _LARGEST_LOG), method="bounded")
    temperature = float(np.exp(found.x))
    hit = scores.argmax(axis=1) == right[1]

    def ece(t: float) -> float:
        return expected_calibration_error(np.exp(log_softmax(scores / t, axis=1).max(axis=1)).clip(0, 1), hit)

    return Temperature(temperature, ece(1.0), ece(temperature), float(hit.mean()))

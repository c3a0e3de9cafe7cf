"""One temperature that makes group confidences calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.evaluation.calibration_error import expected_calibration_error

_LARGEST_LOG = 3.0  # temperatures from 1/20 to 20


@dataclass(frozen=True)
class Temperature:
    """A temperature fitted on held-out codes.

    Attributes:
        temperature: T of softmax(z / T).
        ece_before: Expected calibration error (15 bins) of the group confidences at T = 1.
        ece_after: The same at T; in-sample, but of a single parameter.
        accuracy: Share of the held-out codes that were right.
    """

    temperature: float
    ece_before: float
    ece_after: float
    accuracy: float


def fit_temperature(
    logits: npt.NDArray[np.floating[Any]], codes: npt.NDArray[np.integer[Any]], *, examples: int
) -> Temperature:
    """The temperature with the highest likelihood (Guo et al., 2017), of smoothed targets (Platt, 1999).

    Where few held-out examples are all right, the likelihood alone would ask for a confidence of one for everything.
    Platt's targets remember how little was seen: after ``e`` examples the right code counts ``1 - 1 / (e + 2)``.

    Args:
        logits: ``(m, K)`` float array, z of one group for one held-out example a row, at T = 1.
        codes: ``(m,)`` integers in [0, K), the right codes.
        examples: Number e of different examples among the m rows.
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

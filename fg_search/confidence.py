"""Confidence of feature-group distributions: how sure the head is of its own code, group by group.

It measures how ambiguous the *input* is, in the sense of a softmax classifier. It is neither the similarity
of two items nor the probability that a hit is right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]


def group_confidence(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Largest probability of each group, ``c_g = max_k p_gk``.

    Args:
        probabilities: ``(n, G, K)`` float array, each group sums to one.

    Returns:
        ``(n, G)`` float32 array with values in [1/K, 1].
    """
    return np.asarray(probabilities.max(axis=-1), dtype=np.float32)


def confidence(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Mean over the groups of their largest probability, ``c = mean_g max_k p_gk``.

    The maximum softmax probability (Hendrycks & Gimpel, 2017), averaged over groups.

    Args:
        probabilities: ``(n, G, K)`` float array, each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [1/K, 1].
    """
    return np.asarray(group_confidence(probabilities).mean(axis=-1), dtype=np.float32)

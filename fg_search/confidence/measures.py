"""Measures of how confident a head is in its own codes.

All of them measure how ambiguous the *input* is to a softmax classifier. None is a similarity between two items, and
none is the probability that a hit is right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]


def group_confidence(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Largest probability of each group, ``c_g = max_k p_gk``.

    Args:
        probabilities: ``(n, G, K)`` float array; each group sums to one.

    Returns:
        ``(n, G)`` float32 array with values in [1/K, 1].
    """
    return np.asarray(probabilities.max(axis=-1), dtype=np.float32)


def confidence(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Mean largest probability of the groups, ``c = mean_g max_k p_gk``.

    This is the maximum softmax probability (Hendrycks & Gimpel, 2017) averaged over groups, and the confidence that an
    index stores.

    Args:
        probabilities: ``(n, G, K)`` float array; each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [1/K, 1].
    """
    return np.asarray(group_confidence(probabilities).mean(axis=-1), dtype=np.float32)


def margin(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Mean difference between the two largest probabilities of each group.

    This is the margin of margin sampling (Scheffer, Decomain & Wrobel, 2001), averaged over groups.

    Args:
        probabilities: ``(n, G, K)`` float array; each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [0, 1]; 0 if the two best codes tie in every group.
    """
    two = np.partition(probabilities, -2, axis=-1)[..., -2:]
    return np.asarray((two[..., 1] - two[..., 0]).mean(axis=-1), dtype=np.float32)


def normalised_entropy(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Mean Shannon entropy of the groups, divided by its maximum ``log K``.

    Unlike the other measures, it is *lower* for a more confident item.

    Args:
        probabilities: ``(n, G, K)`` float array; each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [0, 1].
    """
    from scipy.special import entr

    entropy = entr(np.asarray(probabilities, dtype=np.float64)).sum(axis=-1) / np.log(probabilities.shape[-1])
    return np.asarray(entropy.mean(axis=-1).clip(0, 1), dtype=np.float32)


def collision(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Mean collision probability of the groups, ``mean_g Σ_k p_gk²``: the similarity of an item to itself.

    It is the probability that two independent draws from a group give the same code; its negative logarithm is the
    collision entropy (Rényi, 1961).

    Args:
        probabilities: ``(n, G, K)`` float array; each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [1/K, 1].
    """
    return np.asarray(np.square(probabilities).sum(axis=-1).mean(axis=-1), dtype=np.float32)

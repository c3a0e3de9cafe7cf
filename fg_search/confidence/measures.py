"""How sure a head is of its own codes, group by group: four measures of the same thing.

They say how ambiguous the *input* is, in the sense of a softmax classifier. None is the similarity of two items or the
probability that a hit is right.
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

    The maximum softmax probability (Hendrycks & Gimpel, 2017), averaged over groups. It is what an index stores.

    Args:
        probabilities: ``(n, G, K)`` float array, each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [1/K, 1].
    """
    return np.asarray(group_confidence(probabilities).mean(axis=-1), dtype=np.float32)


def margin(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Mean over the groups of the lead of the best code over the second best.

    Margin sampling (Scheffer, Decomain & Wrobel, 2001), averaged over groups.

    Args:
        probabilities: ``(n, G, K)`` float array, each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [0, 1]; 0 where every group is torn between two codes.
    """
    two = np.partition(probabilities, -2, axis=-1)[..., -2:]
    return np.asarray((two[..., 1] - two[..., 0]).mean(axis=-1), dtype=np.float32)


def normalised_entropy(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Mean Shannon entropy of the groups as a share of the largest possible, ``log K``.

    The one measure that is *lower* for a surer item.

    Args:
        probabilities: ``(n, G, K)`` float array, each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [0, 1].
    """
    from scipy.special import entr

    entropy = entr(np.asarray(probabilities, dtype=np.float64)).sum(axis=-1) / np.log(probabilities.shape[-1])
    return np.asarray(entropy.mean(axis=-1).clip(0, 1), dtype=np.float32)


def collision(probabilities: FloatArray) -> npt.NDArray[np.float32]:
    """Mean over the groups of ``Σ_k p_gk²``: the similarity of an item to itself.

    The chance that two independent draws from a group give the same code (its logarithm is the negative collision
    entropy of Rényi, 1961).

    Args:
        probabilities: ``(n, G, K)`` float array, each group sums to one.

    Returns:
        ``(n,)`` float32 array with values in [1/K, 1].
    """
    return np.asarray(np.square(probabilities).sum(axis=-1).mean(axis=-1), dtype=np.float32)

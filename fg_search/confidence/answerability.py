"""Answerability: the confidence in an input, tempered by how familiar it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

# Familiarity at which an input is as likely to be of something unknown as of something known. Of inputs like those
# learned from, a fifth is less familiar; chosen on five sets of queries (docs/how-sure.md).
_DOUBTFUL = 0.2
# Softmax groups soon saturate. Odds beyond a thousand to one tell nothing more, and would outweigh any familiarity.
_LEAST_DOUBT = 1e-3

_LEAST_FAMILIARITY = 1e-6

HARDLY_ANSWERABLE = 0.2
"""Answerability below which a query is uncertain as long as nothing is calibrated. On five sets of queries, 1 to 6 % of
those that are answered rightly are below it, and 60 to 92 % of those that have no answer."""


def answerability(recognition: FloatArray, familiarity: FloatArray) -> npt.NDArray[np.float32]:
    """Confidence for decisions: *which* of the known things an input is, and *whether* it is any of them.

    The odds of the recognition are multiplied by ``f / (f + 0.2)``. Confidence alone is overconfident about inputs that
    are nothing known but lie on one side of every boundary; familiarity alone cannot tell an ambiguous input from a
    clear one. Familiarity is a share of the learned examples, so that one rule fits all data, and there is nothing to
    tune. Among inputs of ordinary familiarity the rule changes little.

    Args:
        recognition: ``(n,)`` confidence or :func:`best_label_similarity`, in [0, 1].
        familiarity: ``(n,)`` familiarity in [0, 1].

    Returns:
        ``(n,)`` float32 array in [0, 1]; at most the recognition, and it increases with both arguments.
    """
    sure = np.asarray(recognition, dtype=np.float64)
    known = np.asarray(familiarity, dtype=np.float64)
    for_it = sure * known
    total = for_it + (1 - sure + _LEAST_DOUBT) * (known + _DOUBTFUL)
    return np.asarray(np.divide(for_it, total, out=np.zeros_like(for_it), where=total > 0), dtype=np.float32)


def log_weight(familiarity: FloatArray) -> npt.NDArray[np.float64]:
    """Logarithm of what a familiarity multiplies the odds by, ``(n,)`` float64; finite at 0."""
    known = np.asarray(familiarity, dtype=np.float64).clip(_LEAST_FAMILIARITY, 1)
    return np.asarray(-np.log1p(_DOUBTFUL / known), dtype=np.float64)


def best_label_similarity(probabilities: FloatArray, label_codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Similarity of n items to the label that is most similar: the expected share of groups that have its code.

    Unlike the mean of the groups' maxima, it is low if the groups are sure of codes that no label has together. Groups
    without codes of labels (attributes) count with their largest probability.

    Args:
        probabilities: ``(n, G, K)`` float array; each group sums to one.
        label_codes: ``(L, G)`` code of each label in each group, -1 in groups that know no labels; L is at least 1.

    Returns:
        ``(n,)`` float32 array in [0, 1].
    """
    of_labels = (label_codes >= 0).all(axis=0)
    total = np.zeros((len(probabilities), len(label_codes)), dtype=np.float32)
    for group in np.flatnonzero(of_labels).tolist():
        total += probabilities[:, group].take(label_codes[:, group], axis=1)
    others = probabilities[:, ~of_labels].max(axis=-1).sum(axis=1)
    groups = probabilities.shape[1]
    return np.asarray(((total.max(axis=1) + others) / groups).clip(0, 1), dtype=np.float32)

"""Cross-fitting: out-of-fold distributions for every training example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.model.codebook import UNSUPERVISED, Codebook
from fg_search.model.examples import strata_of, stratified_parts
from fg_search.model.fit import fit_head
from fg_search.validation import check_vectors


def cross_fit(
    embeddings: npt.NDArray[np.floating[Any]],
    codebook: Codebook,
    *,
    folds: int = 5,
    seed: int = 0,
    **options: Any,
) -> npt.NDArray[np.float32]:
    """Out-of-fold distributions: each example's come from a head that was not trained on it.

    A head is overconfident on its training examples and reproduces their labels, right or wrong. Never assess the
    confidence or the label of an example with a head that was trained on it. Folds are stratified by label.

    Args:
        embeddings: ``(n, d)`` float array; row i belongs to ``codebook.targets[i]``.
        codebook: Targets and sizes. Clusters are not recomputed in each fold.
        folds: Number of folds, at least 2; one head is trained per fold, on the other folds.
        seed: Random seed of the folds and of every head.
        options: Keyword arguments of :func:`fg_search.fit_head`.

    Returns:
        ``(n, G, K)`` float32 array; decode it with ``codebook.decode``. Examples without a target get the distributions
        of one of the heads.

    Raises:
        ValueError: If there are fewer than 2 folds or fewer supervised examples than folds; or as in ``fit_head``.
    """
    rows = check_vectors(embeddings, name="embeddings")
    supervised = (codebook.targets != UNSUPERVISED).any(axis=1)
    count = int(supervised.sum())
    if not 2 <= folds <= count:
        raise ValueError(f"folds must be between 2 and the {count} examples that are supervised, got {folds}")
    part = np.arange(len(rows)) % folds
    part[supervised] = stratified_parts(strata_of(codebook, codebook.targets[supervised]), folds, seed)
    probabilities = np.empty((len(rows), codebook.groups, codebook.codes_per_group), dtype=np.float32)
    for fold in range(folds):
        left_out = part == fold
        targets = np.where(left_out[:, None], UNSUPERVISED, codebook.targets)
        head = fit_head(rows, replace(codebook, targets=targets), seed=seed, **options)
        probabilities[left_out] = head.distributions(rows[left_out])
    return probabilities

"""The examples that a head is trained on, and those that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fg_search.model.codebook import UNSUPERVISED, Codebook, IntArray
from fg_search.model.head import FeatureGroupHead
from fg_search.validation import check_vectors

_HELD_OUT = 0.1  # share of the examples that a trunk does not see
_MAX_HELD_OUT = 500  # upper limit when all trunks leave out the same examples


@dataclass(frozen=True)
class Examples:
    """Embeddings with their target codes.

    Attributes:
        inputs: ``(n, d)`` float32, rows of unit length.
        targets: ``(n, G)`` int64 codes, -1 where an example is ignored by a group.
    """

    inputs: Tensor
    targets: Tensor

    @classmethod
    def of(cls, rows: npt.NDArray[np.float32], targets: IntArray, device: torch.device) -> Examples:
        """Scale the rows to unit length and move them and their targets to the device."""
        inputs = nn.functional.normalize(torch.from_numpy(rows), dim=-1)
        return cls(inputs.to(device), torch.from_numpy(targets).to(device))

    def without(self, hidden: Tensor) -> Examples:
        """The same rows; the codes selected by the boolean mask ``hidden``, ``(n, G)``, become unknown."""
        return Examples(self.inputs, self.targets.masked_fill(hidden, UNSUPERVISED))

    def known(self) -> Examples | None:
        """The rows with at least one known code, or ``None`` if there are none."""
        rows = (self.targets != UNSUPERVISED).any(dim=1)
        return Examples(self.inputs[rows], self.targets[rows]) if rows.any() else None


def validation_examples(
    validation: tuple[npt.NDArray[np.floating[Any]], IntArray], head: FeatureGroupHead, device: torch.device
) -> Examples:
    """Check the held-out embeddings ``(m, d)`` and codes ``(m, G)`` that a caller passes.

    Raises:
        ValueError: If a shape is wrong, a vector is not finite, or no code is known.
    """
    rows = check_vectors(validation[0], name="validation embeddings", dimension=head.in_features)
    targets = np.asarray(validation[1], dtype=np.int64)
    if targets.shape != (len(rows), head.groups):
        raise ValueError(f"validation codes must have shape {(len(rows), head.groups)}, got {targets.shape}")
    known = Examples.of(rows, targets, device).known()
    if known is None:
        raise ValueError("no validation example has a label that the head learns")
    return known


def stratified_parts(strata: Sequence[Any] | npt.NDArray[Any], parts: int, seed: int) -> IntArray:
    """Assign n examples to ``parts`` random parts, spreading each stratum evenly over them.

    Returns:
        ``(n,)`` int64, the part of each example.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(strata)), np.asarray(strata)))
    dealt = np.empty(len(order), dtype=np.int64)
    dealt[order] = np.arange(len(order)) % parts
    return dealt


def strata_of(codebook: Codebook, targets: IntArray) -> IntArray:
    """``(n,)`` int64: equal for examples with the same label; all equal if the codebook has no labels."""
    if not codebook.labels:
        return np.zeros(len(targets), dtype=np.int64)
    labelled = targets[:, len(codebook.attributes) :]
    return np.asarray(np.unique(labelled, axis=0, return_inverse=True)[1], dtype=np.int64).reshape(-1)


def held_out_mask(codebook: Codebook, examples: IntArray, parts: int, seed: int) -> npt.NDArray[np.bool_]:
    """Which groups each of the chosen examples is hidden from during training, ``(n, G)`` booleans.

    The groups form ``parts`` equal parts, and each part leaves out a different tenth of the examples. With a single
    part all groups leave out the same tenth, at most 500 examples.
    """
    strata = strata_of(codebook, codebook.targets[examples])
    least = 1 if parts > 1 else -(-len(examples) // _MAX_HELD_OUT)
    dealt = stratified_parts(strata, max(parts, round(1 / _HELD_OUT), least), seed)
    alone = np.bincount(strata)[strata] == 1
    by_part = (dealt[:, None] == np.arange(parts)) & ~alone[:, None]
    columns = (codebook.targets[examples] - UNSUPERVISED).T
    only_one = np.stack([np.bincount(codes)[codes] == 1 for codes in columns], axis=1)  # a rare value of an attribute
    return np.asarray(np.repeat(by_part, codebook.groups // parts, axis=1) & ~only_one)

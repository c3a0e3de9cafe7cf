"""Codebooks: what each group of a feature-group head learns to predict.

Training the concatenated softmax groups with a metric loss collapses onto a few codes. Training every group
as a classifier of *codes* does not. A codebook says which code each training example has in each group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]
Supervision = Literal["labels", "clusters"]

UNSUPERVISED = -1  # target of an example that teaches a group nothing (torch's ignore_index)
_CODE_FLOOR = 1e-6  # keeps log p finite where a group gives a label's code no mass at all


@dataclass(frozen=True)
class Codebook:
    """The codes that G groups of K codes learn, and the labels they can be decoded to.

    Attributes:
        supervision: ``"labels"`` or ``"clusters"``.
        codes_per_group: K.
        targets: ``(n, G)`` int64, the code of each training example in each group, -1 where unknown. Empty
            after loading: a saved codebook keeps what codes mean, not the training set.
        labels: The L known labels in the order of ``label_codes``; empty for clusters.
        label_codes: ``(L, G)`` int64, the code of each label in each group.
    """

    supervision: Supervision
    codes_per_group: int
    targets: IntArray = field(repr=False)
    labels: tuple[str, ...] = field(default=(), repr=False)
    label_codes: IntArray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64), repr=False)

    @property
    def groups(self) -> int:
        """Number G of groups."""
        return int(self.targets.shape[1])

    @classmethod
    def from_labels(cls, labels: Sequence[str | None], *, groups: int = 16, codes: int = 32, seed: int = 0) -> Codebook:
        """A random balanced map from labels to codes, a new one for each group.

        These are error-correcting output codes (Dietterich & Bakiri, 1995) over an alphabet of ``codes``
        letters: labels that share a code in one group are told apart by the others.

        Args:
            labels: One label an example; ``None`` where it is unknown (such an example is not trained on).
            groups: Number G of groups.
            codes: Number K of codes a group; with fewer labels than codes the surplus stays unused.
            seed: Seed of the random maps.

        Raises:
            ValueError: If there are fewer than two distinct labels, or a size is out of range.
        """
        _check_sizes(groups, codes)
        known = tuple(sorted({label for label in labels if label is not None}))
        if len(known) < 2:
            found = f"only {known[0]!r}" if known else "none"
            raise ValueError(
                f"labels must hold at least 2 distinct labels, found {found}; "
                "to learn without labels leave them out (clusters are used instead)"
            )
        rng = np.random.default_rng(seed)
        label_codes = np.stack([_balanced_codes(len(known), codes, rng) for _ in range(groups)], axis=1)
        row = {label: i for i, label in enumerate(known)}
        targets = np.full((len(labels), groups), UNSUPERVISED, dtype=np.int64)
        for i, label in enumerate(labels):
            if label is not None:
                targets[i] = label_codes[row[label]]
        return cls("labels", codes, targets, known, label_codes)

    @classmethod
    def from_clusters(cls, embeddings: FloatArray, *, groups: int = 32, codes: int = 128, seed: int = 0) -> Codebook:
        """k-means cluster ids as codes, each group on its own random subspace; needs no labels.

        As in product quantisation (Jégou et al., 2011), but the subspaces are random and overlap, so any
        number of groups works for any dimension.

        Args:
            embeddings: ``(n, d)`` float array, the direction of each row alone counts.
            groups: Number G of groups.
            codes: Number K of codes a group; at most as many as there are distinct rows are used.
            seed: Seed of the subspaces and of k-means.

        Raises:
            ValueError: If fewer than two rows differ, or a size is out of range.
        """
        from sklearn.cluster import KMeans

        _check_sizes(groups, codes)
        unit = unit_rows(embeddings)
        distinct = len(np.unique(unit.round(5), axis=0))
        if distinct < 2:
            raise ValueError(f"clustering needs at least 2 different items, got {distinct}")
        rng = np.random.default_rng(seed)
        dimension = unit.shape[1]
        subspace = min(dimension, max(8, dimension // 4))
        targets = np.empty((len(unit), groups), dtype=np.int64)
        for group in range(groups):
            basis = np.linalg.qr(rng.standard_normal((dimension, subspace)))[0].astype(np.float32)
            kmeans = KMeans(
                n_clusters=min(codes, distinct),
                n_init=1,
                max_iter=25,
                random_state=int(rng.integers(2**31)),
            )
            targets[:, group] = kmeans.fit_predict(unit @ basis)
        return cls("clusters", codes, targets)

    def decode(self, probabilities: FloatArray) -> npt.NDArray[np.float64]:
        """Posterior over the labels, decoded from the codes.

        ``log P(y) ∝ mean_g log p_g[code_g(y)]``, the geometric mean of the groups' opinions.

        Args:
            probabilities: ``(n, G, K)`` float array.

        Returns:
            ``(n, L)`` float64 array, rows sum to one, columns in the order of ``labels``.

        Raises:
            ValueError: If this codebook has no labels.
        """
        if not self.labels:
            raise ValueError(
                f"a codebook made from {self.supervision} has no labels to decode; use Codebook.from_labels"
            )
        logs = np.log(np.maximum(probabilities, _CODE_FLOOR, dtype=np.float64))
        scores = np.zeros((len(probabilities), len(self.labels)))
        for group in range(self.groups):
            scores += logs[:, group, self.label_codes[:, group]]
        scores /= self.groups
        scores -= scores.max(axis=1, keepdims=True)
        posterior = np.exp(scores)
        return np.asarray(posterior / posterior.sum(axis=1, keepdims=True))

    def to_dict(self) -> dict[str, Any]:
        """What is worth keeping, as JSON values; the inverse of :meth:`from_dict`."""
        return {
            "supervision": self.supervision,
            "groups": self.groups,
            "codes_per_group": self.codes_per_group,
            "labels": list(self.labels),
            "label_codes": self.label_codes.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Codebook:
        """Rebuild a codebook, without training targets, from :meth:`to_dict`."""
        groups = int(data["groups"])
        return cls(
            data["supervision"],
            int(data["codes_per_group"]),
            np.empty((0, groups), dtype=np.int64),
            tuple(data["labels"]),
            np.asarray(data["label_codes"], dtype=np.int64).reshape(-1, groups),
        )


def unit_rows(embeddings: FloatArray) -> npt.NDArray[np.float32]:
    """Rows scaled to length one as float32; a row of zeros stays zero."""
    rows = np.asarray(embeddings, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.finfo(np.float32).tiny))


def _balanced_codes(labels: int, codes: int, rng: np.random.Generator) -> IntArray:
    """A random code for each label, every code used equally often, give or take one."""
    used = min(labels, codes)
    assigned = np.arange(labels) % used
    names = rng.permutation(codes)[:used]
    return np.asarray(names[rng.permutation(assigned)], dtype=np.int64)


def _check_sizes(groups: int, codes: int) -> None:
    if groups < 1:
        raise ValueError(f"groups must be at least 1, got {groups}")
    if codes < 2:
        raise ValueError(f"codes must be at least 2, got {codes}: one code carries no information")

"""Feature-group embeddings of a batch of items: arrays, confidences, and the sparse form that is indexed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fg_search.confidence import group_confidence
from fg_search.errors import FormatVersionError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class FeatureEmbeddings:
    """What an encoder makes of n items.

    Attributes:
        base: ``(n, d)`` float32, the sentence embeddings of the underlying model.
        probabilities: ``(n, G, K)`` float32, one distribution over K codes for each of G groups.
        fingerprint: Of the encoder that made them, if it is known.
    """

    base: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if self.base.ndim != 2 or self.probabilities.ndim != 3 or len(self.base) != len(self.probabilities):
            raise ValueError(
                f"base must be (n, d) and probabilities (n, G, K), got {self.base.shape} and {self.probabilities.shape}"
            )

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, items: slice | npt.NDArray[Any] | list[int]) -> FeatureEmbeddings:
        """The chosen items, by slice, index array or boolean mask."""
        if isinstance(items, (int, np.integer)):
            raise TypeError(f"embeddings[{items}] would drop the batch axis; use embeddings[{items}:{items + 1}]")
        return FeatureEmbeddings(self.base[items], self.probabilities[items], self.fingerprint)

    def __repr__(self) -> str:
        n, groups, codes = self.probabilities.shape
        return f"FeatureEmbeddings(n={n}, base={self.base.shape[1]}, features={groups}x{codes})"

    @property
    def groups(self) -> int:
        """Number G of groups."""
        return int(self.probabilities.shape[1])

    @cached_property
    def codes(self) -> npt.NDArray[np.int64]:
        """Most probable code of each group, ``(n, G)`` int64."""
        return np.asarray(self.probabilities.argmax(axis=-1), dtype=np.int64)

    @cached_property
    def group_confidence(self) -> npt.NDArray[np.float32]:
        """Largest probability of each group, ``(n, G)`` float32 in [1/K, 1]."""
        return group_confidence(self.probabilities)

    @cached_property
    def confidence(self) -> npt.NDArray[np.float32]:
        """Mean of the group confidences, ``(n,)`` float32 in [1/K, 1]."""
        # as .mean(), whose Python around it is half of a single query's time
        return np.asarray(np.add.reduce(self.group_confidence, axis=-1) / np.float32(self.groups), dtype=np.float32)

    def sparse(self, threshold: float = 0.05) -> csr_array[Any, tuple[int, int]]:
        """The vectors that are indexed: probabilities below ``threshold`` dropped, scaled by 1/√G.

        The dot product of two rows is then the similarity ``s = (1/G) Σ_g Σ_k q_gk x_gk`` in [0, 1], the
        expected share of groups on which two items agree. Every group keeps at least its top code.

        Args:
            threshold: Smallest probability kept, in [0, 1].

        Returns:
            ``(n, G·K)`` CSR array, float32, column ``g·K + k`` for code k of group g, indices sorted.

        Raises:
            ValueError: If the threshold is outside [0, 1].
        """
        from scipy.sparse import csr_array

        n, groups, codes = self.probabilities.shape
        return csr_array(self.sparse_parts(threshold), shape=(n, groups * codes))

    def sparse_parts(
        self, threshold: float = 0.05
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The numbers, columns and row starts of :meth:`sparse`, without the class around them.

        For a single query that class takes longer than everything else.
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {threshold}")
        n, groups, codes = self.probabilities.shape
        width = groups * codes
        flat = self.probabilities.reshape(-1)
        kept = flat >= threshold
        kept[self.codes.reshape(-1) + np.arange(0, n * width, codes)] = True
        (positions,) = kept.nonzero()
        starts = positions.searchsorted(np.arange(0, (n + 1) * width, width))
        return flat[positions] / np.float32(groups**0.5), positions % width, starts

    def mixed(self) -> FeatureEmbeddings:
        """All items as one: their mean, each weighted by its own confidence.

        For several phrasings of one question. Similarity and cosine are linear in the query, so the mixture's is the
        weighted mean of theirs; phrasings that disagree spread its mass and make it less confident.

        Returns:
            One item.

        Raises:
            ValueError: If there are no items.
        """
        if not len(self):
            raise ValueError("there are no items to mix")
        weights = (self.confidence / self.confidence.sum()).astype(np.float32)
        norms = np.maximum(np.linalg.norm(self.base, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        base = np.asarray(weights @ (self.base / norms), dtype=np.float32)[None]
        return FeatureEmbeddings(base, np.tensordot(weights, self.probabilities, 1)[None], self.fingerprint)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write both arrays to ``path`` as npz, without pickle."""
        with Path(path).open("wb") as file:
            np.savez(
                file,
                format=np.int64(_FORMAT),
                base=self.base,
                probabilities=self.probabilities,
                fingerprint=np.str_(self.fingerprint or ""),
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FeatureEmbeddings:
        """Read what :meth:`save` wrote.

        Raises:
            FormatVersionError: If a newer release wrote the file.
        """
        with np.load(path, allow_pickle=False) as file:
            version = int(file["format"])
            if version > _FORMAT:
                raise FormatVersionError(
                    f"{path} has format {version}, this release reads up to {_FORMAT}; upgrade fg_search"
                )
            return cls(file["base"], file["probabilities"], str(file["fingerprint"]) or None)

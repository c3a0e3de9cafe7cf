"""Feature-group embeddings of a batch of items: arrays, confidences, and the sparse vectors to index."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fg_search.confidence.answerability import answerability, best_label_similarity
from fg_search.errors import FormatVersionError
from fg_search.model.reading import MOSTLY, Reading
from fg_search.model.role import Role

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_FORMAT = 1
_READING = ("tokens", "unread", "cut")
_OPTIONAL = ("familiarity", "label_codes")


class _Peaks(NamedTuple):
    """The most probable code of each group.

    Attributes:
        codes: ``(n, G)`` codes.
        positions: ``(n·G,)`` places of their probabilities among all n·G·K.
        probabilities: ``(n, G)`` float32.
    """

    codes: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FeatureEmbeddings:
    """Base embeddings and feature-group distributions of n items.

    Attributes:
        base: ``(n, d)`` float32 embeddings of the base model.
        probabilities: ``(n, G, K)`` float32, one distribution over K codes for each of G groups.
        fingerprint: Fingerprint of the encoder, if known.
        reading: What the model reads of the texts; ``None`` if they are not known, as of precomputed embeddings.
        familiarity: ``(n,)`` float32 in [0, 1]: the share of the examples that the head learned from which are less
            like all the others than this item is like them; near 0 for what is like nothing learned.
            ``None`` if the head does not know its examples.
        label_codes: ``(L, G)`` codes of the labels that the head knows; ``None`` if it knows no labels.
        role: What the items are, ``"query"`` or ``"document"``, where the model embeds these in different ways.

    Raises:
        ValueError: If the shapes do not match.
    """

    base: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    fingerprint: str | None = None
    reading: Reading | None = None
    familiarity: npt.NDArray[np.float32] | None = None
    label_codes: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    role: Role | None = None

    def __post_init__(self) -> None:
        if self.base.ndim != 2 or self.probabilities.ndim != 3 or len(self.base) != len(self.probabilities):
            raise ValueError(
                f"base must be (n, d) and probabilities (n, G, K), got {self.base.shape} and {self.probabilities.shape}"
            )

        if self.reading is not None and len(self.reading.unread) != len(self.base):
            raise ValueError(f"reading is of {len(self.reading.unread)} texts, base of {len(self.base)}")
        if self.familiarity is not None and len(self.familiarity) != len(self.base):
            raise ValueError(f"familiarity is of {len(self.familiarity)} items, base of {len(self.base)}")

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, items: slice | npt.NDArray[Any] | list[int]) -> FeatureEmbeddings:
        """The items selected by a slice, index array or boolean mask."""
        if isinstance(items, (int, np.integer)):
            raise TypeError(f"embeddings[{items}] would drop the batch axis; use embeddings[{items}:{items + 1}]")
        return FeatureEmbeddings(
            self.base[items],
            self.probabilities[items],
            self.fingerprint,
            None if self.reading is None else self.reading[items],
            None if self.familiarity is None else self.familiarity[items],
            self.label_codes,
            self.role,
        )

    def __repr__(self) -> str:
        n, groups, codes = self.probabilities.shape
        return f"FeatureEmbeddings(n={n}, base={self.base.shape[1]}, features={groups}x{codes})"

    @property
    def groups(self) -> int:
        """Number G of groups."""
        return int(self.probabilities.shape[1])

    @cached_property
    def _peaks(self) -> _Peaks:
        codes = np.asarray(self.probabilities.argmax(axis=-1), dtype=np.int64)
        positions = codes.reshape(-1) + np.arange(0, self.probabilities.size, self.probabilities.shape[2])
        # the maxima: to search for them again would take a hundred times as long as to take them from there
        largest = self.probabilities.reshape(-1)[positions].reshape(codes.shape)
        return _Peaks(codes, positions, largest.astype(np.float32, copy=False))

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Most probable code of each group, ``(n, G)`` int64."""
        return self._peaks.codes

    @property
    def group_confidence(self) -> npt.NDArray[np.float32]:
        """Largest probability of each group, ``(n, G)`` float32 in [1/K, 1].

        It is 1/K in all groups where more than half of a text's tokens are unknown to the model. All such texts get
        about the same embedding, of which a head may be as sure as of any other.
        """
        found = self._peaks.probabilities
        unread = None if self.reading is None else self.reading.unread > MOSTLY
        if unread is None or not unread.any():
            return found
        found = np.array(found)
        found[unread] = 1 / self.probabilities.shape[2]
        return found

    @property
    def unread(self) -> npt.NDArray[np.float32]:
        """Share of each text's tokens that the model does not know, ``(n,)`` float32 in [0, 1]; 0 if not known."""
        return Reading.unknown(len(self)).unread if self.reading is None else self.reading.unread

    @property
    def cut(self) -> npt.NDArray[np.bool_]:
        """Whether each text is longer than what the model reads, ``(n,)`` booleans; false if not known."""
        return Reading.unknown(len(self)).cut if self.reading is None else self.reading.cut

    @cached_property
    def confidence(self) -> npt.NDArray[np.float32]:
        """Mean of the group confidences, ``(n,)`` float32 in [1/K, 1]."""
        # not .mean(): its Python overhead is half the time of a single query
        found: npt.NDArray[np.float32] = np.add.reduce(self.group_confidence, axis=-1) / np.float32(self.groups)
        return found

    @cached_property
    def answerability(self) -> npt.NDArray[np.float32]:
        """Confidence for decisions, ``(n,)`` float32 in [0, 1]: tempered by familiarity, and about labels if known.

        It is :func:`fg_search.confidence.answerability` of the familiarity and of the similarity to the best label
        (without labels: the confidence). Without familiarity it is the confidence.
        """
        if self.familiarity is None:
            return self.confidence
        if self.label_codes is None:
            return answerability(self.confidence, self.familiarity)
        found = answerability(best_label_similarity(self.probabilities, self.label_codes), self.familiarity)
        return np.where(self.unread > MOSTLY, np.minimum(found, self.confidence), found)

    def sparse(self, threshold: float = 0.05) -> csr_array[Any, tuple[int, int]]:
        """The sparse vectors to index: probabilities of at least ``threshold``, scaled by 1/√G.

        The dot product of two rows is the similarity ``s = (1/G) Σ_g Σ_k q_gk x_gk`` in [0, 1], the expected share of
        groups on which two items agree. Every group keeps at least its top code.

        Args:
            threshold: Smallest probability kept, in [0, 1].

        Returns:
            ``(n, G·K)`` float32 CSR array with sorted indices; column ``g·K + k`` is code k of group g.

        Raises:
            ValueError: If the threshold is outside [0, 1].
        """
        from scipy.sparse import csr_array

        n, groups, codes = self.probabilities.shape
        return csr_array(self.sparse_parts(threshold), shape=(n, groups * codes))

    def sparse_parts(
        self, threshold: float = 0.05
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The values, columns and row starts of :meth:`sparse`, without building a CSR array.

        For a single query, building the array takes longer than everything else.

        Args:
            threshold: Smallest probability kept, in [0, 1].

        Returns:
            ``(m,)`` float32 values, ``(m,)`` int64 columns, and ``(n + 1,)`` int64 row starts.

        Raises:
            ValueError: If the threshold is outside [0, 1].
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {threshold}")
        n, groups, codes = self.probabilities.shape
        width = groups * codes
        flat = self.probabilities.reshape(-1)
        kept = flat >= threshold
        kept[self._peaks.positions] = True
        (positions,) = kept.nonzero()
        values = flat[positions] / np.float32(groups**0.5)
        if n == 1:  # a single query
            return values, positions, np.array((0, len(positions)))
        starts = positions.searchsorted(np.arange(0, (n + 1) * width, width))
        return values, positions % width, starts

    def mixed(self) -> FeatureEmbeddings:
        """Mix all items into one: their mean, weighted by confidence.

        Use it for several phrasings of one question. Similarity and cosine are linear in the query, so those of the
        mixture are weighted means of those of the phrasings. Phrasings that disagree spread its mass and lower its
        confidence.

        Returns:
            Embeddings of a single item.

        Raises:
            ValueError: If there are no items.
        """
        if not len(self):
            raise ValueError("there are no items to mix")
        weights = (self.confidence / self.confidence.sum()).astype(np.float32)
        norms = np.maximum(np.linalg.norm(self.base, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        base = np.asarray(weights @ (self.base / norms), dtype=np.float32)[None]
        reading = None
        if self.reading is not None:
            unread = np.asarray([weights @ self.reading.unread], dtype=np.float32)
            reading = Reading(self.reading.tokens.sum(keepdims=True), unread, np.array([self.reading.cut.any()]))
        return FeatureEmbeddings(
            base,
            np.tensordot(weights, self.probabilities, 1)[None],
            self.fingerprint,
            reading,
            None if self.familiarity is None else np.asarray([weights @ self.familiarity], dtype=np.float32),
            self.label_codes,
            self.role,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the embeddings to ``path`` as npz, without pickle."""
        with Path(path).open("wb") as file:
            np.savez(
                file,
                format=np.int64(_FORMAT),
                base=self.base,
                probabilities=self.probabilities,
                fingerprint=np.str_(self.fingerprint or ""),
                role=np.str_(self.role or ""),
                **({} if self.reading is None else {name: getattr(self.reading, name) for name in _READING}),
                **{name: getattr(self, name) for name in _OPTIONAL if getattr(self, name) is not None},
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FeatureEmbeddings:
        """Read a file written by :meth:`save`.

        Raises:
            FormatVersionError: If a newer release wrote the file.
        """
        with np.load(path, allow_pickle=False) as file:
            version = int(file["format"])
            if version > _FORMAT:
                raise FormatVersionError(
                    f"{path} has format {version}, this release reads up to {_FORMAT}; upgrade fg_search"
                )
            reading = Reading(*(file[name] for name in _READING)) if "unread" in file else None
            optional = {name: file[name] for name in _OPTIONAL if name in file}
            role: Any = (str(file["role"]) or None) if "role" in file else None
            return cls(
                file["base"], file["probabilities"], str(file["fingerprint"]) or None, reading, **optional, role=role
            )

"""Which texts and vectors an encoder has learned from, by their hashes: they are no held-out queries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

_FILE = "learned_texts.bin"
_BYTES = 8  # of a hash; of ten million texts, two that differ have one hash with a probability of 3e-6


@dataclass(frozen=True, eq=False)
class LearnedTexts:
    """The texts, as far as two are the same but for case and white space.

    Attributes:
        hashes: ``(n,)`` uint64 hashes, ascending.
    """

    hashes: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Iterable[str], vectors: npt.NDArray[np.floating[Any]] | None = None) -> Self:
        """Remember texts, and vectors ``(n, d)`` that were brought along."""
        hashes = _hashes(texts)
        return cls(np.unique(hashes if vectors is None else np.concatenate([hashes, _hashes_of_rows(vectors)])))

    def __len__(self) -> int:
        return len(self.hashes)

    def among(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of n texts were learned from, ``(n,)`` booleans."""
        return np.isin(_hashes(texts), self.hashes)

    def among_vectors(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
        """Which of vectors ``(n, d)`` were learned from, number by number, ``(n,)`` booleans."""
        return np.isin(_hashes_of_rows(vectors), self.hashes)

    def write(self, folder: Path) -> None:
        """Write a file into the folder of an encoder."""
        (folder / _FILE).write_bytes(self.hashes.astype("<u8").tobytes())

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read that file. ``None`` if there is none: an earlier release saved the encoder."""
        file = folder / _FILE
        return cls(np.frombuffer(file.read_bytes(), dtype="<u8").astype(np.uint64)) if file.is_file() else None


def _hashes(texts: Iterable[str]) -> npt.NDArray[np.uint64]:
    return _digests(" ".join(text.casefold().split()).encode("utf-8", "surrogatepass") for text in texts)


def _hashes_of_rows(vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint64]:
    return _digests(row.tobytes() for row in np.ascontiguousarray(vectors, dtype="<f4"))


def _digests(contents: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    found = b"".join(hashlib.blake2b(content, digest_size=_BYTES).digest() for content in contents)
    return np.frombuffer(found, dtype="<u8").astype(np.uint64)

"""Which texts an encoder has learned from, by their hashes: they are no held-out queries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    def of(cls, texts: Iterable[str]) -> Self:
        """Remember texts."""
        return cls(np.unique(_hashes(texts)))

    def __len__(self) -> int:
        return len(self.hashes)

    def among(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of n texts were learned from, ``(n,)`` booleans."""
        return np.isin(_hashes(texts), self.hashes)

    def write(self, folder: Path) -> None:
        """Write a file into the folder of an encoder."""
        (folder / _FILE).write_bytes(self.hashes.astype("<u8").tobytes())

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read that file. ``None`` if there is none: an earlier release saved the encoder."""
        file = folder / _FILE
        return cls(np.frombuffer(file.read_bytes(), dtype="<u8").astype(np.uint64)) if file.is_file() else None


def _hashes(texts: Iterable[str]) -> npt.NDArray[np.uint64]:
    digests = [
        hashlib.blake2b(" ".join(text.casefold().split()).encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()
        for text in texts
    ]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)

"""Encoders that need no model: embeddings are drawn from a hash of the text and of the encoder's name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.model.embeddings import FeatureEmbeddings

DIMENSION, GROUPS, CODES = 4, 2, 3
FOLDER = "encoder-"


class SimulatedEncoder:
    """A fitted encoder, for all that the operations of an index ask of one.

    Args:
        name: One letter, which its folder ends in.
        base: Name of the base model.
    """

    supervision = "labels"
    learned = codebook = None
    attributes: tuple[str, ...] = ()
    dimension, groups, codes_per_group = DIMENSION, GROUPS, CODES

    def __init__(self, name: str, base: str) -> None:
        self.name = name
        self.fingerprint = hashlib.sha256(f"head {name}".encode()).hexdigest()[:16]
        self.base_fingerprint = hashlib.sha256(f"base {base}".encode()).hexdigest()[:16]
        self.model_name = base
        self.folder = FOLDER + name

    def __repr__(self) -> str:
        return f"encoder {self.name}"

    def has_fingerprint(self, fingerprint: str) -> bool:
        return fingerprint == self.fingerprint

    def has_base_fingerprint(self, fingerprint: str) -> bool:
        return fingerprint == self.base_fingerprint

    def encode(self, texts: Sequence[str], **_: Any) -> FeatureEmbeddings:
        return self.features(np.stack([_base(self.model_name, text) for text in texts]))

    def features(self, base: npt.NDArray[np.float32], **_: Any) -> FeatureEmbeddings:
        """Features are a smooth function of the base embedding, as those of an encoder are."""
        scores = np.exp(base @ _head(self.name)).reshape(-1, GROUPS, CODES)
        probabilities = (scores / scores.sum(axis=-1, keepdims=True)).astype(np.float32)
        return FeatureEmbeddings(base.astype(np.float32), probabilities, self.fingerprint)

    def refitted(self, texts: Sequence[str], labels: Sequence[str | None], *_: Any, **__: Any) -> SimulatedEncoder:
        return ENCODERS["R"]

    def save(self, folder: Any) -> None:
        """Saved encoders are where they were before."""


ENCODERS = {
    "A": SimulatedEncoder("A", "first base"),  # fills the index
    "B": SimulatedEncoder("B", "first base"),  # another head
    "C": SimulatedEncoder("C", "second base"),
    "R": SimulatedEncoder("R", "first base"),  # what a refit comes to
    "Z": SimulatedEncoder("Z", "first base"),  # what the index is moved to in the end
}


def load_encoder(folder: Any, **_: Any) -> SimulatedEncoder:
    """The encoder that was saved in a folder."""
    return ENCODERS[str(folder).removeprefix(FOLDER)]


@lru_cache(maxsize=1000)
def _base(model: str, text: str) -> npt.NDArray[np.float32]:
    vector = _generator(f"{model}/{text}").standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


@lru_cache(maxsize=10)
def _head(name: str) -> npt.NDArray[np.float32]:
    return _generator(f"head {name}").standard_normal((DIMENSION, GROUPS * CODES)).astype(np.float32) * 3


def _generator(seed: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))

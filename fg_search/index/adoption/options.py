"""How a collection is to be adopted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fg_search.layout.source import Source

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

MOST_LEARNED = 100_000
"""Points that a head learns from by default, at most."""


@dataclass(frozen=True)
class AdoptionOptions:
    """How a collection is to be adopted.

    Attributes:
        vector: Name of the dense vector that is the base embedding, ``""`` for the unnamed one.
        text: Payload path of the text, or several paths.
        label: Payload path of the label, ``None`` without labels.
        attributes: Payload paths of attributes, each of which gets a group of its own.
        encoder: Encoder, with a trained head or without; the folder of a saved one; or ``None`` for one without a
            model.
        folder: Folder to save the encoder in, once it has learned.
        most: Number of points that the head learns from, at most.
        seed: Random seed.
    """

    vector: str
    text: str | Sequence[str]
    label: str | None
    attributes: Sequence[str]
    encoder: FeatureGroupEncoder | str | os.PathLike[str] | None
    folder: str | os.PathLike[str] | None
    most: int
    seed: int

    @property
    def source(self) -> Source:
        """Where the collection has vector, text and label."""
        return Source(self.vector, (self.text,) if isinstance(self.text, str) else tuple(self.text), self.label)

"""What an encoder asks of whatever makes base embeddings of texts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fg_search.model.reading import Reading
from fg_search.model.role import Role


@dataclass(frozen=True, eq=False)
class Embedded:
    """Base embeddings of n texts.

    Attributes:
        vectors: ``(n, d)`` float32.
        reading: What the embedder reads of the texts: tokens, the share of them that it does not know, and whether a
            text is cut off; ``None`` if that is not known.
    """

    vectors: npt.NDArray[np.float32]
    reading: Reading | None = None


@runtime_checkable
class Embedder(Protocol):
    """Makes base embeddings of texts. Texts have two roles: what is searched for, and what is found.

    An object with these members is an embedder; there is nothing to inherit.
    """

    @property
    def name(self) -> str:
        """Name for people to read."""

    @property
    def dimension(self) -> int:
        """Number d of each embedding's numbers."""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with whatever decides the vectors."""

    @property
    def is_symmetric(self) -> bool:
        """Whether a text has the same vector in both roles. It is embedded only once then."""

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are searched for."""

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are found."""


@runtime_checkable
class SavedBySettings(Protocol):
    """An embedder that is made again from its settings when an encoder is loaded.

    Attributes:
        kind: What names its class in a saved folder, see :mod:`fg_search.model.embedders.settings`.
    """

    kind: str

    def settings(self) -> Mapping[str, Any]:
        """Arguments of the class, as JSON and without secrets."""


def is_embedder(candidate: object) -> bool:
    """Whether an object has the members of :class:`Embedder`; none is asked for, as that may load a model."""
    missing = object()
    names = ("name", "dimension", "fingerprint", "is_symmetric", "embed_queries", "embed_documents")
    return all(
        name in getattr(candidate, "__dict__", ()) or inspect.getattr_static(candidate, name, missing) is not missing
        for name in names
    )


def embed(embedder: Embedder, texts: Sequence[str], role: Role) -> Embedded:
    """Embed texts in a role."""
    return embedder.embed_queries(texts) if role == "query" else embedder.embed_documents(texts)

"""Embeddings of another library as what embeds the texts of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fg_search.model.embedders.digests import settings_digest
from fg_search.model.embedders.embedder import Embedded

Vectors = Sequence[Sequence[float]]
_KIND = "foreign"
_A_TEXT = "a text"  # whose embedding tells the dimension


class ForeignEmbedder:
    """Embeds with functions of another library.

    A saved encoder cannot make it again: pass it when the encoder is loaded. It is known by its name and dimension, so
    that two models of one name and dimension are taken for the same.

    Args:
        name: Name of the model, which says which vectors belong together.
        embed_documents: Makes vectors of texts that are found.
        embed_queries: Makes vectors of texts that are searched for.
    """

    is_symmetric = False  # such libraries have a function for each role, and do not tell

    def __init__(
        self,
        name: str,
        embed_documents: Callable[[list[str]], Vectors],
        embed_queries: Callable[[list[str]], Vectors],
    ) -> None:
        self.name = name
        self._documents, self._queries = embed_documents, embed_queries

    def __repr__(self) -> str:
        return f"ForeignEmbedder({self.name!r})"

    @cached_property
    def dimension(self) -> int:
        """Number of an embedding's numbers, by embedding a text once."""
        return len(self._documents([_A_TEXT])[0])

    @cached_property
    def fingerprint(self) -> str:
        """Of name and dimension."""
        return settings_digest(_KIND, name=self.name, dimension=self.dimension)

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are found."""
        return Embedded(np.asarray(self._documents(list(texts)), dtype=np.float32))

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are searched for."""
        return Embedded(np.asarray(self._queries(list(texts)), dtype=np.float32))


def name_of(model: Any) -> str:
    """Name of a model of another library: what it says itself, or its class."""
    for attribute in ("model_name", "model"):
        named = getattr(model, attribute, None)
        if isinstance(named, str) and named:
            return named
    return type(model).__name__

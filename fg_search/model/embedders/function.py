"""Functions that embed texts, whatever they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from fg_search.model.embedders.digests import settings_digest
from fg_search.model.embedders.embedder import Embedded
from fg_search.validation import as_matrix, check_count

Function = Callable[[list[str]], npt.ArrayLike]


class CallableEmbedder:
    """A function from a list of n texts to ``(n, d)`` numbers, or one for queries and another one for documents.

    A function cannot be saved: an encoder keeps its name, version and dimension, and is loaded with it:
    ``FeatureGroupEncoder.load(folder, embedder=CallableEmbedder(…))``.

    Args:
        function: Embeds texts of both roles; ``None`` if ``queries`` and ``documents`` are given.
        dimension: Number d of each embedding's numbers.
        queries: Embeds texts that are searched for.
        documents: Embeds texts that are found.
        name: Name for people to read.
        version: Of what the function does. Name, version and dimension make its fingerprint: change one of them when
            the vectors change.

    Raises:
        TypeError: If there is neither one function nor two.

    Example:
        >>> embedder = CallableEmbedder(client.embed, 1024, name="our-model", version="2026-10")  # doctest: +SKIP
    """

    def __init__(
        self,
        function: Function | None = None,
        dimension: int = 0,
        *,
        queries: Function | None = None,
        documents: Function | None = None,
        name: str = "a function",
        version: str = "1",
    ) -> None:
        two = queries is not None and documents is not None
        if two == (function is not None) or (queries is None) != (documents is None):
            raise TypeError("give one function for all texts, or queries=… and documents=…")
        self.dimension = check_count(dimension, name="dimension")
        self.name, self.version = name, version
        self._queries, self._documents = queries or function, documents or function

    def __repr__(self) -> str:
        return f"CallableEmbedder({self.name!r}, {self.dimension}, version={self.version!r})"

    @property
    def is_symmetric(self) -> bool:
        """Whether one function embeds all texts."""
        return self._queries is self._documents

    @property
    def fingerprint(self) -> str:
        """Of name, version and dimension, and of whether there are two functions."""
        return settings_digest(
            "function",
            name=self.name,
            version=self.version,
            dimension=self.dimension,
            symmetric=self.is_symmetric,
        )

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are searched for."""
        return self._embed(self._queries, texts)

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are found."""
        return self._embed(self._documents, texts)

    def _embed(self, function: Function | None, texts: Sequence[str]) -> Embedded:
        assert function is not None  # noqa: S101  checked by the constructor
        if not texts:
            return Embedded(np.empty((0, self.dimension), dtype=np.float32))
        given = function(list(texts))
        try:
            found = as_matrix(given, "what it gave")
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the function of {self.name!r} gave no vectors: {error}; let it return one vector for each text"
            ) from error
        if found.shape != (len(texts), self.dimension):
            raise ValueError(
                f"the function of {self.name!r} gave an array of shape {found.shape} for {len(texts)} texts, not "
                f"{(len(texts), self.dimension)}; let it return one vector for each text, or give its dimension"
            )
        return Embedded(found)

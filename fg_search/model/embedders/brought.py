"""Vectors that somebody else makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fg_search.errors import NoEmbedderError
from fg_search.model.embedders.digests import settings_digest
from fg_search.model.embedders.embedder import Embedded, Embedder, embed
from fg_search.model.role import Role
from fg_search.validation import check_count


class BroughtVectors:
    """Stands for a model that is elsewhere: all vectors are handed in, those of items and those of queries.

    Args:
        dimension: Dimension d of the vectors.
        name: Name of the model that makes them, such as ``"text-embedding-3-small"``. Together with the dimension it
            says which vectors belong together: an index refuses an encoder of another name.
        symmetric: Whether the model embeds queries as it embeds documents. If it does not, tell the encoder how its
            queries look: ``encoder.learn_familiarity(vectors=queries, role="query")``.
        embedder: Embeds texts, if some come without vectors; you vouch that it is the same model. It is not saved:
            ``FeatureGroupEncoder.load(folder, embedder=…)`` hands it in again.

    Raises:
        ValueError: If the embedder has another dimension.

    Example:
        >>> encoder = FeatureGroupEncoder(BroughtVectors(1536, "text-embedding-3-small"))  # doctest: +SKIP
        >>> encoder.fit(vectors=vectors, labels=labels)  # doctest: +SKIP
    """

    kind = "brought"

    def __init__(
        self,
        dimension: int,
        name: str = "vectors of your own",
        *,
        symmetric: bool = True,
        embedder: Embedder | None = None,
    ) -> None:
        self.dimension = check_count(dimension, name="dimension")
        self.name = name
        self.embedder = embedder
        self._symmetric = symmetric
        if embedder is not None and embedder.dimension != dimension:
            raise ValueError(
                f"the vectors of {name!r} have dimension {dimension}, those of {embedder.name!r} {embedder.dimension}: "
                "it cannot be the same model"
            )

    def __repr__(self) -> str:
        return f"BroughtVectors({self.dimension}, {self.name!r})"

    @property
    def is_symmetric(self) -> bool:
        """Whether queries are embedded as documents are."""
        return self._symmetric if self.embedder is None else self.embedder.is_symmetric

    @property
    def fingerprint(self) -> str:
        """Of the name and the dimension."""
        return settings_digest(self.kind, name=self.name, dimension=self.dimension)

    def settings(self) -> Mapping[str, Any]:
        """Arguments of the class."""
        return {"dimension": self.dimension, "name": self.name, "symmetric": self._symmetric}

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are searched for, by the embedder that was handed in.

        Raises:
            NoEmbedderError: If there is none.
        """
        return self._embed(texts, "query", "search(vector=…), search_many(vectors=…), calibrate(vectors=…)")

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are found, by the embedder that was handed in.

        Raises:
            NoEmbedderError: If there is none.
        """
        return self._embed(texts, "document", "fit(vectors=…), add(texts, vectors=…)")

    def _embed(self, texts: Sequence[str], role: Role, calls: str) -> Embedded:
        if self.embedder is None:
            raise self._nothing_embeds(texts, calls)
        return embed(self.embedder, texts, role)

    def _nothing_embeds(self, texts: Sequence[str], calls: str) -> NoEmbedderError:
        example = f", such as {texts[0][:40]!r}" if texts else ""
        return NoEmbedderError(
            f"nothing embeds texts here{example}: vectors of {self.name!r} are brought along; pass them ({calls}; "
            "--vectors on the command line), or give the encoder an embedder of that model: "
            "FeatureGroupEncoder.load(folder, embedder=…)"
        )


class AbsentEmbedder(BroughtVectors):
    """Stands for the embedder of a saved encoder that cannot be made again from what was saved, such as a function.

    Vectors that are brought along are as good as those that it would make.

    Args:
        dimension: Its dimension.
        name: Its name.
        fingerprint: Its fingerprint.
        symmetric: Whether both roles give the same vectors.
    """

    kind = ""

    def __init__(self, dimension: int, name: str, fingerprint: str, *, symmetric: bool) -> None:
        super().__init__(dimension, name, symmetric=symmetric)
        self._fingerprint = fingerprint

    def __repr__(self) -> str:
        return f"AbsentEmbedder({self.dimension}, {self.name!r})"

    @property
    def fingerprint(self) -> str:
        """Of the embedder that it stands for."""
        return self._fingerprint

"""Models of the package fastembed, which runs them by ONNX Runtime, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fg_search.errors import EncoderNotFoundError, UnsupportedError
from fg_search.model.embedders.digests import settings_digest
from fg_search.model.embedders.embedder import Embedded

_PROBE = "Which of the two is it?"


class FastEmbedEmbedder:
    """A model of fastembed, loaded when it is first needed.

    Queries go in by its ``query_embed`` and documents by its ``passage_embed``.

    Args:
        model: Name of the model, such as ``"BAAI/bge-small-en-v1.5"``.
        query_prefix: What stands before each query, for models that fastembed gives none.
        document_prefix: What stands before each document.
        options: Other arguments of ``fastembed.TextEmbedding`` that change no vector, such as ``cache_dir`` and
            ``threads``. They are not saved.

    Raises:
        UnsupportedError: If fastembed is not installed.
        EncoderNotFoundError: If it has no such model, from whatever needs the model first.

    Example:
        >>> encoder = FeatureGroupEncoder(FastEmbedEmbedder("BAAI/bge-small-en-v1.5"))  # doctest: +SKIP
    """

    kind = "fastembed"

    def __init__(self, model: str, *, query_prefix: str = "", document_prefix: str = "", **options: Any) -> None:
        try:
            import fastembed
        except ImportError as error:
            raise UnsupportedError(f"models of fastembed need it installed ({error}): pip install fastembed") from None
        self._library: Any = fastembed
        self._options = options
        self.model = model
        self.query_prefix, self.document_prefix = query_prefix, document_prefix

    def __repr__(self) -> str:
        return f"FastEmbedEmbedder({self.model!r})"

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model

    @cached_property
    def _loaded(self) -> Any:
        try:
            return self._library.TextEmbedding(self.model, **self._options)
        except (ValueError, OSError) as error:
            raise EncoderNotFoundError(
                f"fastembed cannot load the model {self.model!r}: {error}; its models are listed by "
                "fastembed.TextEmbedding.list_supported_models()"
            ) from error

    @cached_property
    def _probes(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """One text in both roles, which tells whether these are alike, and the dimension."""
        return (
            np.stack(list(self._loaded.query_embed([_PROBE]))),
            np.stack(list(self._loaded.passage_embed([_PROBE]))),
        )

    @property
    def dimension(self) -> int:
        """Dimension d of the embeddings."""
        return int(self._probes[1].shape[1])

    @property
    def is_symmetric(self) -> bool:
        """Whether the model embeds queries as it embeds documents."""
        return self.query_prefix == self.document_prefix and bool(np.array_equal(*self._probes))

    @property
    def fingerprint(self) -> str:
        """Of the name of the model, and of what stands before texts."""
        return settings_digest(
            self.kind,
            model=self.model,
            dimension=self.dimension,
            query_prefix=self.query_prefix,
            document_prefix=self.document_prefix,
        )

    def settings(self) -> Mapping[str, Any]:
        """Arguments of the class."""
        return {
            "model": self.model,
            "query_prefix": self.query_prefix,
            "document_prefix": self.document_prefix,
        }

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are searched for."""
        return self._stacked(self._loaded.query_embed([self.query_prefix + text for text in texts]))

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are found."""
        return self._stacked(self._loaded.passage_embed([self.document_prefix + text for text in texts]))

    def _stacked(self, found: Any) -> Embedded:
        rows = list(found)
        if not rows:
            return Embedded(np.empty((0, self.dimension), dtype=np.float32))
        return Embedded(np.stack(rows).astype(np.float32))

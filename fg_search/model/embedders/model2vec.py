"""Static models of the package model2vec: a vector for each token, no network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fg_search.errors import EncoderNotFoundError, UnsupportedError
from fg_search.model.embedders.digests import settings_digest
from fg_search.model.embedders.embedder import Embedded
from fg_search.model.reading import Reading


class Model2VecEmbedder:
    """A ``StaticModel`` of model2vec, loaded when it is first needed. It embeds queries as it embeds documents.

    Args:
        model: Name or folder of the model, such as ``"minishlab/potion-base-8M"``, or a ready ``StaticModel``, which
            is not saved with an encoder: pass the embedder again to ``FeatureGroupEncoder.load``.

    Raises:
        UnsupportedError: If model2vec is not installed.
        EncoderNotFoundError: If there is no such model, from whatever needs it first.

    Example:
        >>> encoder = FeatureGroupEncoder(Model2VecEmbedder("minishlab/potion-base-8M"))  # doctest: +SKIP
    """

    kind = "model2vec"
    is_symmetric = True

    def __init__(self, model: str | os.PathLike[str] | Any) -> None:
        try:
            from model2vec import StaticModel
        except ImportError as error:
            raise UnsupportedError(f"static models need model2vec ({error}): pip install model2vec") from None
        self._class: Any = StaticModel
        if isinstance(model, (str, os.PathLike)):
            self.name = os.fspath(model)
        else:
            self.name = model.base_model_name or "a StaticModel"
            self.kind = ""  # there is nothing to load it from
            self.__dict__["_loaded"] = model

    def __repr__(self) -> str:
        return f"Model2VecEmbedder({self.name!r})"

    @cached_property
    def _loaded(self) -> Any:
        try:
            return self._class.from_pretrained(self.name, force_download=False)
        except (ValueError, OSError) as error:
            raise EncoderNotFoundError(
                f"model2vec cannot load the model {self.name!r}: {error}; give the name or folder of a static model"
            ) from error

    @property
    def dimension(self) -> int:
        """Dimension d of the embeddings."""
        return int(self._loaded.dim)

    @cached_property
    def fingerprint(self) -> str:
        """Of the vectors and the tokenizer."""
        model = self._loaded
        digest = hashlib.sha256()
        for array in (model.embedding, model.weights, model.token_mapping):
            if array is not None:
                digest.update(f"{array.shape}{array.dtype}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return settings_digest(
            "model2vec",
            vectors=digest.hexdigest(),
            vocabulary=sorted(model.tokenizer.get_vocab().items()),
            normalize=bool(model.normalize),
            limit=model.max_length,
        )

    def settings(self) -> Mapping[str, Any]:
        """Arguments of the class."""
        return {"model": self.name}

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are searched for."""
        return self.embed_documents(texts)

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are found."""
        if not texts:
            return Embedded(np.empty((0, self.dimension), dtype=np.float32))
        model = self._loaded
        vectors = np.asarray(model.encode(list(texts), use_multiprocessing=False), dtype=np.float32)
        return Embedded(vectors, self._reading(texts))

    def _reading(self, texts: Sequence[str]) -> Reading:
        model = self._loaded
        encodings = model.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        tokens = np.array([len(row) for row in ids], dtype=np.int64)
        unknown = np.array([sum(token == model.unk_token_id for token in row) for row in ids], dtype=np.float32)
        unread = np.where(tokens > 0, unknown / np.maximum(tokens, 1), 1).astype(np.float32)
        limit = model.max_length
        cut = [bool(one.overflowing) or (limit is not None and len(one.ids) > limit) for one in encodings]
        return Reading(tokens, unread, np.array(cut, dtype=bool), limit)

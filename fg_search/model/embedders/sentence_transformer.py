"""The models of sentence-transformers."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from typing_extensions import Self

from fg_search.model.batching import BatchSize, encode_rows
from fg_search.model.embedders.embedder import Embedded
from fg_search.model.embedders.images import takes_texts_alone
from fg_search.model.fingerprint import Fingerprints, Parts, combined
from fg_search.model.pipeline import as_base
from fg_search.model.pretrained import Backend, load_sentence_transformer
from fg_search.model.role import Role
from fg_search.model.roles import Roles
from fg_search.model.sources import Source, source_of
from fg_search.model.text_tokenizer import KnownTokenizer
from fg_search.validation import check_texts

if TYPE_CHECKING:
    from PIL.Image import Image


class SentenceTransformerEmbedder:
    """A ``SentenceTransformer``.

    Queries and documents go in as by its ``encode_query`` and ``encode_document``, with the prompts ``query`` and
    ``document`` (``passage``, ``corpus``) that it has, its routes and its task adapters. A model that has none of these
    takes all texts alike.

    Args:
        model: What ``SentenceTransformer`` accepts: a model name, a folder, or a ready ``SentenceTransformer``.
        device: Device that the model runs on; by default sentence-transformers chooses.
        dtype: Type of its weights as torch calls it, such as ``"float16"`` or ``"bfloat16"``; by default what its files
            say.
        backend: What runs it: ``"torch"``, ``"onnx"`` or ``"openvino"``.
        truncate_dim: Number of numbers kept of each embedding, for models whose embeddings may be cut off.
        trust_remote_code: Whether to run code that comes with the model, with all your rights.
        query_prompt: What stands before each query, or the name of one of the model's prompts; by default what the
            model says.
        document_prompt: The same for documents.
        symmetric: Whether queries and documents are the same kind of text, as for intents: all texts go in by
            ``encode``, with its default prompt or the one that is given here.
        tf32: Whether a CUDA device that has TF32 may use it for products of matrices.

    Attributes:
        model: The ``SentenceTransformer``.
        name: Its name.
        roles: How it takes queries and documents.

    Raises:
        EncoderNotFoundError: If there is no such model.
        UntrustedCodeError: If it needs code of its own, which is not trusted.
        UnsupportedError: If the packages of the backend are missing.
        TypeError: If it ends in a feature-group head.
        ValueError: If device, dtype, backend or ``truncate_dim`` are given for a ready model.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | SentenceTransformer,
        *,
        device: str | None = None,
        dtype: str | None = None,
        backend: Backend = "torch",
        truncate_dim: int | None = None,
        trust_remote_code: bool = False,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        symmetric: bool = False,
        tf32: bool = False,
    ) -> None:
        self.roles = Roles(query_prompt, document_prompt, symmetric)
        self.tf32 = tf32
        self.fingerprints = Fingerprints()
        self._tokenizer = KnownTokenizer()
        if isinstance(model, SentenceTransformer):
            for argument, given in (("truncate_dim", truncate_dim), ("dtype", dtype)):
                if given is not None:
                    raise ValueError(
                        f"{argument} is for a model that is given by its name; a SentenceTransformer is made with it: "
                        "SentenceTransformer(name, truncate_dim=…, model_kwargs={'dtype': …})"
                    )
            self.name = model.model_card_data.base_model or "a SentenceTransformer"
            found = model
        else:
            self.name = os.fspath(model)
            found = load_sentence_transformer(
                self.name,
                device,
                trust_remote_code=trust_remote_code,
                truncate_dim=truncate_dim,
                dtype=dtype,
                backend=backend,
            )
        self.model = as_base(found)

    @classmethod
    def of(
        cls, model: SentenceTransformer, name: str, roles: Roles, fingerprints: Fingerprints, *, tf32: bool = False
    ) -> Self:
        """Of a base model that is there, with a name of its own."""
        embedder = cls(model, tf32=tf32)
        embedder.name, embedder.roles, embedder.fingerprints = name, roles, fingerprints
        return embedder

    def with_model(self, model: SentenceTransformer) -> Self:
        """The same embedder with another model."""
        other = copy.copy(self)
        other.model, other.fingerprints, other._tokenizer = model, Fingerprints(), KnownTokenizer()
        return other

    def __repr__(self) -> str:
        return f"SentenceTransformerEmbedder({self.name!r})"

    @property
    def dimension(self) -> int:
        """Dimension d of the embeddings.

        Raises:
            ValueError: If the model does not tell.
        """
        dimension = self.model.get_embedding_dimension()
        if dimension is None:
            raise ValueError(f"{self.name} does not tell the dimension of its embeddings")
        return int(dimension)

    @property
    def parts(self) -> Parts:
        """Digests of what the fingerprint is made of, by name."""
        return self.fingerprints.parts_of_base(self.model, self.name, self.roles)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the model as it is now, and of how it takes queries and documents."""
        return combined(self.parts)

    @property
    def is_symmetric(self) -> bool:
        """Whether it takes queries and documents alike."""
        return self.roles.are_alike(self.model)

    def source(self, texts: Sequence[str], role: Role) -> Source:
        """Texts on their way into the model."""
        route = self.roles.route(self.model, role)
        return source_of(self.model, texts, self._tokenizer, tf32=self.tf32, route=route)

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are searched for."""
        return self._embed(texts, "query")

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are found."""
        return self._embed(texts, "document")

    def embed_images(self, images: Sequence[Image]) -> npt.NDArray[np.float32]:
        """Embeddings ``(n, d)`` of pictures of PIL.

        Raises:
            UnsupportedError: If the model takes none.
        """
        if "image" not in self.model.modalities:
            raise takes_texts_alone(self.name)
        found = self.model.encode([*images], batch_size=len(images), show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(found, dtype=np.float32)

    def _embed(self, texts: Sequence[str], role: Role) -> Embedded:
        checked = check_texts(texts)
        if not checked:
            return Embedded(np.empty((0, self.dimension), dtype=np.float32))
        source, size = self.source(checked, role), BatchSize.of(None, self.model.device)
        vectors = encode_rows(source, np.arange(len(checked)), size, show_progress=False)
        return Embedded(vectors, source.reading())

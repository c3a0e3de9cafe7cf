"""Texts on their way into a model, in one of three ways.

Each way gives the vectors of ``model.encode``: the tokenizer by itself for all texts at once and then the forward pass;
``preprocess`` beside the forward pass, a batch ahead of it; or ``encode``, for all models of which less is known.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from fg_search.model.forward import ForwardPass, has_plain_encode, products
from fg_search.model.preprocessing import Reader
from fg_search.model.reading import Reading
from fg_search.model.roles import Route, prompt_of
from fg_search.model.text_tokenizer import KnownTokenizer, TextTokenizer
from fg_search.model.tokens import IntArray


class Source(Protocol):
    """n texts on their way into a model.

    Attributes:
        lengths: ``(n,)`` int64 numbers of tokens, or about as many where they are not known yet.
        is_slow: Whether making a batch takes so long that it should be done while the one before is encoded.
    """

    lengths: IntArray
    is_slow: bool

    def batch(self, rows: IntArray) -> Any:
        """What is to be encoded of some of the texts."""

    def embeddings(self, batch: Any) -> torch.Tensor:
        """Embeddings ``(m, d)`` of the m texts of a batch, on the device of the model."""

    def reading(self) -> Reading | None:
        """What the model reads of the texts, ``None`` if that cannot be known."""


def source_of(
    model: SentenceTransformer,
    texts: Sequence[str],
    known: KnownTokenizer,
    *,
    tf32: bool,
    route: Route | None = None,
) -> Source:
    """The fastest way of texts into a model.

    Args:
        model: Any model.
        texts: n texts, at least one.
        known: Remembers the model's tokenizer.
        tf32: Whether a CUDA device may round the factors of products to ten bits.
        route: Way of the texts into the model; by default that of ``model.encode``.
    """
    plain = Route(prompt_of(model))
    route = route or plain
    if not has_plain_encode(model):
        return EncodedTexts(model, texts, tf32=tf32, route=None if route == plain else route)
    forward = ForwardPass(model, tf32=tf32, arguments=route.arguments)
    tokenizer = None if route.task else known.of(model, route.prompt)
    if tokenizer is not None:
        return TokenizedTexts(forward, tokenizer, texts)
    if reads_texts_only(model):
        return PreprocessedTexts(forward, Reader(model, texts, route))
    return EncodedTexts(model, texts, tf32=tf32, route=None if route == plain else route)


def reads_texts_only(model: SentenceTransformer) -> bool:
    """Whether a model begins with a module of sentence-transformers that is made for texts alone."""
    is_of_library = type(model[0]).__module__.startswith("sentence_transformers.")
    return is_of_library and set(model.modalities) == {"text"}


class TokenizedTexts:
    """Texts that the tokenizer has read by itself."""

    is_slow = False

    def __init__(self, forward: ForwardPass, tokenizer: TextTokenizer, texts: Sequence[str]) -> None:
        self._forward = forward
        self._tokenizer = tokenizer
        self._tokens = tokenizer.tokenize(texts)
        self.lengths = self._tokens.lengths

    def batch(self, rows: IntArray) -> MutableMapping[str, Any]:
        """Tokens of some of the texts."""
        return self._tokenizer.features(self._tokens, rows)

    def embeddings(self, batch: MutableMapping[str, Any]) -> torch.Tensor:
        """Embeddings of a batch."""
        return self._forward(batch)

    def reading(self) -> Reading:
        """What the model reads of the texts."""
        known = self._tokenizer
        return self._tokens.reading(known.vocabulary, known.prompt_ids, known.limit)


class PreprocessedTexts:
    """Texts that the model's ``preprocess`` makes batches of."""

    is_slow = True

    def __init__(self, forward: ForwardPass, reader: Reader) -> None:
        self._forward = forward
        self._reader = reader
        self.lengths = reader.estimated_lengths()

    def batch(self, rows: IntArray) -> MutableMapping[str, Any]:
        """What ``preprocess`` makes of some of the texts."""
        return self._reader.read(rows)

    def embeddings(self, batch: MutableMapping[str, Any]) -> torch.Tensor:
        """Embeddings of a batch."""
        return self._forward(batch)

    def reading(self) -> Reading | None:
        """What the model reads of the texts."""
        return self._reader.reading()


class EncodedTexts:
    """Texts that the model's ``encode`` takes as they are."""

    is_slow = False

    def __init__(
        self, model: SentenceTransformer, texts: Sequence[str], *, tf32: bool, route: Route | None = None
    ) -> None:
        self._model = model
        self._texts = texts
        self._tf32 = tf32
        self._arguments = {} if route is None else {"prompt": route.prompt, **route.arguments}
        reader = Reader(model, texts, route or Route(prompt_of(model)))
        self._reading = reader.reading()
        self.lengths = reader.estimated_lengths() if self._reading is None else self._reading.tokens

    def batch(self, rows: IntArray) -> list[str]:
        """Some of the texts."""
        return [self._texts[row] for row in rows]

    def embeddings(self, batch: list[str]) -> torch.Tensor:
        """Embeddings of a batch."""
        with products(self._model.device, tf32=self._tf32):
            found = self._model.encode(
                batch, batch_size=len(batch), show_progress_bar=False, convert_to_numpy=True, **self._arguments
            )
        return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))

    def reading(self) -> Reading | None:
        """What the model reads of the texts."""
        return self._reading

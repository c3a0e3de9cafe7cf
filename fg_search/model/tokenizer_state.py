"""What tells whether a model's tokenizer is still what it was, and its limits, which every call of it may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

_PROBE = "Naïve 👍 it's"


class Same:
    """Equal only to what stands for the very same object, which it keeps alive."""

    def __init__(self, known: object) -> None:
        self._known = known

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._known is self._known

    __hash__ = None  # type: ignore[assignment]


def tokenizer_state(model: SentenceTransformer) -> tuple[object, ...]:
    """Compares equal as long as the model's tokenizer has not been changed; quick, and asked before every use."""
    tokenizer = tokenizer_of(model)
    return Same(tokenizer), *state_of(tokenizer), _probe_ids(model, tokenizer)


def state_of(tokenizer: Any) -> tuple[object, ...]:
    """Compares equal as long as a tokenizer's vocabulary and its steps have not been changed."""
    return _vocabulary_size(tokenizer), _steps(tokenizer)


def tokenizer_of(model: SentenceTransformer) -> Any:
    """The tokenizer of a model's first module, ``None`` if it has none."""
    return getattr(model[0], "tokenizer", None)


def token_ids(model: SentenceTransformer, text: str) -> list[int]:
    """What the model reads a text as, cut or not; nothing for a model of something else than texts."""
    tokenizer = tokenizer_of(model)
    try:
        if isinstance(tokenizer, PreTrainedTokenizerBase):
            return list(tokenizer(text, verbose=False)["input_ids"])
        tokens: list[int] = torch.as_tensor(model.preprocess([text])["input_ids"]).reshape(-1).tolist()
    except Exception:  # whatever a module raises that does not read texts
        return []
    return tokens


def backend_of(tokenizer: Any) -> Tokenizer | None:
    """What does the work of a fast tokenizer; ``None`` for one written in Python."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return backend if isinstance(backend, Tokenizer) else None


@contextmanager
def limits_kept(tokenizer: Any) -> Iterator[None]:
    """Give a fast tokenizer the truncation and padding back that it has now."""
    backend = backend_of(tokenizer)
    if backend is None:
        yield
        return
    truncation, padding = backend.truncation, backend.padding
    try:
        yield
    finally:
        if truncation is None:
            backend.no_truncation()
        else:
            backend.enable_truncation(**truncation)
        if padding is None:
            backend.no_padding()
        else:
            backend.enable_padding(**padding)


def _vocabulary_size(tokenizer: Any) -> int | None:
    if hasattr(tokenizer, "get_vocab_size"):  # of the tokenizers library
        return int(tokenizer.get_vocab_size())
    return len(tokenizer) if hasattr(tokenizer, "__len__") else None


def _steps(tokenizer: Any) -> str:
    """How a tokenizer of the tokenizers library treats a text before it looks words up."""
    inner = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return f"{getattr(inner, 'normalizer', None)} {getattr(inner, 'pre_tokenizer', None)}"


def _probe_ids(model: SentenceTransformer, tokenizer: Any) -> list[int]:
    backend = backend_of(tokenizer)
    if backend is None:
        return token_ids(model, _PROBE)
    encoding = backend.encode(_PROBE)  # with the limits of the moment, which stay as they are: threads share it
    return [token for token, is_token in zip(encoding.ids, encoding.attention_mask, strict=True) if is_token]

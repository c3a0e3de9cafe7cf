"""The tokenizer of a model by itself, without the checks and copies that surround it in ``preprocess``.

In Rust, a tokenizer makes many times more tokens a second than ``preprocess``, which is slower than a GPU encodes. So a
model of a known kind is tokenized by a tokenizer of our own, once that was seen to give exactly what ``preprocess``
gives, and all others by ``preprocess``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerFast

from fg_search.model.tokenizer_state import Same, tokenizer_of, tokenizer_state
from fg_search.model.tokens import UNLIMITED, Ids, IntArray, Tokens, Vocabulary

Features = dict[str, Any]  # what a model's forward pass takes: tensors and settings by their names

_AT_ONCE = 1024  # texts per call of the tokenizer
_LONGEST_SAMPLE = 2**15  # words
# With long texts they are what both ways are compared on: cases, accents, scripts, white space, invisible characters,
# special tokens, and a text of which nothing is left.
_SAMPLES = (
    "Hello world",
    "  two  spaces\tand\na line  ",
    "naïve Straße ĞİŞ ﬁ ½ e\u0301 \u200b \u00ad don't (a/b) 3.14",
    "日本語の文章 한국어 ภาษาไทย العربية русский",
    "👍 👎🏽 [UNK] [MASK] <s> </s> <|endoftext|>",
    "\u200b",
)


class TextTokenizer(Protocol):
    """Makes tokens of texts, and of tokens what the model's forward pass takes; safe to use in several threads."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens with a meaning of their own."""

    @property
    def limit(self) -> float | None:
        """Number of tokens that the model reads, if it has a limit."""

    @property
    def prompt_ids(self) -> Ids:
        """Ids of the tokens of the prompt before each text."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The tokens of texts, with the prompt before them."""

    def features(self, tokens: Tokens, rows: IntArray) -> Features:
        """What ``preprocess`` would make of some of the texts."""


@dataclass(frozen=True, eq=False)
class PaddedTokenizer:
    """Of a transformer with a fast tokenizer.

    Attributes:
        backend: A tokenizer that nobody else uses, which truncates and does not pad.
        prompt: What stands before each text.
        pad: Id that fills up short texts.
        left: Whether they are filled up on the left.
        vocabulary: The tokens with a meaning of their own.
        limit: Number of tokens that the model reads, if it has a limit.
        tensors: Names of the tensors that the model takes.
        settings: What else it takes, whatever the texts.
    """

    backend: Tokenizer
    prompt: str
    pad: int
    left: bool
    vocabulary: Vocabulary
    limit: float | None
    tensors: frozenset[str]
    settings: Mapping[str, Any]

    @cached_property
    def prompt_ids(self) -> Ids:
        """Ids of the tokens of the prompt before each text."""
        return self.vocabulary.without_end(self.tokenize([""]).ids)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The tokens of texts, with the prompt before them."""
        return Tokens.joined([self._tokens(part) for part in _parts(texts)])

    def _tokens(self, texts: Sequence[str]) -> Tokens:
        encodings = self.backend.encode_batch_fast(_with_prompt(self.prompt, texts))
        tokens = _tokens(encodings)
        if self.limit is not None:
            for row in np.flatnonzero(tokens.lengths >= self.limit):  # cut, or just as long
                tokens.cut[row] = bool(encodings[row].overflowing)
        return tokens

    def features(self, tokens: Tokens, rows: IntArray) -> Features:
        """Ids, mask and types of tokens, each ``(m, w)`` for m texts."""
        ids, mask = tokens.padded(rows, pad=self.pad, left=self.left)
        made = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {**self.settings, **{name: torch.from_numpy(made[name]) for name in self.tensors}}


@dataclass(frozen=True, eq=False)
class ConcatenatedTokenizer:
    """Of static embeddings.

    Attributes:
        backend: The model's own tokenizer, which does not pad.
        prompt: What stands before each text.
        vocabulary: The tokens with a meaning of their own.
        limit: Number of tokens that the model reads.
    """

    backend: Tokenizer
    prompt: str
    vocabulary: Vocabulary
    limit: float | None

    @cached_property
    def prompt_ids(self) -> Ids:
        """Ids of the tokens of the prompt before each text."""
        return self.tokenize([""]).ids

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The tokens of texts, with the prompt before them."""
        parts = (_with_prompt(self.prompt, part) for part in _parts(texts))
        return Tokens.joined(
            [_tokens(self.backend.encode_batch_fast(part, add_special_tokens=False)) for part in parts]
        )

    def features(self, tokens: Tokens, rows: IntArray) -> Features:
        """Ids of the tokens of m texts, and where each text begins, ``(m,)``."""
        lengths = tokens.lengths[rows]
        return {
            "input_ids": torch.from_numpy(tokens.concatenated(rows)),
            "offsets": torch.from_numpy(np.cumsum(lengths) - lengths),
        }


class KnownTokenizer:
    """Finds the tokenizer of a model, and remembers it as long as nothing that decides on tokens has changed.

    It knows one for each prompt: queries may have another one than documents.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, TextTokenizer | None]] = {}

    def of(self, model: SentenceTransformer, prompt: str) -> TextTokenizer | None:
        """The tokenizer of a model as it is now; ``None`` if only its ``preprocess`` will do."""
        state = _state(model)
        known = self._known.get(prompt)
        if known is None or known[0] != state:
            self._known[prompt] = known = (state, text_tokenizer(model, prompt))
        return known[1]


def text_tokenizer(model: SentenceTransformer, prompt: str) -> TextTokenizer | None:
    """A tokenizer that gives what the model's ``preprocess`` gives with this prompt; ``None`` if there is none."""
    module: Any = model[0]
    if type(module) is StaticEmbedding and module.tokenizer.padding is None:
        return _of_static_embedding(module, prompt)
    if type(module) is Transformer and set(module.modalities) == {"text"} and _works_in_rust(module.processor):
        return _of_transformer(module, prompt)
    return None


def _of_static_embedding(module: StaticEmbedding, prompt: str) -> TextTokenizer | None:
    found = ConcatenatedTokenizer(module.tokenizer, prompt, Vocabulary.of(module.tokenizer), module.max_seq_length)
    batches = [list(_SAMPLES), list(_SAMPLES[:1])]
    return found if _gives(found, batches, [module.preprocess(batch, prompt=prompt) for batch in batches]) else None


def _of_transformer(module: Transformer, prompt: str) -> TextTokenizer | None:
    module = copy.copy(module)  # with a tokenizer of its own: every call of one changes its truncation and padding
    module.processor = tokenizer = copy.deepcopy(module.processor)
    limit = tokenizer.model_max_length
    limit = None if limit is None or limit > UNLIMITED else limit
    special = list(map(str, tokenizer.all_special_tokens))
    long = ["a " * min(limit or 0, _LONGEST_SAMPLE), "cut " * min(limit or 0, _LONGEST_SAMPLE) + "end"]
    batches = [[*_SAMPLES, " ".join(special), f"a{''.join(special)}b", *long], list(_SAMPLES[:2])]
    try:
        expected = [module.preprocess(batch, prompt=prompt or None) for batch in batches]
    except Exception:  # it will be raised again where the caller sees it
        return None
    tensors = frozenset(name for name, value in expected[0].items() if isinstance(value, torch.Tensor))
    if not tensors <= {"input_ids", "attention_mask", "token_type_ids"}:
        return None
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    if limit is None:
        backend.no_truncation()
    else:
        backend.enable_truncation(limit, direction=tokenizer.truncation_side)
    found = PaddedTokenizer(
        backend,
        prompt,
        pad=tokenizer.pad_token_id,
        left=tokenizer.padding_side == "left",
        vocabulary=Vocabulary.of(tokenizer),
        limit=limit,
        tensors=tensors,
        settings={name: value for name, value in expected[0].items() if name not in tensors},
    )
    return found if _gives(found, batches, expected) else None


def _works_in_rust(tokenizer: object) -> bool:
    """Whether a tokenizer hands texts to the one in Rust as they are."""
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        return False
    names = ("__call__", "_encode_plus", "set_truncation_and_padding")
    return all(getattr(type(tokenizer), name) is getattr(PreTrainedTokenizerFast, name) for name in names)


def _gives(tokenizer: TextTokenizer, batches: Sequence[list[str]], expected: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a tokenizer makes of batches of texts what is expected."""
    return all(
        _are_equal(tokenizer.features(tokenizer.tokenize(batch), np.arange(len(batch))), features)
        for batch, features in zip(batches, expected, strict=True)
    )


def _are_equal(made: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    if made.keys() != expected.keys():
        return False
    return all(
        value.dtype == expected[name].dtype and torch.equal(value, expected[name])
        if isinstance(value, torch.Tensor)
        else value == expected[name]
        for name, value in made.items()
    )


def _state(model: SentenceTransformer) -> tuple[object, ...]:
    """Compares equal as long as the model makes the same tokens of the same texts."""
    tokenizer = tokenizer_of(model)
    names = ("padding_side", "truncation_side", "pad_token_id", "split_special_tokens", "model_input_names")
    return (
        Same(model[0]),
        tokenizer_state(model),
        model.max_seq_length,
        [getattr(tokenizer, name, None) for name in names],
        copy.deepcopy(getattr(model[0], "processing_kwargs", None)),
        getattr(tokenizer, "padding", None),
    )


def _parts(texts: Sequence[str]) -> Iterable[Sequence[str]]:
    return (texts[start : start + _AT_ONCE] for start in range(0, max(len(texts), 1), _AT_ONCE))


def _with_prompt(prompt: str, texts: Sequence[str]) -> Sequence[str]:
    return [prompt + text for text in texts] if prompt else texts


def _tokens(encodings: Sequence[Encoding]) -> Tokens:
    lengths = np.fromiter(map(len, encodings), dtype=np.int64, count=len(encodings))
    ids = chain.from_iterable(encoding.ids for encoding in encodings)
    return Tokens(
        np.fromiter(ids, dtype=np.int32, count=int(lengths.sum())), lengths, np.zeros(len(encodings), dtype=bool)
    )

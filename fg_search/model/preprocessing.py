"""What a model's ``preprocess`` makes of texts, and what that tells about how much of them the model reads."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from fg_search.model.reading import Reading
from fg_search.model.roles import Route, input_modules
from fg_search.model.tokens import UNLIMITED, Ids, IntArray, Tokens, Vocabulary

_AT_ONCE = 1024  # texts per call of ``preprocess``, which pads them to the longest
_CHARACTERS = 4  # of a token, about


class Reader:
    """Runs a model's ``preprocess`` on texts, and takes down what it reads of each.

    Args:
        model: Any model.
        texts: n texts.
        route: Their way into the model.
    """

    def __init__(self, model: SentenceTransformer, texts: Sequence[str], route: Route) -> None:
        self._model = model
        self._texts = texts
        limit = model.max_seq_length
        self._limit: float | None = None if limit is None or limit > UNLIMITED else limit
        self._route = route
        self._vocabulary = Vocabulary.of(getattr(input_modules(model, route.task)[0], "tokenizer", None))
        self._found = replace(Reading.unknown(len(texts)), limit=self._limit)
        self._is_left = np.ones(len(texts), dtype=bool)
        self._is_readable = True
        self._one_at_a_time = threading.Lock()  # every call of a tokenizer changes its truncation and padding

    def estimated_lengths(self) -> IntArray:
        """Numbers of tokens ``(n,)``, guessed from those of characters."""
        tokens = np.array([len(text) for text in self._texts], dtype=np.int64) // _CHARACTERS + 1
        return tokens if self._limit is None else np.minimum(tokens, self._limit).astype(np.int64)

    def read(self, rows: IntArray) -> MutableMapping[str, Any]:
        """What ``preprocess`` makes of some of the texts, with the prompt before them."""
        with self._one_at_a_time:
            features = self._preprocessed([self._texts[row] for row in rows])
            if self._is_readable and self._is_left[rows].any():
                self._take_down(rows, features)
        return features

    def reading(self) -> Reading | None:
        """What the model reads of all texts; those that did not come by are read now.

        ``None`` if ``preprocess`` does not give tokens.
        """
        rest = np.flatnonzero(self._is_left)
        rest = rest[np.argsort(-self.estimated_lengths()[rest], kind="stable")]
        for start in range(0, len(rest), _AT_ONCE):
            if self._is_readable:
                self.read(rest[start : start + _AT_ONCE])
        return self._found if self._is_readable else None

    def _preprocessed(self, texts: list[str]) -> MutableMapping[str, Any]:
        prompt = {"prompt": self._route.prompt} if self._route.prompt else {}  # not all modules know of prompts
        features: MutableMapping[str, Any] = self._model.preprocess(texts, **prompt, **self._route.arguments)
        return features

    def _take_down(self, rows: IntArray, features: MutableMapping[str, Any]) -> None:
        tokens = Tokens.of_features(features, self._limit)
        if tokens is None:
            self._is_readable = False
            return
        read = tokens.reading(self._vocabulary, self._prompt_ids(), self._limit)
        found = self._found
        found.tokens[rows], found.unread[rows], found.cut[rows] = read.tokens, read.unread, read.cut
        self._is_left[rows] = False

    def _prompt_ids(self) -> Ids:
        if not self._route.prompt:
            return np.empty(0, dtype=np.int32)
        alone = Tokens.of_features(self._preprocessed([""]), self._limit)
        return np.empty(0, dtype=np.int32) if alone is None else self._vocabulary.without_end(alone.ids)

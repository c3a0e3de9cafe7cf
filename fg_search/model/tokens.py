"""Tokens of texts, and what they tell about how much of a text a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.model.reading import Reading

Ids = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.int64]

UNLIMITED = 1e15
"""Number of tokens from which on a limit means that there is none: transformers says 1e30."""

_USUAL_UNKNOWN = ("[UNK]", "<unk>", "<UNK>")  # where a tokenizer does not tell


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of n texts, t in all.

    Attributes:
        ids: ``(t,)`` int32 ids of the tokens, one text after the other.
        lengths: ``(n,)`` int64 numbers of tokens of the texts.
        cut: ``(n,)`` booleans, whether a text is longer than what the model reads.
    """

    ids: Ids
    lengths: IntArray
    cut: npt.NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Tokens]) -> Tokens:
        """The tokens of all texts of at least one part."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "lengths", "cut")))

    @classmethod
    def of_features(cls, features: Mapping[str, Any], limit: float | None) -> Tokens | None:
        """What ``preprocess`` of a model made of texts; ``None`` if that is neither padded nor concatenated tokens.

        Args:
            features: Result of ``preprocess``.
            limit: Number of tokens that the model reads, if it has a limit.
        """
        ids, mask, offsets = (features.get(name) for name in ("input_ids", "attention_mask", "offsets"))
        if ids is None:
            return None
        ids = ids.cpu().numpy()
        if mask is not None and mask.shape == ids.shape:
            is_token = mask.cpu().numpy().astype(bool)
            lengths = is_token.sum(axis=1)
            cut = np.zeros(len(ids), dtype=bool) if limit is None else np.asarray(lengths >= limit)
            encodings = getattr(features, "encodings", None)
            if encodings is not None:
                for row in np.flatnonzero(cut):  # cut, or just as long
                    cut[row] = bool(encodings[row].overflowing)
            return cls(ids[is_token].astype(np.int32), lengths, cut)
        if offsets is not None and ids.ndim == 1:
            lengths = np.diff(np.append(offsets.cpu().numpy(), len(ids)))
            return cls(ids.astype(np.int32), lengths, np.zeros(len(lengths), dtype=bool))
        return None

    def padded(self, rows: IntArray, *, pad: int, left: bool) -> tuple[IntArray, IntArray]:
        """Ids ``(m, w)`` of m texts and the mask of the same shape, 1 where there is a token.

        Args:
            rows: Which texts.
            pad: Id that stands where a text has no more tokens.
            left: Whether texts end in the last column instead of beginning in the first.
        """
        lengths = self.lengths[rows][:, None]
        width = int(lengths.max(initial=0))
        columns = np.arange(width) - (width - lengths if left else 0)
        mask = (columns >= 0) & (columns < lengths)
        ids = np.full(mask.shape, pad, dtype=np.int64)
        ids[mask] = self.concatenated(rows)
        return ids, mask.astype(np.int64)

    def concatenated(self, rows: IntArray) -> IntArray:
        """Ids of m texts, one text after the other."""
        lengths = self.lengths[rows]
        shifts = self._starts[rows] - (np.cumsum(lengths) - lengths)
        ids: IntArray = self.ids[np.repeat(shifts, lengths) + np.arange(lengths.sum())].astype(np.int64)
        return ids

    def reading(self, vocabulary: Vocabulary, prompt: Ids, limit: float | None) -> Reading:
        """What the model reads of the texts themselves.

        Args:
            vocabulary: Which tokens are unknown, and which ones are no part of a text.
            prompt: Ids of the tokens of the prompt before each text, empty if there is none.
            limit: Number of tokens that the model reads, if it has a limit.
        """
        is_prompt = self._begins_with(prompt)
        is_special = np.isin(self.ids, vocabulary.special)
        words = self._sums(~is_special & ~is_prompt)
        unread = self._sums((self.ids == vocabulary.unknown) & ~is_prompt)
        tokens = self.lengths - self._sums(is_prompt & ~is_special)
        share = np.where(words > 0, unread / np.maximum(words, 1), 1.0)
        return Reading(tokens, share.astype(np.float32), self.cut, limit)

    @cached_property
    def _starts(self) -> IntArray:
        starts: IntArray = np.cumsum(self.lengths) - self.lengths
        return starts

    def _sums(self, flags: npt.NDArray[np.bool_]) -> IntArray:
        """How many tokens of each text are marked."""
        before = np.append(0, np.cumsum(flags))
        sums: IntArray = np.diff(before[np.append(self._starts, len(flags))])
        return sums

    def _begins_with(self, prompt: Ids) -> npt.NDArray[np.bool_]:
        """Marks the tokens of a prompt, as far as they are the same before a text as alone."""
        marks = np.zeros(len(self.ids), dtype=bool)
        places = self._starts
        lengths = self.lengths
        for column, token in enumerate(prompt.tolist()):
            has_it = lengths > column
            places, lengths = places[has_it], lengths[has_it]
            is_it = self.ids[places + column] == token
            places, lengths = places[is_it], lengths[is_it]
            marks[places + column] = True
        return marks


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with a meaning of their own.

    Attributes:
        unknown: Id of the token of what the model does not know, -1 if it has none.
        special: Ids of tokens that are no part of a text.
    """

    unknown: int
    special: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        """Of the tokenizer of a model, whatever library it comes from."""
        special = tuple(int(token) for token in getattr(tokenizer, "all_special_ids", ()))
        unknown = getattr(tokenizer, "unk_token_id", None)
        if unknown is None and hasattr(tokenizer, "token_to_id"):  # of the tokenizers library
            names = (getattr(getattr(tokenizer, "model", None), "unk_token", None), *_USUAL_UNKNOWN)
            known = (tokenizer.token_to_id(name) for name in names if name)
            unknown = next((found for found in known if found is not None), None)
        ends = {getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "pad", "cls", "sep")}
        if unknown is None or unknown in ends:  # GPT-2 has one token for all of them, and bytes for all characters
            return cls(-1, special)
        return cls(int(unknown), tuple(token for token in special if token != unknown))

    def without_end(self, ids: Ids) -> Ids:
        """Ids of a text without the tokens that close it."""
        end = len(ids)
        while end and ids[end - 1] in self.special:
            end -= 1
        return ids[:end]

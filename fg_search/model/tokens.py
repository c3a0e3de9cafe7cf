"""Tokenizing texts as a model does, to know what it reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer

from fg_search.model.reading import Reading

IntArray = npt.NDArray[np.int64]

_TOKENIZED_AT_ONCE = 1024  # texts per call of the tokenizer, which pads them to the longest
_USUAL_UNKNOWN = ("[UNK]", "<unk>", "<UNK>")  # where a tokenizer does not tell


def read_tokens(model: SentenceTransformer, texts: Sequence[str]) -> Reading | None:
    """Tokenize n texts as the model does; ``None`` if its tokenizer gives neither padded nor concatenated tokens."""
    prompt = model.prompts.get(model.default_prompt_name or "") or ""
    found = replace(Reading.unknown(len(texts)), limit=model.max_seq_length)
    by_characters = np.argsort([-len(text) for text in texts], kind="stable")
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
        rows = by_characters[start : start + _TOKENIZED_AT_ONCE]
        read = _read(model, [texts[row] for row in rows], prompt)
        if read is None:
            return None
        found.tokens[rows], found.unread[rows], found.cut[rows] = read.tokens, read.unread, read.cut
    return found


def _read(model: SentenceTransformer, texts: list[str], prompt: str) -> Reading | None:
    features = model.preprocess(texts)
    ids, mask, offsets = (features.get(name) for name in ("input_ids", "attention_mask", "offsets"))
    if ids is None:
        return None
    tokenizer = getattr(model[0], "tokenizer", None)
    unknown, special = _unknown_and_special(tokenizer)
    ids = ids.cpu().numpy()
    if mask is not None and mask.shape == ids.shape:
        is_token = mask.cpu().numpy().astype(bool)
        tokens = is_token.sum(axis=1)
        words = tokens - ((ids[..., None] == special).any(axis=2) & is_token).sum(axis=1)
        unread = ((ids == unknown) & is_token).sum(axis=1)
        cut = _cut(model, features, texts, tokens, words, prompt)
    elif offsets is not None and ids.ndim == 1:
        tokens = words = np.diff(np.append(offsets.cpu().numpy(), len(ids)))
        sums = np.append(0, np.cumsum(ids == unknown))
        unread = np.diff(sums[np.append(np.cumsum(tokens) - tokens, len(ids))])
        cut = np.zeros(len(texts), dtype=bool)
    else:
        return None
    share = np.where(words > 0, unread / np.maximum(words, 1), 1.0)
    return Reading(tokens.astype(np.int64), share.astype(np.float32), cut)


def _cut(
    model: SentenceTransformer, features: Any, texts: list[str], tokens: IntArray, words: IntArray, prompt: str
) -> npt.NDArray[np.bool_]:
    """Which texts are longer than the model reads, ``(n,)`` booleans; a prompt before them takes some of the tokens."""
    limit = model.max_seq_length
    if limit is None:
        return np.zeros(len(texts), dtype=bool)
    of_prompt = 0
    if prompt:
        alone = model.preprocess([prompt])["attention_mask"].sum().item()
        of_prompt = int(alone) - int((tokens - words).max())  # special tokens are there but once
    cut = np.asarray(tokens + of_prompt > limit)
    encodings = getattr(features, "encodings", None)
    for row in np.flatnonzero((tokens == limit) & ~cut):  # cut, or just as long
        cut[row] = encodings is None or bool(encodings[row].overflowing)
    return cut


def _unknown_and_special(tokenizer: Any) -> tuple[int, list[int]]:
    """The id of the unknown token, -1 if there is none, and the ids of those that are no part of a text."""
    special = [int(token) for token in getattr(tokenizer, "all_special_ids", ())]
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None and hasattr(tokenizer, "token_to_id"):  # of the tokenizers library
        names = (getattr(getattr(tokenizer, "model", None), "unk_token", None), *_USUAL_UNKNOWN)
        unknown = next((found for name in names if name and (found := tokenizer.token_to_id(name)) is not None), None)
    ends = {getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "pad", "cls", "sep")}
    if unknown is None or unknown in ends:  # GPT-2 has one token for all of them, and bytes for all characters
        return -1, special
    return int(unknown), [token for token in special if token != unknown]

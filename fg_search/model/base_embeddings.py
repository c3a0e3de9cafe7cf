"""Base embeddings of texts: a sentence-transformers model with an optional cache, and a check of its output."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer

from fg_search.model.batching import encode_by_tokens
from fg_search.model.cache import EmbeddingCache

_CACHED_ROWS = 1024  # texts encoded between two writes to the cache


def embed_texts(
    model: SentenceTransformer,
    texts: list[str],
    *,
    name: str,
    cache: EmbeddingCache | None,
    batch_size: int,
    show_progress: bool | None,
) -> npt.NDArray[np.float32]:
    """Base embeddings ``(n, d)`` float32 of at least one text.

    Args:
        model: The base model.
        texts: n checked texts.
        name: The caller's name for the texts, used in error messages.
        cache: Cache to read from and add to, if any.
        batch_size: Number of texts per forward pass of the base model.
        show_progress: Whether to show a progress bar; by default only if stderr is a terminal.

    Raises:
        StorageError: If the cache cannot be used.
        ValueError: If the model returns NaN or infinity; the message names the first such text.
    """
    encode = partial(
        encode_by_tokens,
        model,
        batch_size=batch_size,
        show_progress=sys.stderr.isatty() if show_progress is None else show_progress,
    )
    if cache is None:
        vectors = encode(texts)
        _check_finite(vectors, texts, np.arange(len(texts)), name)
        return vectors
    vectors, found = cache.get(texts)
    missing = np.flatnonzero(~found)
    # long texts first, as sentence-transformers does within one call: less padding
    missing = missing[np.argsort([-len(texts[row]) for row in missing], kind="stable")]
    for start in range(0, len(missing), _CACHED_ROWS):
        rows = missing[start : start + _CACHED_ROWS]
        new = [texts[row] for row in rows]
        vectors[rows] = encode(new)
        _check_finite(vectors[rows], new, rows, name)
        cache.put(new, vectors[rows])
    return vectors


def _check_finite(
    vectors: npt.NDArray[np.float32], texts: list[str], positions: npt.NDArray[np.int64], name: str
) -> None:
    """Check the model's output; row i belongs to ``texts[i]``, which is ``name[positions[i]]`` to the caller."""
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        first = broken[positions[broken].argmin()]
        raise ValueError(
            f"the model gives NaN or infinite numbers for {name}[{positions[first]}], {texts[first][:60]!r} "
            f"({len(broken)} such text(s)); drop the text, or run the model in float32"
        )

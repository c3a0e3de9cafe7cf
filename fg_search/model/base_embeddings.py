"""Base embeddings of texts: a sentence-transformers model with an optional cache, and a check of its output."""

from __future__ import annotations

import logging
import sys

import numpy as np
import numpy.typing as npt

from fg_search.errors import StorageError
from fg_search.model.batching import BatchSize, encode_rows
from fg_search.model.cache import EmbeddingCache
from fg_search.model.sources import Source

logger = logging.getLogger(__name__)

_CACHED_ROWS = 1024  # texts encoded between two writes to the cache


def embed_texts(
    source: Source,
    texts: list[str],
    *,
    name: str,
    cache: EmbeddingCache | None,
    size: BatchSize,
    show_progress: bool | None,
) -> npt.NDArray[np.float32]:
    """Base embeddings ``(n, d)`` float32 of at least one text.

    Args:
        source: The texts on their way into the base model.
        texts: n checked texts.
        name: The caller's name for the texts, used in error messages.
        cache: Cache to read from and add to, if any; should it fail, the rest is done without it.
        size: How much goes through the base model at once.
        show_progress: Whether to show a progress bar; by default only if stderr is a terminal.

    Raises:
        ValueError: If the model returns NaN or infinity; the message names the first such text.
    """
    shown = sys.stderr.isatty() if show_progress is None else show_progress
    everything = np.arange(len(texts))
    if cache is None:
        vectors = encode_rows(source, everything, size, show_progress=shown)
        _check_finite(vectors, texts, everything, name)
        return vectors
    vectors, found = _cached(cache, texts)
    missing = everything[~found]
    missing = missing[np.argsort(-source.lengths[missing], kind="stable")]  # texts of like length share a part
    storing: EmbeddingCache | None = cache
    for start in range(0, len(missing), _CACHED_ROWS):
        rows = missing[start : start + _CACHED_ROWS]
        new = [texts[row] for row in rows]
        vectors[rows] = encode_rows(source, rows, size, show_progress=shown)
        _check_finite(vectors[rows], new, rows, name)
        if storing is not None:
            try:
                storing.put(new, vectors[rows])
            except StorageError as error:  # a full disk, say: what is lost is time, the next time
                logger.warning("%s; going on without it", error)
                storing = None
    return vectors


def _cached(cache: EmbeddingCache, texts: list[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    try:
        return cache.get(texts)
    except StorageError as error:
        logger.warning("%s; going on without it", error)
        return np.zeros((len(texts), cache.dimension), dtype=np.float32), np.zeros(len(texts), dtype=bool)


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

"""Base embeddings of texts: any embedder with an optional cache, and a check of its output."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fg_search.errors import StorageError
from fg_search.model.batching import BatchSize, encode_rows
from fg_search.model.cache import EmbeddingCache
from fg_search.model.embedders.embedder import Embedded, Embedder, embed
from fg_search.model.embedders.sentence_transformer import SentenceTransformerEmbedder
from fg_search.model.progress import Progress, is_shown, progress_bar
from fg_search.model.reading import Reading
from fg_search.model.role import Role
from fg_search.validation import check_count

logger = logging.getLogger(__name__)

_CACHED_ROWS = 1024  # texts encoded between two writes to the cache

IntArray = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


def embed_texts(
    embedder: Embedder,
    texts: list[str],
    role: Role,
    *,
    name: str,
    cache: EmbeddingCache | None,
    batch_size: int | None,
    show_progress: bool | None,
    progress: Progress | None = None,
) -> Embedded:
    """Base embeddings ``(n, d)`` float32 of at least one text.

    Args:
        embedder: What embeds them.
        texts: n checked texts.
        role: What the texts are.
        name: The caller's name for the texts, used in error messages.
        cache: Cache to read from and add to, if any; should it fail, the rest is done without it.
        batch_size: Number of texts embedded at once; by default what suits the embedder.
        show_progress: Whether to show a progress bar; by default only if stderr is a terminal.
        progress: Who is told of the texts that were embedded, in place of a bar.

    Raises:
        ValueError: If the model returns NaN or infinity, or other than one vector of its dimension for each text; the
            message names the first such text.
    """
    shown = is_shown(show_progress)
    work: _Work
    if isinstance(embedder, SentenceTransformerEmbedder):
        work = _ByModel(embedder, texts, role, batch_size, shown, progress)
    else:
        work = _ByCalls(embedder, texts, role, batch_size, shown, progress)
    everything = np.arange(len(texts))
    if cache is None:
        vectors = work.vectors(everything)
        _check_finite(vectors, texts, everything, name)
        return Embedded(vectors, work.reading())
    vectors, found = _cached(cache, texts)
    missing = work.ordered(everything[~found])
    storing: EmbeddingCache | None = cache
    for start in range(0, len(missing), _CACHED_ROWS):
        rows = missing[start : start + _CACHED_ROWS]
        new = [texts[row] for row in rows]
        vectors[rows] = work.vectors(rows)
        _check_finite(vectors[rows], new, rows, name)
        if storing is not None:
            try:
                storing.put(new, vectors[rows])
            except StorageError as error:  # a full disk, say: what is lost is time, the next time
                logger.warning("%s; going on without it", error)
                storing = None
    return Embedded(vectors, work.reading())


class _Work(Protocol):
    """n texts to embed, some at a time."""

    def ordered(self, rows: IntArray) -> IntArray:
        """Rows in the order in which they are best embedded."""

    def vectors(self, rows: IntArray) -> Vectors:
        """Embeddings ``(m, d)`` of some of the texts."""

    def reading(self) -> Reading | None:
        """What is read of all of the texts, those of the cache included."""


class _ByModel:
    """By the forward pass of a model, in batches of like length."""

    def __init__(
        self,
        embedder: SentenceTransformerEmbedder,
        texts: list[str],
        role: Role,
        batch_size: int | None,
        shown: bool,
        progress: Progress | None,
    ) -> None:
        self._size = BatchSize.of(batch_size, embedder.model.device)
        self._source = embedder.source(texts, role)
        self._shown, self._progress = shown, progress

    def ordered(self, rows: IntArray) -> IntArray:
        return rows[np.argsort(-self._source.lengths[rows], kind="stable")]  # texts of like length share a part

    def vectors(self, rows: IntArray) -> Vectors:
        return encode_rows(self._source, rows, self._size, show_progress=self._shown, progress=self._progress)

    def reading(self) -> Reading | None:
        return self._source.reading()


class _ByCalls:
    """By calls of any other embedder, in the order of the texts."""

    def __init__(
        self,
        embedder: Embedder,
        texts: list[str],
        role: Role,
        batch_size: int | None,
        shown: bool,
        progress: Progress | None,
    ) -> None:
        self._embedder = embedder
        self._texts = texts
        self._role = role
        self._batch = _CACHED_ROWS if batch_size is None else check_count(batch_size, name="batch_size")
        self._shown, self._progress = shown, progress
        self._found: Reading | None = None

    def ordered(self, rows: IntArray) -> IntArray:
        return rows

    def vectors(self, rows: IntArray) -> Vectors:
        found = np.empty((len(rows), self._embedder.dimension), dtype=np.float32)
        with progress_bar(len(rows), self._shown, "embed", "texts", instead=self._progress) as advance:
            for start in range(0, len(rows), self._batch):
                some = rows[start : start + self._batch]
                given = embed(self._embedder, [self._texts[row] for row in some], self._role)
                found[start : start + len(some)] = self._checked(given.vectors, len(some))
                if given.reading is not None:
                    self._take_down(some, given.reading)
                advance(len(some))
        return found

    def reading(self) -> Reading | None:
        return self._found

    def _checked(self, vectors: npt.ArrayLike, count: int) -> Vectors:
        array = np.asarray(vectors, dtype=np.float32)
        wanted = (count, self._embedder.dimension)
        if array.shape != wanted:
            raise ValueError(f"{self._embedder.name!r} must give vectors of shape {wanted}, it gave {array.shape}")
        return array

    def _take_down(self, rows: IntArray, reading: Reading) -> None:
        if self._found is None:
            self._found = replace(Reading.unknown(len(self._texts)), limit=reading.limit)
        for name in ("tokens", "unread", "cut"):
            getattr(self._found, name)[rows] = getattr(reading, name)


def _cached(cache: EmbeddingCache, texts: list[str]) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    try:
        return cache.get(texts)
    except StorageError as error:
        logger.warning("%s; going on without it", error)
        return np.zeros((len(texts), cache.dimension), dtype=np.float32), np.zeros(len(texts), dtype=bool)


def _check_finite(vectors: Vectors, texts: list[str], positions: IntArray, name: str) -> None:
    """Check the model's output; row i belongs to ``texts[i]``, which is ``name[positions[i]]`` to the caller."""
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        first = broken[positions[broken].argmin()]
        raise ValueError(
            f"the model gives NaN or infinite numbers for {name}[{positions[first]}], {texts[first][:60]!r} "
            f"({len(broken)} such text(s)); drop the text, or run the model in float32"
        )

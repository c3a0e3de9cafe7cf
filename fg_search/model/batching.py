"""Batches of texts with similar numbers of tokens, to compute little padding, and their way through a model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fg_search.model.forward import is_out_of_memory
from fg_search.model.progress import Progress, progress_bar
from fg_search.model.sources import Source
from fg_search.model.tokens import IntArray
from fg_search.validation import check_count

logger = logging.getLogger(__name__)

_ON_CPU = (128, 4096)
_ON_OTHERS = (256, 65_536)
_FETCHED_AT_ONCE = 16_384  # embeddings left on a device, where fetching waits for what is being computed


@dataclass(frozen=True)
class BatchSize:
    """How much goes through a model at once.

    Attributes:
        texts: Greatest number of texts.
        tokens: Greatest number of tokens, padding included; ``None`` for any number. A longer text goes alone.
    """

    texts: int
    tokens: int | None = None

    @classmethod
    def of(cls, texts: int | None, device: torch.device) -> BatchSize:
        """So many texts, or, if that is left open, what suits the device.

        Raises:
            ValueError: If it is less than one.
        """
        if texts is None:
            return cls(*(_ON_CPU if device.type == "cpu" else _ON_OTHERS))
        check_count(texts, name="batch_size")
        return cls(texts)

    def cut(self, lengths: IntArray) -> list[slice]:
        """Slices of texts whose numbers of tokens are ``lengths``, longest first."""
        slices = []
        start = 0
        while start < len(lengths):
            size = self.texts if self.tokens is None else self.tokens // max(int(lengths[start]), 1)
            stop = min(start + max(min(size, self.texts), 1), len(lengths))
            slices.append(slice(start, stop))
            start = stop
        return slices


def encode_rows(
    source: Source, rows: IntArray, size: BatchSize, *, show_progress: bool, progress: Progress | None = None
) -> npt.NDArray[np.float32]:
    """Embeddings ``(m, d)`` float32 of m texts, equal to ``model.encode(texts)`` up to rounding.

    Args:
        source: The texts and their model.
        rows: Which of them, at least one.
        size: How much goes through the model at once. If the device has too little memory for that, it is halved as
            often as needed.
        show_progress: Whether to show a progress bar.
        progress: Who is told of each batch, in place of a bar.
    """
    # longest first: what is too large for the memory fails at once
    order = np.argsort(-source.lengths[rows], kind="stable")
    batches = [order[part] for part in size.cut(source.lengths[rows[order]])]
    affordable = _Affordable(source)
    found = _Embeddings(len(rows))
    with progress_bar(len(rows), show_progress, "encode", "texts", instead=progress) as advance:
        prepared = _prepared(source, [rows[batch] for batch in batches])
        for batch, content in zip(batches, prepared, strict=True):
            found.put(batch, affordable.embeddings(rows[batch], content))
            advance(len(batch))
    return found.all()


def _prepared(source: Source, batches: Sequence[IntArray]) -> Iterator[Any]:
    """The content of each batch, made while the one before is encoded if that takes long."""
    if not source.is_slow or len(batches) == 1:
        yield from map(source.batch, batches)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="preprocess") as thread:
        ahead = thread.submit(source.batch, batches[0])
        for following in batches[1:]:
            content = ahead.result()
            ahead = thread.submit(source.batch, following)
            yield content
        yield ahead.result()


class _Affordable:
    """Encodes batches, in smaller ones once the device has had too little memory."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tokens: float = np.inf

    def embeddings(self, rows: IntArray, content: Any) -> torch.Tensor:
        """Embeddings of a batch, whose content is ``content``."""
        longest = max(int(self._source.lengths[rows].max()), 1)
        half = -(-len(rows) // 2)
        if len(rows) == 1 or len(rows) * longest <= self._tokens:
            try:
                return self._source.embeddings(content)
            except RuntimeError as error:
                if len(rows) == 1 or not is_out_of_memory(error):
                    raise
            # only here has the error let go of the tensors that were computed last
            self._tokens = half * longest
            logger.info("too little memory for %d texts of %d tokens at once, trying %d", len(rows), longest, half)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        parts = (rows[:half], rows[half:])
        return torch.cat([self.embeddings(part, self._source.batch(part)) for part in parts])


class _Embeddings:
    """Collects embeddings of n texts in the memory of the host.

    A device computes on while it is not asked for results; so they are fetched many at a time.
    """

    def __init__(self, count: int) -> None:
        self._vectors = np.empty((count, 0), dtype=np.float32)
        self._left: list[tuple[IntArray, torch.Tensor]] = []  # on the device
        self._left_rows = 0

    def put(self, rows: IntArray, embeddings: torch.Tensor) -> None:
        """Take embeddings ``(m, d)`` as those of m rows."""
        self._left.append((rows, embeddings))
        self._left_rows += len(rows)
        if embeddings.device.type == "cpu" or self._left_rows >= _FETCHED_AT_ONCE:
            self._fetch()

    def all(self) -> npt.NDArray[np.float32]:
        """Embeddings ``(n, d)`` of all rows."""
        if self._left:
            self._fetch()
        return self._vectors

    def _fetch(self) -> None:
        rows = np.concatenate([rows for rows, _ in self._left])
        embeddings = torch.cat([embeddings for _, embeddings in self._left]).float().cpu().numpy()
        if not self._vectors.shape[1]:
            self._vectors = np.empty((len(self._vectors), embeddings.shape[1]), dtype=np.float32)
        self._vectors[rows] = embeddings
        self._left, self._left_rows = [], 0

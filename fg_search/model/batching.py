"""Batches of texts with similar token counts, to minimise padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from fg_search.model.reading import Reading
from fg_search.model.tokens import read_tokens


def encode_by_tokens(
    model: SentenceTransformer,
    texts: Sequence[str],
    *,
    batch_size: int,
    show_progress: bool,
    reading: Reading | None = None,
) -> npt.NDArray[np.float32]:
    """Embeddings ``(n, d)`` float32, equal to ``model.encode(texts)`` up to rounding.

    ``encode`` sorts texts by their number of characters. Sorting by tokens leaves less padding to compute, at the cost
    of tokenizing twice.

    Args:
        model: Any model; if it does not pad, ``encode`` does all the work.
        texts: n texts, at least one.
        batch_size: Number of texts per forward pass.
        show_progress: Whether to show a progress bar.
        reading: What the model reads of the texts, if they were tokenized already.
    """
    if reading is None and len(texts) > batch_size:
        reading = read_tokens(model, texts)
    if reading is None or len(texts) <= batch_size:
        return _encode(model, texts, batch_size, show_progress=show_progress)
    order = np.argsort(-reading.tokens, kind="stable")  # longest first: a batch too large for memory fails at once
    vectors = np.empty((len(texts), 0), dtype=np.float32)
    with tqdm(total=len(texts), desc="encode", unit=" texts", disable=not show_progress, leave=False) as bar:
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            encoded = _encode(model, [texts[row] for row in rows], batch_size, show_progress=False)
            if not start:
                vectors = np.empty((len(texts), encoded.shape[1]), dtype=np.float32)
            vectors[rows] = encoded
            bar.update(len(rows))
    return vectors


def _encode(
    model: SentenceTransformer, texts: Sequence[str], batch_size: int, *, show_progress: bool
) -> npt.NDArray[np.float32]:
    vectors = model.encode(list(texts), batch_size=batch_size, show_progress_bar=show_progress, convert_to_numpy=True)
    return np.ascontiguousarray(vectors, dtype=np.float32)

"""Array helpers shared by all layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt


def unit_rows(embeddings: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Scale the rows of ``(n, d)`` to unit length, as float32; zero rows stay zero."""
    rows = np.asarray(embeddings, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.finfo(np.float32).tiny))


def row_slices(count: int, size: int) -> Iterator[slice]:
    """Cut ``count`` rows into slices of ``size`` rows, the last of what is left."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))

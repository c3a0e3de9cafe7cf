"""Array helpers shared by all layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def unit_rows(embeddings: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Scale the rows of ``(n, d)`` to unit length, as float32; zero rows stay zero."""
    rows = np.asarray(embeddings, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.finfo(np.float32).tiny))

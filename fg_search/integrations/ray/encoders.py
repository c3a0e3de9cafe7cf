"""How workers get the encoder."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

from fg_search.errors import EncoderNotFoundError
from fg_search.index.encoders import load_encoder

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

EncoderSource: TypeAlias = "str | os.PathLike[str] | Callable[[], FeatureGroupEncoder]"
"""Folder of a saved encoder, under the same path on every node, or a function that makes one."""


@dataclass(frozen=True)
class SharedEncoder:
    """An encoder that workers load.

    Attributes:
        source: Where they get it from.
        key: Tells it from others.
    """

    source: EncoderSource = field(compare=False)
    key: str = field(default_factory=lambda: uuid4().hex)


def shared(encoder: EncoderSource) -> SharedEncoder:
    """The same encoder for workers, whose current folder is another one.

    Raises:
        TypeError: If it is neither a folder nor a function.
    """
    if isinstance(encoder, (str, os.PathLike)):
        return SharedEncoder(str(Path(encoder).absolute()))
    if not callable(encoder) or hasattr(encoder, "fingerprint"):
        raise TypeError(
            f"encoder must be the folder of a saved encoder or a function that makes one in each worker, got "
            f"{type(encoder).__name__}; save it with encoder.save(folder)"
        )
    return SharedEncoder(encoder)


def made(encoder: EncoderSource) -> FeatureGroupEncoder:
    """Load or make the encoder in this process.

    Raises:
        EncoderNotFoundError: If this node cannot read the folder.
    """
    if not isinstance(encoder, (str, os.PathLike)):
        return encoder()
    try:
        return load_encoder(encoder)
    except EncoderNotFoundError as error:
        raise EncoderNotFoundError(
            f"the node {platform.node()!r} cannot read the encoder: {error}; put it where all nodes have it under the "
            "same path, or pass a function that makes it"
        ) from error

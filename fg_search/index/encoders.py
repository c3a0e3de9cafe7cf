"""Encoder of an index: loaded when it is first needed, and remembered in the index's metadata."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, overload

from fg_search.layout.schema import IndexMetadata

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder


class EncoderSlot:
    """Encoder that all handles of an open index share. It is loaded once, when it is first needed."""

    def __init__(self, encoder: FeatureGroupEncoder | None = None) -> None:
        self._encoder = encoder
        self._lock = Lock()

    def get(self, load: Callable[[], FeatureGroupEncoder]) -> FeatureGroupEncoder:
        """Return the encoder, calling ``load`` if there is none yet."""
        with self._lock:
            if self._encoder is None:
                self._encoder = load()
            return self._encoder


def metadata_of(encoder: FeatureGroupEncoder) -> IndexMetadata:
    """Metadata of an index that this encoder fills.

    Raises:
        NotFittedError: If the encoder has no trained head.
    """
    return IndexMetadata(
        fingerprint=encoder.fingerprint,
        base=encoder.base_fingerprint,
        model_name=encoder.model_name,
        encoder=None if encoder.folder is None else os.fspath(encoder.folder),
        supervision=encoder.supervision,
        dimension=encoder.dimension,
        groups=encoder.groups,
        codes_per_group=encoder.codes_per_group,
    )


@overload
def ready_encoder(encoder: FeatureGroupEncoder | str | os.PathLike[str]) -> FeatureGroupEncoder: ...


@overload
def ready_encoder(encoder: None) -> None: ...


@overload
def ready_encoder(encoder: FeatureGroupEncoder | str | os.PathLike[str] | None) -> FeatureGroupEncoder | None: ...


def ready_encoder(encoder: FeatureGroupEncoder | str | os.PathLike[str] | None) -> FeatureGroupEncoder | None:
    """Load an encoder from its folder if need be, and compute its fingerprint before anything is made for it.

    Raises:
        EncoderNotFoundError: If the folder holds no encoder.
        NotFittedError: If the encoder has no trained head.
    """
    if encoder is None:
        return None
    known = load_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
    _ = known.fingerprint
    return known


def load_encoder(folder: str | os.PathLike[str]) -> FeatureGroupEncoder:
    """Load a saved encoder. This imports torch."""
    from fg_search.model.encoder import FeatureGroupEncoder

    return FeatureGroupEncoder.load(folder)

"""Items that are pictures: embedded here, shown by their captions or the names of their files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.index.state import IndexState
from fg_search.layout.keys import IMAGE_KEY
from fg_search.layout.tables import rows_of
from fg_search.model.embedders.images import embed_images
from fg_search.validation import check_list


async def image_items(
    state: IndexState,
    images: Iterable[Any],
    texts: Iterable[str] | None,
    payloads: Iterable[Mapping[str, Any] | None] | None,
    *,
    batch_size: int | None,
    progress: Callable[[int], object],
) -> tuple[list[str], list[Mapping[str, Any] | None], npt.NDArray[np.float32]]:
    """Texts, payloads and base embeddings of items that are pictures. Their payload says which file it is.

    Raises:
        TypeError, ValueError: If one is no picture, or has no text and no file name; the message names its position.
        UnsupportedError: If the model takes no pictures.
    """
    check_list(images, "images", ordered=True)
    pictures = list(images)
    shown = [_name_of(picture, i) for i, picture in enumerate(pictures)] if texts is None else list(texts)
    given = [None] * len(pictures) if payloads is None else list(rows_of(payloads))
    for name, column in (("texts", shown), ("payloads", given)):
        if len(column) != len(pictures):
            raise ValueError(f"{name} has {len(column)} items, images has {len(pictures)}; give one for each image")
    found = []
    batches = embed_images(state.encoder.embedder, pictures, batch_size=batch_size)
    while (batch := await state.engine.work(partial(next, batches, None))) is not None:
        found.append(batch)
        progress(len(batch))
    named = [_with_file(payload, picture) for payload, picture in zip(given, pictures, strict=True)]
    vectors = np.concatenate(found) if found else np.empty((0, state.metadata.dimension), dtype=np.float32)
    return shown, named, vectors


def _name_of(picture: object, position: int) -> str:
    file = picture if isinstance(picture, (str, os.PathLike)) else getattr(picture, "filename", None)
    if not file:
        raise ValueError(f"images[{position}] has no file name to be shown by; give texts, such as captions")
    return PurePath(file).stem


def _with_file(payload: Mapping[str, Any] | None, picture: object) -> Mapping[str, Any] | None:
    if not isinstance(picture, (str, os.PathLike)) or (payload is not None and IMAGE_KEY in payload):
        return payload
    return {**(payload or {}), IMAGE_KEY: PurePath(picture).as_posix()}

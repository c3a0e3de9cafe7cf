"""Pictures on their way into a model that takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fg_search.errors import UnsupportedError
from fg_search.model.embedders.embedder import Embedder
from fg_search.validation import check_list, check_vectors

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH = 32


@runtime_checkable
class ImageEmbedder(Protocol):
    """An embedder that takes pictures as well as texts, into one space."""

    def embed_images(self, images: Sequence[Image]) -> npt.NDArray[np.float32]:
        """Embeddings ``(n, d)`` of n pictures of PIL, in RGB."""


def embed_images(
    embedder: Embedder, images: Iterable[Any], *, batch_size: int | None = None, name: str = "images"
) -> Iterator[npt.NDArray[np.float32]]:
    """Base embeddings of pictures, batch by batch.

    Args:
        embedder: The embedder.
        images: Files, or pictures of PIL.
        batch_size: Number of pictures that are open and embedded at once; by default 32.
        name: The caller's name for them, used in error messages.

    Raises:
        TypeError, ValueError: If one is no picture or cannot be read; the message names its position.
        UnsupportedError: If the embedder takes none.
    """
    check_list(images, name, ordered=True)
    if not isinstance(embedder, ImageEmbedder):
        raise takes_texts_alone(embedder.name)
    opened = (open_image(image, f"{name}[{i}]") for i, image in enumerate(images))
    while batch := list(islice(opened, batch_size or BATCH)):
        yield check_vectors(embedder.embed_images(batch), name=name, dimension=embedder.dimension)


def takes_texts_alone(model: str) -> UnsupportedError:
    """Error to raise if a model takes no pictures."""
    return UnsupportedError(f"{model} takes texts alone; use a model that takes pictures, such as CLIP")


def open_image(image: object, name: str) -> Image:
    """A picture in RGB.

    Raises:
        TypeError: If it is neither a file nor a picture of PIL; the message starts with ``name``.
        ValueError: If the file is missing, or holds no picture that can be read.
    """
    try:
        import PIL.Image
    except ModuleNotFoundError as error:
        raise UnsupportedError(f"pictures need {error.name}; pip install 'fg-search[images]'") from None

    if isinstance(image, PIL.Image.Image):
        return image.convert("RGB")
    if not isinstance(image, (str, os.PathLike)):
        raise TypeError(f"{name} is {type(image).__name__}; give the path of a picture, or a picture of PIL")
    try:
        with PIL.Image.open(image) as opened:
            found: Image = opened.convert("RGB")
            return found
    except (OSError, PIL.Image.DecompressionBombError) as error:
        missing = not Path(image).exists()
        problem = "is missing" if missing else f"cannot be read as a picture ({error})"
        raise ValueError(f"{name} {os.fspath(image)!r} {problem}; leave it out, or give another file") from error

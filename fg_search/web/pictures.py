"""Small pictures of items that are pictures, from one folder and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from fg_search.layout.keys import IMAGE_KEY
from fg_search.model.embedders.images import open_image

PICTURE_PATH = "/picture"

_LARGEST = 320  # pixels of the longer side
_KEPT = 512


class Pictures:
    """Pictures below a folder.

    Args:
        folder: The folder that payloads name files in, by paths relative to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def address_of(self, payload: Mapping[str, Any]) -> str | None:
        """Address of the picture that a payload names; ``None`` if it names none in the folder."""
        named = payload.get(IMAGE_KEY)
        if not isinstance(named, str) or self.file_of(named) is None:
            return None
        return f"{PICTURE_PATH}?{urlencode({'file': named})}"

    def file_of(self, named: str) -> Path | None:
        """File of this name, ``None`` if it is outside the folder or not there."""
        try:
            file = (self.folder / named).resolve()
            return file if file.is_relative_to(self.folder) and file.is_file() else None
        except (OSError, ValueError):  # such as a name that is too long, or holds a null byte
            return None

    def router(self) -> APIRouter:
        """The route that serves them. They are drawn anew: no file is sent as it is."""
        routes = APIRouter(include_in_schema=False)

        @routes.get(PICTURE_PATH)
        def picture(file: str) -> Response:
            found = self.file_of(file)
            if found is None:
                raise HTTPException(404, "There is no such picture.")
            try:
                content = _drawn(found, found.stat().st_mtime_ns)
            except (OSError, ValueError):
                raise HTTPException(404, "This file is no picture.") from None
            return Response(content, media_type="image/png")

        return routes


@lru_cache(maxsize=_KEPT)
def _drawn(file: Path, _changed: int) -> bytes:
    picture = open_image(file, "the file")
    picture.thumbnail((_LARGEST, _LARGEST))
    content = BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()

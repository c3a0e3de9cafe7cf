"""Releases of Qdrant that an index needs."""

from __future__ import annotations

import re

from fg_search.errors import ServerError

# 1.16 brought metadata of collections and conditional writes, 1.17 writes that only insert or only update. An older
# server ignores what it does not know, and answers as if it had done it.
OLDEST = (1, 17)
SLICES_FROM = (1, 19)


def check_version(version: str, url: str) -> None:
    """Refuse a server that is too old. A version that is no number, such as that of a development build, passes.

    Raises:
        ServerError: If it is.
    """
    found = release(version)
    if found is not None and found < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise ServerError(f"the server at {url} is Qdrant {version}, which is too old: update it to {needed} or newer")


def release(version: str) -> tuple[int, int] | None:
    """First two numbers of a version, ``None`` if it has none, such as that of a development build."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return None if found is None else (int(found.group(1)), int(found.group(2)))

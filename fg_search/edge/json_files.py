"""JSON files with a format version, replaced atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fg_search.edge.errors import FormatVersionError, StorageError

FORMAT_VERSION = 1


def sync_folder(path: Path) -> None:
    """Make renames inside a folder durable where the platform supports it."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file atomically: after a crash it holds either the old or the new content."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump({"version": FORMAT_VERSION, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error}; check free space and permissions") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that :func:`write_json` wrote.

    Raises:
        FormatVersionError: A newer release wrote the file.
        StorageError: The file is unreadable or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = int(content["version"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise StorageError(f"{path} is damaged ({error}); restore {path.parent} from a backup") from error
    if version > FORMAT_VERSION:
        raise FormatVersionError(
            f"{path} has format version {version}, this release reads up to {FORMAT_VERSION}; upgrade fg_search"
        )
    return content  # type: ignore[no-any-return]

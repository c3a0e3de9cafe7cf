"""``modules.json`` of a sentence-transformers model: which modules there are, and where their files lie."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class ModuleEntry(NamedTuple):
    """One module.

    Attributes:
        type: Name of its class.
        path: Its folder below that of the model; empty for the model's own folder.
        kwargs: Names of the arguments of ``encode`` that it takes.
    """

    type: str
    path: str
    kwargs: tuple[str, ...] = ()


def read_module_list(folder: Path) -> list[ModuleEntry]:
    """Return the modules in their order; at least one.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else, or a path that leads out of the model's folder.
    """
    entries = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    if not isinstance(entries, list) or not entries:
        raise ValueError("modules.json lists no modules")
    return [_checked(entry) for entry in entries]


def _checked(entry: object) -> ModuleEntry:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("type", "path")):
        raise ValueError("modules.json has an entry without the type and path of a module")
    path = PurePosixPath(entry["path"])
    if path.is_absolute() or ".." in path.parts or any(sign in entry["path"] for sign in "\\:\0"):
        raise ValueError(f"modules.json has the path {entry['path']!r}, which is not below the model's folder")
    told = entry.get("kwargs") or []
    if not isinstance(told, list) or not all(isinstance(name, str) for name in told):
        raise ValueError("modules.json has an entry whose kwargs are no names of arguments")
    return ModuleEntry(entry["type"], entry["path"], tuple(told))

"""Pages of the site that are made when it is built, so that they cannot be out of date.

The reference of the command line comes from the commands themselves, the changelog and the page for contributors from
the files at the root of the repository, the picture of the architecture from the imports.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

import architecture  # noqa: E402
import command_line  # noqa: E402


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    made = {
        "reference/command_line.md": command_line.page(),
        "changelog.md": at_the_root("CHANGELOG.md"),
        "contributing.md": at_the_root("CONTRIBUTING.md"),
        "pictures/architecture.svg": architecture.drawing(),
    }
    for uri, content in made.items():
        there = files.get_file_from_path(uri)
        if there is not None:
            files.remove(there)
        files.append(File.generated(config, uri, content=content))
    return files


def at_the_root(name: str) -> str:
    """A page from the root of the repository, whose links are relative to the root."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)

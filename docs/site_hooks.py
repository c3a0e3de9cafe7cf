"""Pages of the site that are made when it is built, so that they cannot be out of date.

The references of the command line and its JSON come from the commands themselves, the changelog and the page for
contributors from the files at the root of the repository, the picture of the architecture from the imports.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
AT_THE_ROOT = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
sys.path.insert(0, str(Path(__file__).parent))

import architecture  # noqa: E402
import command_line  # noqa: E402


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    made = {
        "reference/command_line.md": command_line.page(),
        "reference/json.md": command_line.json_page(),
        **{page: at_the_root(name) for name, page in AT_THE_ROOT.items() if page != "index.md"},
        "pictures/architecture.svg": architecture.drawing(),
    }
    for uri, content in made.items():
        there = files.get_file_from_path(uri)
        if there is not None:
            files.remove(there)
        files.append(File.generated(config, uri, content=content))
    return files


def at_the_root(name: str) -> str:
    """A page from the root of the repository, with links as they are on the site; other files are named without one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", _link_on_the_site, text)


def _link_on_the_site(found: re.Match[str]) -> str:
    target = found[2]
    if "://" in target or target.startswith("#"):
        return found[0]
    if target in AT_THE_ROOT:
        return f"[{found[1]}]({AT_THE_ROOT[target]})"
    return f"[{found[1]}]({target.removeprefix('docs/')})" if target.startswith("docs/") else found[1]

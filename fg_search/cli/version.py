"""``--version``."""

from __future__ import annotations

import platform

import typer

from fg_search import __version__
from fg_search.cli.console import say


def print_version(asked: bool) -> None:
    """Print the version, and that of Python, if it was asked for."""
    if asked:
        say(f"fg-search {__version__} (Python {platform.python_version()})")
        raise typer.Exit

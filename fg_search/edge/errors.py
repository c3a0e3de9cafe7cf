"""Errors of the embedded engine's client, and the base class of all fg_search errors.

They are defined here because this package imports nothing else from fg_search; :mod:`fg_search.errors` exports them.
"""

from __future__ import annotations

from pathlib import Path


class FgSearchError(Exception):
    """Base of all errors that fg_search defines."""


class FolderLockedError(FgSearchError, RuntimeError):
    """The folder is open in another client, in this process or another one.

    Attributes:
        folder: The folder; ``None`` if it is not known.
    """

    def __init__(self, message: str, *, folder: Path | None = None) -> None:
        super().__init__(message)
        self.folder = folder


class StorageError(FgSearchError, RuntimeError):
    """The embedded engine could not read or write its folder."""


class UnsupportedError(FgSearchError, NotImplementedError):
    """Qdrant supports the request, the embedded engine does not."""


class FormatVersionError(FgSearchError, ValueError):
    """A file was written by a newer release, in a format that this one cannot read."""

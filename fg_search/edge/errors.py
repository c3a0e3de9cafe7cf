"""The errors of the embedded engine's client, and the base of all of fg_search's.

They stand here because this package imports nothing else of fg_search; :mod:`fg_search.errors` has all of them.
"""


class FgSearchError(Exception):
    """Base of all errors that fg_search defines."""


class FolderLockedError(FgSearchError, RuntimeError):
    """The folder is open in another client, of this process or of another one."""


class StorageError(FgSearchError, RuntimeError):
    """The embedded engine could not read or write its folder."""


class UnsupportedError(FgSearchError, NotImplementedError):
    """A request that Qdrant knows and the embedded engine cannot serve."""


class FormatVersionError(FgSearchError, ValueError):
    """Something was saved by a newer release than this one can read."""

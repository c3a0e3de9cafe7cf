"""The library's own exceptions.

Each one derives from :class:`FgSearchError` and from the built-in exception that a caller would expect, so that
``except ValueError`` keeps working. Invalid arguments raise a plain ``ValueError`` or ``TypeError``.
"""

from fg_search.edge.errors import FgSearchError, FolderLockedError, FormatVersionError, StorageError, UnsupportedError

__all__ = [
    "DecisionConflictError",
    "EmptyIndexError",
    "EncoderNotFoundError",
    "FgSearchError",
    "FolderLockedError",
    "FormatVersionError",
    "IndexClosedError",
    "IndexNotFoundError",
    "ItemNotFoundError",
    "ModelMismatchError",
    "NoEmbedderError",
    "NotCalibratedError",
    "NotFittedError",
    "NotScoredError",
    "NothingLoggedError",
    "NothingToUndoError",
    "ServerError",
    "StorageError",
    "UncertainQueryError",
    "UnsupportedError",
    "UntrustedCodeError",
]


class ServerError(StorageError):
    """A server did not answer in time, or refused a request.

    Attributes:
        status: HTTP status of its answer, or the one that a gRPC code stands for; ``None`` if there was no answer.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotFittedError(FgSearchError, RuntimeError):
    """An encoder has no trained head, or a calibrator was not fitted."""


class EncoderNotFoundError(FgSearchError, FileNotFoundError):
    """A folder does not exist or is not a saved encoder, or a model cannot be loaded."""


class UntrustedCodeError(FgSearchError, ValueError):
    """Loading a model would run code that comes with it, and nobody said that it may."""


class ModelMismatchError(FgSearchError, ValueError):
    """The vectors come from a different model than those of the index."""


class NoEmbedderError(FgSearchError, RuntimeError):
    """A text was to be embedded and nothing can: vectors are brought along, or the embedder is missing."""


class EmptyIndexError(FgSearchError, LookupError):
    """A search or review of an index without points."""


class IndexClosedError(FgSearchError, RuntimeError):
    """The index is used after it was closed, or before it was opened."""


class IndexNotFoundError(FgSearchError, FileNotFoundError):
    """There is no index at this location, or the collection was not created by fg_search."""


class UncertainQueryError(FgSearchError, RuntimeError):
    """The confidence of a query is below the threshold and ``on_uncertain="raise"`` was set."""


class NotCalibratedError(FgSearchError, RuntimeError):
    """A target precision needs a calibration, and there is none for this kind of search."""


class ItemNotFoundError(FgSearchError, LookupError):
    """The index has no item with this id."""


class NothingToUndoError(FgSearchError, LookupError):
    """There is no decision to undo."""


class NothingLoggedError(FgSearchError, LookupError):
    """The log has no answers that could be judged."""


class DecisionConflictError(FgSearchError, RuntimeError):
    """The item or decision has changed since the reviewer saw it; nothing was written."""


class NotScoredError(FgSearchError, RuntimeError):
    """A list was requested that needs scores, and labels or items have not been scored yet."""

"""The library's own exceptions.

Every one derives from :class:`FgSearchError` and, next to it, from the built-in type that a caller would
expect, so that ``except ValueError`` keeps working. Plain bad arguments raise ``ValueError`` or ``TypeError``.
"""

from fg_search.edge.errors import FgSearchError, FolderLockedError, FormatVersionError, StorageError, UnsupportedError

__all__ = [
    "DecisionConflictError",
    "EmptyIndexError",
    "EncoderNotFoundError",
    "FgSearchError",
    "FolderLockedError",
    "FormatVersionError",
    "IndexNotFoundError",
    "ItemNotFoundError",
    "ModelMismatchError",
    "NotCalibratedError",
    "NotFittedError",
    "NotScoredError",
    "NothingToUndoError",
    "StorageError",
    "UncertainQueryError",
    "UnsupportedError",
]


class NotFittedError(FgSearchError, RuntimeError):
    """An encoder without a trained head was asked for feature-group embeddings."""


class EncoderNotFoundError(FgSearchError, FileNotFoundError):
    """A folder does not hold a saved encoder, or does not exist."""


class ModelMismatchError(FgSearchError, ValueError):
    """Vectors of one model were offered to, or asked of, an index of another model."""


class EmptyIndexError(FgSearchError, LookupError):
    """A search or a review on an index that holds no points."""


class IndexNotFoundError(FgSearchError, FileNotFoundError):
    """No index at this location, or a collection that is not one of ours."""


class UncertainQueryError(FgSearchError, RuntimeError):
    """The query's confidence is below the threshold and the caller asked to be told by an exception."""


class NotCalibratedError(FgSearchError, RuntimeError):
    """A precision was asked for that only judged queries can promise, and there are none for this search."""


class ItemNotFoundError(FgSearchError, LookupError):
    """An id that no item of the index has."""


class NothingToUndoError(FgSearchError, LookupError):
    """There is no decision that could be taken back."""


class DecisionConflictError(FgSearchError, RuntimeError):
    """What somebody decides about, or takes back, is no longer what they saw; nothing was changed."""


class NotScoredError(FgSearchError, RuntimeError):
    """Items with contradicted labels were asked for before labels were judged."""

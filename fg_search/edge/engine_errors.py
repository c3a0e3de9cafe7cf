"""Translate the engine's exceptions, which are all bare ``Exception``."""

from __future__ import annotations

import re
from types import TracebackType

from fg_search.edge.errors import FgSearchError, StorageError

# prefixes of engine messages that do not blame the request
_FAULTS = ("Service runtime error", "Inconsistent storage", "Out of memory", "IO Error", "Operation cancelled")
_DISK_FULL = re.compile(r"\b(?:os error|code:) (?:27|28|122)\b")  # EFBIG, ENOSPC, EDQUOT as Rust prints them
# only these say something about the files; the engine reports some requests as service errors too
_FILES = re.compile(
    r"IO Error|Inconsistent|\b(?:file|os error|mmap|wal|segment|storage|deserializ|corrupt|decod)", re.IGNORECASE
)
_MISSING_POINT = re.compile(r"No point with id (\S+)")


def _advice(message: str) -> str:
    if _DISK_FULL.search(message):
        return ". Free some space on the disk and open the folder again; what was written before is safe."
    if not _FILES.search(message):
        return ""
    return ". If this happens again its files are damaged: recover a snapshot, or restore the folder from a backup."


class ShardClosedError(RuntimeError):
    """The shard was closed while it was used, since the collection was closed, deleted, replaced or reconfigured."""


class engine_errors:  # noqa: N801  a class, as a generator takes three times as long to enter and to leave
    """Raise what local mode would raise in place of the engine's exception, or a StorageError.

    Args:
        where: Start of the error message, such as the collection and its folder.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            _raise_translated(error, self._where)


def _raise_translated(error: BaseException, where: str) -> None:
    """Raise the exception in place of the engine's; return if it stays as it is."""
    if isinstance(error, FgSearchError):
        return
    message = str(error)
    if type(error).__name__ == "PanicException":  # a panic in Rust; derives from BaseException only
        raise StorageError(f"{where}: the engine failed: {message}{_advice(message)}") from error
    # a call that meets close() is refused by the binding before the engine sees it
    if "Shard is not initialized" in message or (type(error) is RuntimeError and "borrowed" in message):
        raise ShardClosedError(f"{where} was closed, deleted or replaced meanwhile") from error
    if type(error) is OverflowError:  # a number that the engine's type for it cannot hold
        raise ValueError(f"A number is too large, or negative where it may not be: {message}") from error
    if type(error) is not Exception:
        return
    missing = _MISSING_POINT.search(message)
    if missing is not None:  # local mode raises KeyError too; the request's other points have been written
        point_id = missing.group(1)
        raise KeyError(int(point_id) if point_id.isdigit() else point_id) from error
    if message.startswith(_FAULTS):
        raise StorageError(f"{where}: {message}{_advice(message)}") from error
    raise ValueError(message) from error

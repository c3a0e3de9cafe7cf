"""Checks for free disk space ahead of writes.

The engine writes through memory maps of sparse files. When the disk has no room for a page, the operating system kills
the process (SIGBUS) instead of reporting an error, so writes are refused while there is still some space left.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fg_search.edge.errors import StorageError

_MIB = 2**20
_RESERVE = 64 * _MIB  # free space that a write must leave
_RESERVE_TO_OPEN = 32 * _MIB  # smaller, so that a folder that refuses writes can still be opened and read


def _require(folder: Path, what: str, needed: int) -> None:
    usage = shutil.disk_usage(folder)
    if usage.total and usage.free < needed:  # a total of zero: the file system does not report its size
        raise StorageError(
            f"{what}: no space left on the disk: {usage.free // _MIB} MiB are free, {-(-needed // _MIB)} MiB are "
            "needed. Free some and try again; what was written before is safe."
        )


def check_space_to_write(folder: Path, what: str, size: int = 0) -> None:
    """Refuse a write that might fill the disk.

    Args:
        folder: Folder to write to.
        what: Start of the error message.
        size: Approximate number of bytes to write.

    Raises:
        StorageError: There is too little free space.
    """
    _require(folder, what, size + _RESERVE)


def check_space_to_open(folder: Path, what: str) -> None:
    """Refuse to open a shard when there is too little space for the engine to replay its log.

    Raises:
        StorageError: There is too little free space.
    """
    _require(folder, what, _RESERVE_TO_OPEN)


def allocated_size(folder: Path) -> int:
    """Return the number of bytes that the files below a folder occupy on disk."""
    return sum(_allocated(path.stat()) for path in folder.rglob("*") if path.is_file())


def _allocated(stat: os.stat_result) -> int:
    return stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size

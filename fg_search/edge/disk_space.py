"""Room on the disk, looked for before it is needed.

The engine writes through memory maps of files that are mostly holes: where a page finds no room the operating
system ends the process (SIGBUS) instead of reporting an error. So a write is refused while there is still some left.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fg_search.edge.errors import StorageError

_MIB = 2**20
_RESERVE = 64 * _MIB  # what a write must leave
_RESERVE_TO_OPEN = 32 * _MIB  # less: what was refused a write can still be opened and read


def _require(folder: Path, what: str, needed: int) -> None:
    usage = shutil.disk_usage(folder)
    if usage.total and usage.free < needed:  # without a total the file system does not tell
        raise StorageError(
            f"{what}: no space left on the disk: {usage.free // _MIB} MiB are free, {-(-needed // _MIB)} MiB are "
            "needed. Free some and try again; what was written before is safe."
        )


def check_space_to_write(folder: Path, what: str, size: int = 0) -> None:
    """Refuse a write that might fill the disk.

    Args:
        folder: Where is written.
        what: Beginning of the error message.
        size: About how many bytes are written.

    Raises:
        StorageError: There is too little room.
    """
    _require(folder, what, size + _RESERVE)


def check_space_to_open(folder: Path, what: str) -> None:
    """Refuse to open a shard where the engine could not even replay its log; raises like a write."""
    _require(folder, what, _RESERVE_TO_OPEN)


def allocated_size(folder: Path) -> int:
    """Return how many bytes the files below a folder take on the disk."""
    return sum(_allocated(path.stat()) for path in folder.rglob("*") if path.is_file())


def _allocated(facts: os.stat_result) -> int:
    return facts.st_blocks * 512 if hasattr(facts, "st_blocks") else facts.st_size

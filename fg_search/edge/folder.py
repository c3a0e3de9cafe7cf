"""The folder of an :class:`~fg_search.edge.client.EdgeClient`: its lock, its collections, changes in one step.

Layout::

    <path>/.lock                        held by the client that has the folder open
    <path>/aliases.json                 alias → collection
    <path>/<collection>/collection.json settings, metadata, payload indexes; makes the folder a collection
    <path>/<collection>/shard/          the engine's own files
    <path>/.snapshots/<collection>/     snapshots, see :mod:`fg_search.edge.snapshot_folder`
    <path>/.creating-*, .deleting-*     left behind by a killed process; removed when the folder is next opened
    <path>/.snapshots/*/.writing-*      the same, for snapshots
    <path>/.replaced-*/<collection>     a collection being replaced; restored when the folder is next opened, unless
                                        its successor is in place
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from fg_search.edge.errors import FolderLockedError, StorageError
from fg_search.edge.json_files import read_json, sync_folder, write_json
from fg_search.edge.vector_schema import INVALID_NAME_CHARS

COLLECTION_FILE = "collection.json"
SHARD_FOLDER = "shard"
SNAPSHOTS_FOLDER = ".snapshots"
LOCK_FILE = ".lock"
UNFINISHED = ".writing-"  # prefix of a snapshot's file name while it is written
_ALIASES_FILE = "aliases.json"
_LEFTOVERS = (".creating-*", ".deleting-*", ".replaced-*")


def check_collection_name(name: str) -> None:
    """Refuse a name that the server refuses or that cannot name a folder."""
    for char in INVALID_NAME_CHARS:
        if char in name:
            raise ValueError(f"Collection name cannot contain {char!r} char")
    if not name or name.startswith("."):
        raise ValueError(f"Collection name cannot be {name!r}: it must not be empty or start with a dot")
    if name == _ALIASES_FILE:
        raise ValueError(f"Collection name cannot be {name!r}: the storage folder has a file of that name")
    if len(name.encode()) > 255:
        raise ValueError("Collection name must be at most 255 bytes long")


def collection_names(path: Path) -> list[str]:
    """Return the sorted names of the collections in a folder, which need not exist and is not locked."""
    return sorted(file.parent.name for file in path.glob(f"[!.]*/{COLLECTION_FILE}"))


class StorageFolder:
    """A locked folder of collections.

    Args:
        path: Folder; created if missing.

    Raises:
        FolderLockedError: The folder is open in another client.
        StorageError: The path is a file, is not writable, or belongs to qdrant-client's local mode.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        self._lock: IO[str] | None = None
        if self.path.exists() and not self.path.is_dir():
            raise StorageError(f"{self.path} is a file; give the path of a folder")
        if (self.path / "meta.json").exists() and (self.path / "collection").is_dir():
            raise StorageError(
                f"{self.path} holds a storage of qdrant-client's local mode; open it with QdrantClient(path=…) "
                "and choose another folder here"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            self._tidy_up()
        except OSError as error:
            raise StorageError(f"Cannot use folder {self.path}: {error}; check its permissions") from error

    def _acquire(self) -> None:
        import portalocker  # its import looks for a writable folder, which a read-only system lacks

        lock = (self.path / LOCK_FILE).open("a")
        try:
            portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.exceptions.LockException as error:
            lock.close()
            raise FolderLockedError(
                f"Folder {self.path} is open in another client, of this process or another one. Close that client "
                "first, share it between threads, or run a Qdrant server for access by several processes.",
                folder=self.path,
            ) from error
        self._lock = lock

    def _tidy_up(self) -> None:
        """Finish or undo what a killed process had begun."""
        for replaced in self.path.glob(".replaced-*/*"):
            if not (self.path / replaced.name).exists():
                replaced.rename(self.path / replaced.name)
        for pattern in _LEFTOVERS:
            for leftover in self.path.glob(pattern):
                shutil.rmtree(leftover, ignore_errors=True)
        for unfinished in self.path.glob(f"{SNAPSHOTS_FOLDER}/*/{UNFINISHED}*"):
            unfinished.unlink()

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def collections(self) -> list[str]:
        """Return the sorted names of the collections."""
        return collection_names(self.path)

    def exists(self, name: str) -> bool:
        """Whether there is a collection of this name."""
        return self._is_name(name) and (self.path / name / COLLECTION_FILE).is_file()

    @staticmethod
    def _is_name(name: str) -> bool:
        try:
            check_collection_name(name)
        except ValueError:
            return False
        return True

    def create(self, name: str, content: dict[str, Any], build: Callable[[Path], None]) -> None:
        """Create a collection atomically.

        Args:
            name: Valid name that is not taken.
            content: Content of the collection's JSON file.
            build: Function that writes the engine's files to a folder.
        """
        with self.building(name) as temporary:
            build(temporary)
            write_json(temporary / COLLECTION_FILE, content)
            temporary.rename(self.path / name)
            sync_folder(self.path)

    @contextmanager
    def building(self, name: str) -> Iterator[Path]:
        """Provide a new folder to build a collection in; it is removed on exit unless it was moved."""
        temporary = self.path / f".creating-{uuid4().hex}"
        try:
            temporary.mkdir()
            yield temporary
        except OSError as error:
            raise StorageError(
                f"Cannot write collection {name} in {self.path}: {error}; check free space, permissions and "
                "whether something else has that name"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def put(self, name: str, built: Path) -> None:
        """Move a built folder into place, replacing the closed collection of this name if there is one.

        After a crash either the old or the new collection is there, complete.
        """
        if not self.exists(name):
            built.rename(self.path / name)
            sync_folder(self.path)
            return
        replaced = self.path / f".replaced-{uuid4().hex}"
        replaced.mkdir()
        (self.path / name).rename(replaced / name)
        try:
            built.rename(self.path / name)
        except OSError:
            (replaced / name).rename(self.path / name)
            replaced.rmdir()
            raise
        sync_folder(self.path)
        shutil.rmtree(replaced, ignore_errors=True)

    def delete(self, name: str) -> None:
        """Remove a collection; the first step, a rename, hides it from every reader."""
        doomed = self.path / f".deleting-{uuid4().hex}"
        try:
            (self.path / name).rename(doomed)
            sync_folder(self.path)
        except OSError as error:
            raise StorageError(f"Cannot delete collection {name} in {self.path}: {error}") from error
        shutil.rmtree(doomed, ignore_errors=True)

    def read_aliases(self) -> dict[str, str]:
        """Return alias → collection."""
        path = self.path / _ALIASES_FILE
        aliases = read_json(path).get("aliases") if path.exists() else {}
        if not isinstance(aliases, dict) or not all(isinstance(name, str) for name in aliases.values()):
            raise StorageError(f"{path} is damaged (it holds no aliases); restore {path.parent} from a backup")
        return aliases

    def write_aliases(self, aliases: dict[str, str]) -> None:
        """Replace all aliases in one step."""
        write_json(self.path / _ALIASES_FILE, {"aliases": aliases})

"""The folder of an :class:`~fg_search.edge.client.EdgeClient`: lock, collection names, whole-or-nothing changes.

Layout::

    <path>/.lock                        held by the one client that has the folder open
    <path>/aliases.json                 alias → collection
    <path>/<collection>/collection.json settings, metadata, payload indexes; a folder without it is no collection
    <path>/<collection>/shard/          the engine's own files
    <path>/.snapshots/<collection>/     its snapshots, see :mod:`fg_search.edge.snapshot_files`
    <path>/.creating-*, .deleting-*     leftovers of a process that was killed; removed at the next start
    <path>/.snapshots/*/.writing-*      the same
    <path>/.replaced-*/<collection>     a collection whose successor was being put in its place; put back at the
                                        next start if it was not
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from fg_search.edge.errors import FolderLockedError, FormatVersionError, StorageError
from fg_search.edge.vectors import INVALID_NAME_CHARS

COLLECTION_FILE = "collection.json"
SHARD_FOLDER = "shard"
FORMAT_VERSION = 1
SNAPSHOTS_FOLDER = ".snapshots"
UNFINISHED = ".writing-"  # how the name of a snapshot begins until it is whole
_LOCK_FILE = ".lock"
_ALIASES_FILE = "aliases.json"
_LEFTOVERS = (".creating-*", ".deleting-*", ".replaced-*")


def check_collection_name(name: str) -> None:
    """Refuse a name that the server refuses, or that is no folder name."""
    for char in INVALID_NAME_CHARS:
        if char in name:
            raise ValueError(f"Collection name cannot contain {char!r} char")
    if not name or name.startswith("."):
        raise ValueError(f"Collection name cannot be {name!r}: it must not be empty or start with a dot")
    if name == _ALIASES_FILE:
        raise ValueError(f"Collection name cannot be {name!r}: the storage folder has a file of that name")
    if len(name.encode()) > 255:
        raise ValueError("Collection name must be at most 255 bytes long")


def sync_folder(path: Path) -> None:
    """Make renames inside a folder durable, where the platform can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file as a whole: after a crash it holds either the old or the new content."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump({"version": FORMAT_VERSION, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error}; check free space and permissions") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that :func:`write_json` wrote.

    Raises:
        FormatVersionError: Written by a newer release.
        StorageError: Unreadable or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = int(content["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is damaged ({error}); restore {path.parent} from a backup") from error
    if version > FORMAT_VERSION:
        raise FormatVersionError(
            f"{path} has format version {version}, this release reads up to {FORMAT_VERSION}; upgrade fg_search"
        )
    return content  # type: ignore[no-any-return]


def collection_names(path: Path) -> list[str]:
    """Return the names of the collections in a folder, sorted; it need not be there, and is not locked."""
    return sorted(file.parent.name for file in path.glob(f"[!.]*/{COLLECTION_FILE}"))


class StorageFolder:
    """A locked folder of collections.

    Args:
        path: The folder; made if it is missing.

    Raises:
        FolderLockedError: Another client has it open.
        StorageError: It is a file, cannot be written to, or belongs to qdrant-client's local mode.
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
        import portalocker  # at its import it looks for a writable folder, which a read-only system lacks

        lock = (self.path / _LOCK_FILE).open("a")
        try:
            portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.exceptions.LockException as error:
            lock.close()
            raise FolderLockedError(
                f"Folder {self.path} is open in another client, of this process or another one. Close that client "
                "first, share it between threads, or run a Qdrant server for access by several processes."
            ) from error
        self._lock = lock

    def _tidy_up(self) -> None:
        """Finish or undo what a process that was killed had begun."""
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
        """Return the names of the collections, sorted."""
        return collection_names(self.path)

    def exists(self, name: str) -> bool:
        """Whether a collection of this name is there."""
        return self._is_name(name) and (self.path / name / COLLECTION_FILE).is_file()

    @staticmethod
    def _is_name(name: str) -> bool:
        try:
            check_collection_name(name)
        except ValueError:
            return False
        return True

    def create(self, name: str, content: dict[str, Any], build: Callable[[Path], None]) -> None:
        """Make a collection, whole or not at all.

        Args:
            name: A valid name that is not taken.
            content: What its JSON file holds.
            build: Fills the folder it is given with the engine's files.
        """
        with self.building(name) as temporary:
            build(temporary)
            write_json(temporary / COLLECTION_FILE, content)
            temporary.rename(self.path / name)
            sync_folder(self.path)

    @contextmanager
    def building(self, name: str) -> Iterator[Path]:
        """Give a new folder to build a collection in; what is not moved from there by the end is removed."""
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
        """Make a folder that was built the collection of this name; a closed one that is there is replaced.

        After a crash there is either of the two, whole.
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
        """Remove a collection; from the first step on it is gone for every reader."""
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
        return dict(read_json(path)["aliases"]) if path.exists() else {}

    def write_aliases(self, aliases: dict[str, str]) -> None:
        """Replace all aliases in one step."""
        write_json(self.path / _ALIASES_FILE, {"aliases": aliases})

"""The folder that keeps the snapshots of one collection. It outlives the collection.

Layout::

    <path>/.snapshots/<collection>/<name>.snapshot           archive, see :mod:`fg_search.edge.snapshot_archive`
    <path>/.snapshots/<collection>/<name>.snapshot.checksum  SHA-256 of the archive
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO
from uuid import uuid4

from qdrant_client import models

from fg_search.edge.collection import EdgeCollection
from fg_search.edge.disk_space import allocated_size, check_space_to_write
from fg_search.edge.errors import StorageError, UnsupportedError
from fg_search.edge.folder import SNAPSHOTS_FOLDER, UNFINISHED
from fg_search.edge.json_files import sync_folder
from fg_search.edge.snapshot_archive import file_checksum, write_archive

_SUFFIX = ".snapshot"
_CHECKSUM_SUFFIX = ".checksum"
_MAX_PREFIX = 150  # bytes of the collection's name in a file name, whose limit is 255


def _new_name(collection: str) -> str:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d-%H-%M-%S-%f")
    prefix = collection.encode()[:_MAX_PREFIX].decode(errors="ignore")
    return f"{prefix}-{now}-{uuid4().hex[:8]}{_SUFFIX}"


def local_path(location: str | os.PathLike[str]) -> Path:
    """Return the path of a snapshot given as a path or a ``file://`` URL.

    Raises:
        UnsupportedError: The location is a URL with another scheme or on another host.
    """
    from urllib.parse import unquote, urlsplit
    from urllib.request import url2pathname

    text = os.fspath(location)
    parts = urlsplit(text)
    if "://" not in text:
        return Path(text).expanduser()
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise UnsupportedError(f"A snapshot is recovered from a path or a file:// URL, not from {text!r}; download it")
    return Path(url2pathname(parts.path) if os.name == "nt" else unquote(parts.path))


class SnapshotFolder:
    """The snapshots of one collection.

    Args:
        path: Folder of the client.
        collection: Valid name of a collection, which need not exist.
    """

    def __init__(self, path: Path, collection: str) -> None:
        self._collection = collection
        self._folder = path / SNAPSHOTS_FOLDER / collection

    def has_snapshots(self) -> bool:
        """Whether there are any snapshots."""
        return any(self._folder.glob(f"[!.]*{_SUFFIX}"))

    def create(self, collection: EdgeCollection) -> models.SnapshotDescription:
        """Write a snapshot atomically."""
        name = _new_name(self._collection)
        path, temporary = self._folder / name, self._folder / f"{UNFINISHED}{name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                checksum = collection.frozen(lambda folder: self._write(folder, file))
                file.flush()
                os.fsync(file.fileno())
            self._checksum_file(path).write_text(checksum, encoding="ascii")
            temporary.rename(path)
            sync_folder(self._folder)
        except OSError as error:
            with suppress(OSError):  # the first error says what is wrong
                self._checksum_file(path).unlink(missing_ok=True)
            raise StorageError(
                f"Cannot write a snapshot of collection {self._collection} to {self._folder}: {error}; check free "
                "space and permissions. The collection is as it was."
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return self._describe(path)

    def _write(self, folder: Path, file: IO[bytes]) -> str:
        check_space_to_write(self._folder, f"Snapshot of collection {self._collection}", allocated_size(folder))
        return write_archive(folder, file)

    def list(self) -> list[models.SnapshotDescription]:
        """Describe all snapshots, oldest first."""
        return [self._describe(path) for path in sorted(self._folder.glob(f"[!.]*{_SUFFIX}"))]

    def path(self, name: str) -> Path:
        """Return the file of a snapshot.

        Raises:
            ValueError: There is no snapshot of this name.
        """
        path = self._folder / name
        if path.parent != self._folder or name.startswith(".") or path.suffix != _SUFFIX or not path.is_file():
            raise ValueError(f"Snapshot {name} of collection {self._collection} not found")
        return path

    def delete(self, name: str) -> None:
        """Remove a snapshot."""
        path = self.path(name)
        try:
            path.unlink()
            self._checksum_file(path).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"Cannot delete snapshot {path}: {error}; check its permissions") from error

    @staticmethod
    def _checksum_file(path: Path) -> Path:
        return path.with_name(f"{path.name}{_CHECKSUM_SUFFIX}")

    def _describe(self, path: Path) -> models.SnapshotDescription:
        stat = path.stat()
        checksum = self._checksum_file(path)
        created = datetime.fromtimestamp(stat.st_mtime, timezone.utc)
        return models.SnapshotDescription(
            name=path.name,
            creation_time=created.strftime("%Y-%m-%dT%H:%M:%S"),
            size=stat.st_size,
            checksum=checksum.read_text(encoding="ascii") if checksum.is_file() else file_checksum(path),
        )

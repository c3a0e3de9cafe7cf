"""EdgeClient methods for snapshots."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from qdrant_client import models

from fg_search.edge.collection import EdgeCollection
from fg_search.edge.disk_space import check_space_to_write
from fg_search.edge.errors import FormatVersionError, StorageError
from fg_search.edge.folder import check_collection_name
from fg_search.edge.methods.base import ClientBase, check_options
from fg_search.edge.signatures import THEIRS, signature_of
from fg_search.edge.snapshot_archive import file_checksum, read_archive
from fg_search.edge.snapshot_folder import SnapshotFolder, local_path

# StorageError is a RuntimeError; the others come from settings that are JSON, but not those of a collection
_NO_COLLECTION = (RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class SnapshotMethods(ClientBase):
    """Create, list, locate, delete and recover snapshots of collections."""

    @signature_of(THEIRS.create_snapshot)
    def create_snapshot(self, collection_name: str, **kwargs: Any) -> models.SnapshotDescription:
        """Copy a collection into one file below the client's folder; :meth:`snapshot_path` returns its path.

        The copy is consistent: it holds every write that has returned, and any concurrent write completely or not at
        all. Writes wait until the copy is made, reads do not.

        Args:
            collection_name: Collection or alias.
            **kwargs: Arguments for servers, ignored or refused; see the class.

        Returns:
            Name, creation time, size and SHA-256 of the file.

        Raises:
            ValueError: There is no such collection.
            StorageError: The file cannot be written; no partial file remains.
        """
        check_options("create_snapshot", kwargs)
        collection = self._collection(collection_name)
        return SnapshotFolder(self._folder.path, self._real_name(collection_name)).create(collection)

    @signature_of(THEIRS.list_snapshots)
    def list_snapshots(self, collection_name: str, **kwargs: Any) -> list[models.SnapshotDescription]:
        """Describe the snapshots of a collection, oldest first. Snapshots outlive their collection."""
        check_options("list_snapshots", kwargs)
        return self._snapshots(collection_name).list()

    @signature_of(THEIRS.list_shard_snapshots)
    def list_shard_snapshots(
        self,
        collection_name: str,
        shard_id: int,  # noqa: ARG002  there is one shard
        **kwargs: Any,
    ) -> list[models.SnapshotDescription]:
        """Return an empty list, as local mode does: snapshots are of whole collections."""
        check_options("list_shard_snapshots", kwargs)
        self._collection(collection_name)
        return []

    @signature_of(THEIRS.list_full_snapshots)
    def list_full_snapshots(self, **kwargs: Any) -> list[models.SnapshotDescription]:
        """Return an empty list: snapshots are of single collections."""
        check_options("list_full_snapshots", kwargs)
        self._check_open()
        return []

    def snapshot_path(self, collection_name: str, snapshot_name: str) -> Path:
        """Return the path of a snapshot, e.g. to copy the file elsewhere. Not in QdrantClient.

        Raises:
            ValueError: There is no such snapshot.
        """
        return self._snapshots(collection_name).path(snapshot_name)

    @signature_of(THEIRS.delete_snapshot)
    def delete_snapshot(self, collection_name: str, snapshot_name: str, **kwargs: Any) -> bool:
        """Delete a snapshot.

        Raises:
            ValueError: There is no such snapshot.
        """
        check_options("delete_snapshot", kwargs)
        self._snapshots(collection_name).delete(snapshot_name)
        return True

    def recover_snapshot(
        self,
        collection_name: str,
        location: str | os.PathLike[str],
        api_key: str | None = None,
        checksum: str | None = None,
        priority: models.SnapshotPriority | None = None,
        wait: bool = True,  # noqa: ARG002  the call always waits
        **kwargs: Any,
    ) -> bool:
        """Restore a collection from a file that :meth:`create_snapshot` wrote, in this folder or another one.

        Settings, payload indexes and points come from the snapshot. It is checked first; then an existing collection is
        replaced in one step. Concurrent calls in other threads may raise ``RuntimeError``.

        Args:
            collection_name: Collection or alias to create or replace.
            location: Path or ``file://`` URL of the snapshot.
            api_key: Must be None; a server uses it to fetch the location.
            checksum: Expected SHA-256 of the file.
            priority: No effect: there are no replicas.
            wait: No effect: the call always waits.
            **kwargs: Arguments for servers, ignored or refused; see the class.

        Raises:
            StorageError: The file is missing, damaged or not a snapshot; nothing was changed, here or elsewhere.
            FormatVersionError: A newer release wrote the snapshot.
            ValueError: The collection name is not allowed.
            UnsupportedError: The location is a URL with another scheme or on another host.
        """
        check_options("recover_snapshot", {"api_key": api_key, "priority": priority, **kwargs}, "api_key", "priority")
        self._check_open()
        name = self._real_name(collection_name)
        check_collection_name(name)
        path = local_path(location)
        if not path.is_file():
            raise StorageError(f"There is no snapshot at {path}; give the path of a file")
        if checksum is not None and file_checksum(path) != checksum.lower():
            raise StorageError(f"The snapshot {path} does not have the checksum {checksum}. Nothing was changed.")
        check_space_to_write(self._folder.path, f"Recovery of collection {name}", path.stat().st_size)
        with self._folder.building(name) as built:
            read_archive(path, built)
            _check_collection(built, path)
            with self._lock:
                self._check_open()
                collection = self._collections.pop(name, None)
                if collection is not None:
                    collection.close()
                self._folder.put(name, built)
        return True

    def _real_name(self, collection_name: str) -> str:
        return self._aliases.get(collection_name, collection_name)

    def _snapshots(self, collection_name: str) -> SnapshotFolder:
        self._check_open()
        name = self._real_name(collection_name)
        check_collection_name(name)
        snapshots = SnapshotFolder(self._folder.path, name)
        if not self._folder.exists(name) and not snapshots.has_snapshots():
            raise ValueError(f"Collection {name} not found")
        return snapshots


def _check_collection(folder: Path, snapshot: Path) -> None:
    """Refuse a readable snapshot that does not open as a collection."""
    try:
        collection = EdgeCollection(folder)
        try:
            collection.info()
        finally:
            collection.close()
    except FormatVersionError:
        raise
    except _NO_COLLECTION as error:
        raise StorageError(
            f"The snapshot {snapshot} does not hold a collection that opens: {error.__cause__ or error}. Nothing was "
            "changed; use another snapshot."
        ) from error

"""Methods of an EdgeClient that concern snapshots."""

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
from fg_search.edge.snapshot_archive import file_checksum, read_archive
from fg_search.edge.snapshot_files import CollectionSnapshots, local_path


class SnapshotMethods(ClientBase):
    """Create, list, find, delete and recover snapshots of collections."""

    def create_snapshot(self, collection_name: str, **kwargs: Any) -> models.SnapshotDescription:
        """Copy a collection into one file below the folder; :meth:`snapshot_path` tells where.

        The copy is consistent: it holds every write that returned before, and each other write whole or not at
        all. Meanwhile writes wait, reads do not.

        Args:
            collection_name: Collection, or alias.
            **kwargs: Without effect, or refused; see the class.

        Returns:
            Name, time, size and SHA-256 of the file.

        Raises:
            ValueError: There is no such collection.
            StorageError: The file cannot be written; nothing is left of it.
        """
        check_options("create_snapshot", kwargs)
        collection = self._collection(collection_name)
        return CollectionSnapshots(self._folder.path, self._real_name(collection_name)).create(collection)

    def list_snapshots(self, collection_name: str, **kwargs: Any) -> list[models.SnapshotDescription]:
        """Describe the snapshots of a collection, oldest first. They outlive the collection."""
        check_options("list_snapshots", kwargs)
        return self._snapshots(collection_name).list()

    def snapshot_path(self, collection_name: str, snapshot_name: str) -> Path:
        """Return where the file of a snapshot lies, to copy it elsewhere. Not in QdrantClient.

        Raises:
            ValueError: There is no such snapshot.
        """
        return self._snapshots(collection_name).path(snapshot_name)

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
        *,
        checksum: str | None = None,
        **kwargs: Any,
    ) -> bool:
        """Make a collection what it was in a snapshot of :meth:`create_snapshot`, of this folder or another one.

        Settings, payload indexes and points are those of the snapshot; a collection that is there is replaced as
        a whole, once the snapshot was found to be whole. Calls that are under way in other threads meanwhile may
        end with a ``RuntimeError``.

        Args:
            collection_name: Collection, or alias, to create or replace.
            location: The file, as a path or a ``file://`` URL.
            checksum: SHA-256 that the file must have.
            **kwargs: Without effect, or refused; see the class.

        Raises:
            StorageError: The file is missing, damaged, or no snapshot; nothing was changed.
            FormatVersionError: A newer release wrote it.
            ValueError: The name of the collection is not allowed.
            UnsupportedError: The location is a URL of another kind.
        """
        check_options("recover_snapshot", kwargs, "api_key", "priority")
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

    def _snapshots(self, collection_name: str) -> CollectionSnapshots:
        self._check_open()
        name = self._real_name(collection_name)
        check_collection_name(name)
        snapshots = CollectionSnapshots(self._folder.path, name)
        if not self._folder.exists(name) and not snapshots.exist():
            raise ValueError(f"Collection {name} not found")
        return snapshots


def _check_collection(folder: Path, snapshot: Path) -> None:
    """Refuse a snapshot that can be read but does not open as a collection."""
    try:
        collection = EdgeCollection(folder)
        try:
            collection.info()
        finally:
            collection.close()
    except FormatVersionError:
        raise
    except StorageError as error:
        raise StorageError(
            f"The snapshot {snapshot} does not hold a collection that opens: {error.__cause__ or error}. Nothing was "
            "changed; use another snapshot."
        ) from error

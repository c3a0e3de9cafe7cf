"""The file format of snapshots: a tar archive of one collection that can be checked for completeness.

Members: ``collection.json``, the engine's files and folders below ``shard/``, and finally ``manifest.json`` with the
SHA-256 of each file and of the list itself. The engine allocates files much larger than their data; the archive leaves
out the empty end of each file, and reading the archive recreates it as a hole.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from fg_search.edge.errors import FormatVersionError, StorageError
from fg_search.edge.folder import COLLECTION_FILE, SHARD_FOLDER

ARCHIVE_VERSION = 1
_MANIFEST = "manifest.json"
_CHUNK = 1 << 20


class _Hashing:
    """File wrapper that hashes everything read or written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        hashing = _Hashing(file)
        while hashing.read(_CHUNK):
            pass
    return hashing.hexdigest()


def _end_of_data(descriptor: int, size: int) -> int:
    """Offset after which a file is only a hole; the file's size if the platform cannot tell."""
    if not hasattr(os, "SEEK_DATA"):
        return size
    end = 0
    try:
        while end < size:
            end = os.lseek(descriptor, os.lseek(descriptor, end, os.SEEK_DATA), os.SEEK_HOLE)
    except OSError:  # no data after `end`
        pass
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return end


def _add(archive: tarfile.TarFile, folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        member = tarfile.TarInfo(name)
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
        return {}
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        member = tarfile.TarInfo(name)
        member.size = _end_of_data(file.fileno(), size)
        content = _Hashing(file)
        archive.addfile(member, content)
    return {name: {"size": size, "sha256": content.hexdigest()}}


def _digest(files: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def write_archive(folder: Path, target: IO[bytes]) -> str:
    """Write the files of a collection, which must not change in the meantime.

    Args:
        folder: Folder of the collection.
        target: File to write to, positioned at its start.

    Returns:
        SHA-256 of the archive.
    """
    output = _Hashing(target)
    with tarfile.open(mode="w|", fileobj=output, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        files: dict[str, Any] = {}
        for path in (folder / COLLECTION_FILE, *sorted((folder / SHARD_FOLDER).rglob("*"))):
            files.update(_add(archive, folder, path))
        manifest = json.dumps({"version": ARCHIVE_VERSION, "files": files, "sha256": _digest(files)}).encode()
        member = tarfile.TarInfo(_MANIFEST)
        member.size = len(manifest)
        archive.addfile(member, io.BytesIO(manifest))
    return output.hexdigest()


def _target(member: tarfile.TarInfo, folder: Path) -> Path:
    """Destination of a member; a member that would land outside ``folder`` is refused."""
    path = PurePosixPath(member.name)
    is_ours = path.parts == (COLLECTION_FILE,) or (path.parts[:1] == (SHARD_FOLDER,) and ".." not in path.parts)
    if not is_ours or member.issparse() or not (member.isreg() or member.isdir()):
        raise ValueError(f"it has the member {member.name!r}, which is no file of a collection")
    return folder.joinpath(*path.parts)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> dict[str, str]:
    target = _target(member, folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.isdir():
        target.mkdir(exist_ok=True)
        return {}
    content = _Hashing(cast("IO[bytes]", archive.extractfile(member)))  # None only if the member is not a regular file
    with target.open("xb") as file:
        while data := content.read(_CHUNK):
            file.write(data)
    return {member.name: content.hexdigest()}


def _read_manifest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    source = archive.extractfile(member)
    manifest = json.loads(source.read()) if source else {}
    version = int(manifest["version"])
    if version > ARCHIVE_VERSION:
        raise FormatVersionError(
            f"The snapshot has format version {version}, this release reads up to {ARCHIVE_VERSION}; upgrade fg_search"
        )
    files = dict(manifest["files"])
    if manifest["sha256"] != _digest(files):
        raise ValueError(f"the checksum of {_MANIFEST} is wrong")
    return files


def _extract_all(archive: tarfile.TarFile, folder: Path) -> None:
    checksums: dict[str, str] = {}
    for member in archive:
        if member.name == _MANIFEST:
            break
        checksums.update(_extract(archive, member, folder))
    else:
        raise ValueError(f"it has no {_MANIFEST}: it was cut short, or is no snapshot of EdgeClient")
    files = _read_manifest(archive, member)
    for name in sorted(files.keys() | checksums.keys()):
        if files.get(name, {}).get("sha256") != checksums.get(name):
            raise ValueError(f"the checksum of {name!r} is wrong")
    for name, entry in files.items():
        with (folder / name).open("r+b") as file:
            file.truncate(entry["size"])
            os.fsync(file.fileno())


def read_archive(path: Path, folder: Path) -> None:
    """Extract an archive into an empty folder, and nowhere else.

    Raises:
        StorageError: The archive is damaged or is not a snapshot; discard the folder's content.
        FormatVersionError: A newer release wrote the archive.
        OSError: The archive cannot be read, or the folder is not writable.
    """
    try:
        with tarfile.open(path, mode="r:") as archive:
            _extract_all(archive, folder)
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError, AttributeError, FileExistsError) as error:
        if isinstance(error, FormatVersionError):
            raise
        raise StorageError(
            f"The snapshot {path} is damaged: {error}. Nothing was changed; use another snapshot."
        ) from error

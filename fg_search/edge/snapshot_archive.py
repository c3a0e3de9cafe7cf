"""The file format of snapshots: a tar archive of one collection that can be checked for completeness.

Members: ``collection.json``, the engine's files and folders below ``shard/``, and finally ``manifest.json`` with the
SHA-256 of each file and of the list itself. The engine allocates files much larger than their data; the archive leaves
out the empty end of each file, and reading the archive recreates it as a hole.

A snapshot may come from anywhere. Reading it writes new files below the given folder and opens no other; each must be
listed with size and checksum.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import reprlib
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from fg_search.edge.errors import FormatVersionError, StorageError
from fg_search.edge.folder import COLLECTION_FILE, SHARD_FOLDER
from fg_search.edge.tar_members import Member, read_content, read_members
from fg_search.edge.vector_schema import INVALID_NAME_CHARS

ARCHIVE_VERSION = 1
_MANIFEST = "manifest.json"
_CHUNK = 1 << 20

# far beyond what a collection has; they keep a made-up archive from filling memory or disk
_MAX_MANIFEST = 1 << 26  # bytes
_MAX_SIZE = 1 << 44  # bytes of a file
_MAX_EMPTY = 1 << 40  # bytes of the empty ends of all files
_MAX_DEPTH = 16  # folders within one another
_MAX_NAME = 255  # bytes of a file's or folder's own name


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


def is_archive(path: Path) -> bool:
    """Whether a file begins like a snapshot of a collection in a folder, and not like a server's."""
    try:
        with tarfile.open(path, mode="r:") as archive:
            first = archive.next()
    except (tarfile.TarError, OSError, EOFError):
        return False
    return first is not None and first.name == COLLECTION_FILE


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


def _checked_name(name: str, taken: Mapping[str, bool]) -> str:
    """Return the name of a member that is part of a collection, below its folder and not there yet.

    Args:
        name: Name as the archive has it.
        taken: Names of the members before it, and whether each is a file.
    """
    parts = name.split("/")
    if parts != [COLLECTION_FILE] and parts[0] != SHARD_FOLDER:
        raise ValueError(f"it has the member {reprlib.repr(name)}, which is no file of a collection")
    if len(parts) > _MAX_DEPTH or any(part in ("", ".", "..") or not _is_file_name(part) for part in parts):
        raise ValueError(f"it has the member {reprlib.repr(name)}, which is no file of a collection")
    if name in taken:
        raise ValueError(f"it has the member {name!r} twice")
    if any(taken.get("/".join(parts[:end]), False) for end in range(1, len(parts))):
        raise ValueError(f"it has the member {name!r} below a file")
    return name


def _is_file_name(part: str) -> bool:
    return len(part.encode()) <= _MAX_NAME and not any(char in part for char in INVALID_NAME_CHARS)


class _Extracted(NamedTuple):
    """A file as it was written: its path, and the size and SHA-256 of its data, without its empty end."""

    path: Path
    size: int
    sha256: str


def _extract(archive: IO[bytes], member: Member, target: Path) -> _Extracted:
    content = hashlib.sha256()
    with target.open("xb") as file:
        for data in read_content(archive, member):
            content.update(data)
            file.write(data)
    return _Extracted(target, member.size, content.hexdigest())


def _read_manifest(data: bytes) -> dict[str, dict[str, Any]]:
    """Return size and checksum by file name, each of the right type."""
    manifest = json.loads(data)
    if not isinstance(manifest, dict):
        raise ValueError(f"{_MANIFEST} is no JSON object")  # noqa: TRY004  the archive is damaged
    version, files = manifest.get("version"), manifest.get("files")
    if type(version) is not int or version < 1:
        raise ValueError(f"{_MANIFEST} has no format version")
    if version > ARCHIVE_VERSION:
        raise FormatVersionError(
            f"The snapshot has format version {version}, this release reads up to {ARCHIVE_VERSION}; upgrade fg_search"
        )
    if not isinstance(files, dict) or not all(map(_is_entry, files.values())):
        raise ValueError(f"{_MANIFEST} does not list each file with its size and checksum")
    if manifest.get("sha256") != _digest(files):
        raise ValueError(f"the checksum of {_MANIFEST} is wrong")
    return files


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"size", "sha256"}
        and type(entry["size"]) is int
        and 0 <= entry["size"] < _MAX_SIZE
        and isinstance(entry["sha256"], str)
    )


def _check_files(listed: Mapping[str, Mapping[str, Any]], extracted: Mapping[str, _Extracted]) -> None:
    """Check that exactly the listed files were extracted, with the listed content."""
    different = sorted(listed.keys() ^ extracted.keys())
    if different:
        where = "only in the list of files" if different[0] in listed else "missing from the list of files"
        raise ValueError(f"{reprlib.repr(different[0])} is {where}")
    for name, file in extracted.items():
        if listed[name]["sha256"] != file.sha256:
            raise ValueError(f"the checksum of {name!r} is wrong")
        if listed[name]["size"] < file.size:
            raise ValueError(f"the size of {name!r} is wrong")
    if sum(listed[name]["size"] - file.size for name, file in extracted.items()) > _MAX_EMPTY:
        raise ValueError("its files have impossible sizes")


def _extract_all(archive: IO[bytes], folder: Path) -> None:
    taken: dict[str, bool] = {}
    files: dict[str, _Extracted] = {}
    for member in read_members(archive):
        if member.name == _MANIFEST and not member.is_folder:
            break
        name = _checked_name(member.name, taken)
        taken[name] = not member.is_folder
        target = folder.joinpath(*name.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        if member.is_folder:
            target.mkdir(exist_ok=True)
        else:
            files[name] = _extract(archive, member, target)
    else:
        raise ValueError(f"it has no {_MANIFEST}: it was cut short, or is no snapshot of EdgeClient")
    if member.size > _MAX_MANIFEST:
        raise ValueError(f"its {_MANIFEST} is too large")
    listed = _read_manifest(b"".join(read_content(archive, member)))
    _check_files(listed, files)
    for name, extracted in files.items():  # not the names of the manifest: only what was made here is opened
        with extracted.path.open("r+b") as file:
            file.truncate(listed[name]["size"])
            os.fsync(file.fileno())


def read_archive(path: Path, folder: Path) -> None:
    """Extract an archive into an empty folder, and nowhere else.

    Raises:
        StorageError: The archive is damaged or is not a snapshot; discard the folder's content.
        FormatVersionError: A newer release wrote the archive.
        OSError: The archive cannot be read, or the folder is not writable.
    """
    try:
        with path.open("rb") as archive:
            _extract_all(archive, folder)
    except FormatVersionError:
        raise
    except (ValueError, RecursionError, FileExistsError) as error:
        # the last: names that differ to the archive and not to the file system, as in upper and lower case
        raise StorageError(
            f"The snapshot {path} is damaged: {error}. Nothing was changed; use another snapshot."
        ) from error

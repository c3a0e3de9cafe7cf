"""Read a tar archive whose author is not trusted: regular files and folders, and nothing else.

The module ``tarfile`` reads whatever tar has ever been: it follows chains of headers recursively, takes negative sizes,
and reads as much into memory as a header claims. This reader knows the little that snapshots consist of, and every read
is bounded by the size of the archive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import IO, NamedTuple

MAX_MEMBERS = 100_000  # a collection has some dozens of files per segment

_BLOCK = 512
_CHUNK = 1 << 20
_MAX_EXTENDED = 1 << 16  # bytes of an extended header; it holds a name or a size
_FILE_TYPES, _FOLDER_TYPE, _EXTENDED_TYPE = (b"0", b"\0"), b"5", b"x"
_OCTAL = re.compile(rb"[0-7]{1,12}")
_DECIMAL = re.compile(rb"[0-9]{1,20}")


class Member(NamedTuple):
    """A file or folder of an archive.

    Attributes:
        name: Its name as written, which may lead anywhere: check it.
        is_folder: Whether it is a folder.
        offset: Offset of its content in the archive.
        size: Size of its content in bytes.
    """

    name: str
    is_folder: bool
    offset: int
    size: int


def read_members(file: IO[bytes]) -> Iterator[Member]:
    """Yield the members of an archive in their order.

    Args:
        file: Archive that can be repositioned; reading a member's content between two members is allowed.

    Raises:
        ValueError: The archive is damaged, has more than :data:`MAX_MEMBERS` members, or one that is neither a file nor
            a folder.
    """
    end = file.seek(0, os.SEEK_END)
    position = 0
    extended: dict[bytes, bytes] | None = None
    for _ in range(2 * MAX_MEMBERS):  # each may have an extended header
        header = _read(file, position, _BLOCK)
        if not header.strip(b"\0"):
            return
        member, kind = _parse_header(header, position + _BLOCK, extended or {})
        if member.offset + member.size > end:
            raise ValueError(f"it ends within {member.name!r}")
        if kind == _EXTENDED_TYPE:
            if extended is not None or member.size > _MAX_EXTENDED:
                raise ValueError(f"the header at byte {position} is too long")
            extended = _parse_extended(_read(file, member.offset, member.size))
        else:
            extended = None
            yield member
        position = member.offset + -(-member.size // _BLOCK) * _BLOCK
    raise ValueError(f"it has more than {MAX_MEMBERS:,} members")


def read_content(file: IO[bytes], member: Member) -> Iterator[bytes]:
    """Yield the content of a member in pieces."""
    file.seek(member.offset)
    left = member.size
    while left:
        piece = file.read(min(left, _CHUNK))
        if not piece:
            raise ValueError(f"it ends within {member.name!r}")
        left -= len(piece)
        yield piece


def _read(file: IO[bytes], position: int, size: int) -> bytes:
    file.seek(position)
    data = file.read(size)
    if len(data) < size:
        raise ValueError("it was cut short")
    return data


def _parse_header(header: bytes, offset: int, extended: dict[bytes, bytes]) -> tuple[Member, bytes]:
    if _octal(header[148:156]) != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
        raise ValueError(f"the checksum of the header at byte {offset - _BLOCK} is wrong")
    name, prefix = header[:100].split(b"\0", 1)[0], header[345:500].split(b"\0", 1)[0]
    path = extended.get(b"path", b"/".join(filter(None, (prefix, name)))).decode()
    size = _octal(header[124:136])
    if b"size" in extended:
        if not _DECIMAL.fullmatch(extended[b"size"]):
            raise ValueError(f"the size of {path!r} is no number")
        size = int(extended[b"size"])
    kind = header[156:157]
    is_folder = kind == _FOLDER_TYPE
    if kind not in (*_FILE_TYPES, _FOLDER_TYPE, _EXTENDED_TYPE) or (is_folder and size):
        raise ValueError(f"it has the member {path!r}, which is no file of a collection")
    return Member(path.removesuffix("/") if is_folder else path, is_folder, offset, size), kind


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not _OCTAL.fullmatch(digits):
        raise ValueError("a header is damaged")
    return int(digits, 8)


def _parse_extended(data: bytes) -> dict[bytes, bytes]:
    """Parse the lines ``LENGTH KEY=VALUE`` of an extended header; the length counts the whole line."""
    found: dict[bytes, bytes] = {}
    while data:
        digits = data[: data.find(b" ")]
        length = int(digits) if _DECIMAL.fullmatch(digits) else 0
        line = data[len(digits) + 1 : length]
        if length > len(data) or not line.endswith(b"\n") or b"=" not in line:
            raise ValueError("an extended header is damaged")
        key, _, value = line[:-1].partition(b"=")
        found[key] = value
        data = data[length:]
    return found

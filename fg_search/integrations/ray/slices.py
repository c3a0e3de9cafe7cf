"""Slices that an engine divides points into by a hash of their ids, computed here for points that are to come.

A server from 1.19 on has them, and so has the embedded engine: point p is in slice ``SipHash-2-4(p) mod total``
(Aumasson & Bernstein, 2012), with a key of zeros, over the 8 bytes of an integer, the least first, or the 16 of a UUID.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.engine.blocking import drive
from fg_search.engine.port import Engine

_Words = npt.NDArray[np.uint64]

_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_UUID_BYTES = 16


def knows_slices(engine: Engine) -> bool:
    """Whether an engine knows slices, whether or not reading several at once is faster there."""
    return engine.is_embedded or drive(engine.has_slices())


def in_slice(total: int, index: int) -> models.Condition | None:
    """Points of one of so many slices, ``None`` for all points."""
    return None if total == 1 else models.SliceCondition(slice=models.Slice(total=total, index=index))


def point_hashes(points: Sequence[str]) -> _Words:
    """``(n,)`` uint64 hashes of n of the engine's ids, integers or UUIDs, as text."""
    hashes = np.zeros(len(points), dtype=np.uint64)
    numbers = [i for i, point in enumerate(points) if point.isdecimal()]
    if numbers:
        hashes[numbers] = _sip_hash(np.array([int(points[i]) for i in numbers], dtype=np.uint64)[:, None])
    others = [i for i, point in enumerate(points) if not point.isdecimal()]
    if others:
        content = b"".join(UUID(points[i]).bytes for i in others)
        hashes[others] = _sip_hash(np.frombuffer(content, dtype="<u8").reshape(-1, _UUID_BYTES // 8))
    return hashes


def _sip_hash(words: _Words) -> _Words:
    """Hashes ``(n,)`` of n messages of w words ``(n, w)``."""
    count, length = words.shape
    v = [np.full(count, start, dtype=np.uint64) for start in _START]
    last = np.full((count, 1), 8 * length << 56, dtype=np.uint64)
    for word in np.concatenate([words, last], axis=1).T:
        v[3] = v[3] ^ word
        _rounds(v, 2)
        v[0] = v[0] ^ word
    v[2] = v[2] ^ np.uint64(0xFF)
    _rounds(v, 4)
    hashes: _Words = v[0] ^ v[1] ^ v[2] ^ v[3]
    return hashes


def _rounds(v: list[_Words], count: int) -> None:
    for _ in range(count):
        v[0] = v[0] + v[1]
        v[1] = _rotated(v[1], 13) ^ v[0]
        v[0] = _rotated(v[0], 32)
        v[2] = v[2] + v[3]
        v[3] = _rotated(v[3], 16) ^ v[2]
        v[0] = v[0] + v[3]
        v[3] = _rotated(v[3], 21) ^ v[0]
        v[2] = v[2] + v[1]
        v[1] = _rotated(v[1], 17) ^ v[2]
        v[2] = _rotated(v[2], 32)


def _rotated(words: _Words, bits: int) -> _Words:
    rotated: _Words = (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))
    return rotated

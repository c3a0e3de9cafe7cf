"""Long lists in pieces that one request can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

IDS_PER_REQUEST = 1000

T = TypeVar("T")


def pages(items: Sequence[T], size: int | None = None) -> Iterator[Sequence[T]]:
    """Cut a sequence into pieces of ``size`` items, by default as many ids as a request takes."""
    size = size or IDS_PER_REQUEST
    for start in range(0, len(items), size):
        yield items[start : start + size]

"""Progress of encoding: a bar, or whoever asked to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from tqdm import tqdm

Progress: TypeAlias = Callable[[int], object]
"""Called with the number of texts that were done since its last call."""


@contextmanager
def advancing(total: int, task: str, *, shown: bool, progress: Progress | None) -> Iterator[Progress]:
    """Count texts that are encoded.

    Args:
        total: Number of texts.
        task: Description shown on the bar.
        shown: Whether to draw a bar.
        progress: Who is told, in place of a bar.

    Yields:
        A function to call with the number of texts that were done since its last call.
    """
    if progress is not None:
        yield progress
        return
    with tqdm(total=total, desc=task, unit=" texts", disable=not shown, leave=False) as bar:
        yield bar.update

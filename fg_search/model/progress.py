"""Progress of long work: drawn as a bar on stderr, or told to whoever watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from tqdm import tqdm

Watcher: TypeAlias = Callable[[str, int, int | None], object]
"""Called with the task, how much of it is done, and of how much, if that is known. It may raise to end the work."""

Progress: TypeAlias = Callable[[int], object]
"""Called with how much was done since its last call."""

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Within the block, progress is told instead of drawn, where no bar was asked for and none was refused."""
    before = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(before)


def is_shown(show: bool | None) -> bool:
    """Whether progress is drawn or told: by default if somebody watches, or stderr is a terminal."""
    return sys.stderr.isatty() or _watcher.get() is not None if show is None else show


@contextmanager
def progress_bar(
    total: int | None, show: bool | None, task: str, unit: str = "items", *, instead: Progress | None = None
) -> Iterator[Progress]:
    """Show progress.

    Args:
        total: Number of items, ``None`` if unknown.
        show: Whether to show it. By default it is shown if somebody watches, or stderr is a terminal.
        task: What is being done, as it stands before the bar.
        unit: What is counted.
        instead: Who is told in place of all that, such as the bar of a longer work that this is a part of.

    Yields:
        A function to call with the number of items that were done since its last call.
    """
    if instead is not None:
        yield instead
        return
    watcher = _watcher.get()
    if watcher is not None and is_shown(show):
        with _told(watcher, task, total) as advance:
            yield advance
        return
    with tqdm(total=total, desc=task, unit=f" {unit}", disable=not is_shown(show), leave=False) as bar:
        yield bar.update


@contextmanager
def _told(watcher: Watcher, task: str, total: int | None) -> Iterator[Progress]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        watcher(task, done, total)

    advance(0)
    yield advance


def unwatched(_: int) -> None:
    """Take the place of a progress bar where nobody watches."""

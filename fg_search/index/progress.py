"""Progress bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(total: int | None, show: bool | None, task: str) -> Iterator[Callable[[int], object]]:
    """Draw a progress bar of items.

    Args:
        total: Number of items, ``None`` if unknown.
        show: Whether to draw it. By default it is drawn when stderr is a terminal.
        task: Description shown on the bar.

    Yields:
        A function to call with the number of items that were done since its last call.
    """
    hide = not (sys.stderr.isatty() if show is None else show)
    with tqdm(total=total, desc=task, unit=" items", disable=hide, leave=False) as bar:
        yield bar.update


def unwatched(_: int) -> None:
    """Take the place of a progress bar where nobody watches."""

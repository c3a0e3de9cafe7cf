"""Pauses of Python's garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """Pause the garbage collector while thousands of objects are made, none of which is garbage.

    It would go through them again and again, and every few thousand through all other objects of the process, which
    takes longer than making them. In several threads the pauses may overlap; a pause may then be cut short.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

"""Warnings about labels that a command introduced: a typing error would become a class that the next fit learns."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fg_search.cli.console import warn

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex

_MOST = 100_000


@contextmanager
def new_labels_named(index: ConfidenceIndex) -> Iterator[None]:
    """Warn about each label that the block adds to the index, and suggest the known label closest to it."""
    known = set(index.labels(_MOST))
    yield
    for label in sorted(set(index.labels(_MOST)) - known):
        near = difflib.get_close_matches(label, sorted(known), n=1, cutoff=0.75)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        warn(f"{label!r} is a new label{guess}")

"""Saying which labels a command brought in: a typing error makes a class of its own, which the next fit learns."""

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
    """Name, on stderr, the labels that are in the index afterwards and were not before, with the nearest known one."""
    known = set(index.labels(_MOST))
    yield
    for label in sorted(set(index.labels(_MOST)) - known):
        near = difflib.get_close_matches(label, sorted(known), n=1, cutoff=0.75)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        warn(f"{label!r} is a new label{guess}")

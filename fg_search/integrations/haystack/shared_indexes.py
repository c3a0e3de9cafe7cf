"""Indexes in folders that stores share.

A process has a folder open once. A pipeline that is loaded gets a store of its own for each component, and an indexing
pipeline and one that answers have stores of their own anyway: all of them are on one index.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import RLock
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import IndexClosedError
from fg_search.model.encoder import FeatureGroupEncoder

_LOCK = RLock()
_OPEN: WeakValueDictionary[tuple[Path, str], ConfidenceIndex] = WeakValueDictionary()
_USERS: WeakKeyDictionary[ConfidenceIndex, WeakSet[object]] = WeakKeyDictionary()


def shared(
    user: object,
    folder: str,
    collection: str,
    encoder: FeatureGroupEncoder | str | None,
    open_index: Callable[[], ConfidenceIndex],
) -> ConfidenceIndex:
    """The index of a folder that another store has open with the same encoder; otherwise one that is opened now.

    Args:
        user: The store.
        folder: The folder.
        collection: Name of the index.
        encoder: The encoder as the store was given it; without one, any will do.
        open_index: Opens it.
    """
    key = (Path(folder).resolve(), collection)
    with _LOCK:
        index = _OPEN.get(key)
        if index is None or not _is_usable(index, encoder):
            index = _OPEN[key] = open_index()
            _USERS[index] = WeakSet()
        _USERS[index].add(user)
        return index


def let_go(user: object, index: ConfidenceIndex) -> None:
    """Close an index if no other store is on it."""
    with _LOCK:
        users: WeakSet[object] = _USERS.get(index, WeakSet())
        users.discard(user)
        if not users:
            index.close()


def _is_usable(index: ConfidenceIndex, encoder: FeatureGroupEncoder | str | None) -> bool:
    """Whether an index is open, and has this encoder; a loaded pipeline knows the folder of its encoder alone."""
    try:
        known = index.metadata.encoder
    except IndexClosedError:  # by whoever took it from a store
        return False
    if encoder is None:
        return True
    folder = encoder.folder if isinstance(encoder, FeatureGroupEncoder) else encoder
    if folder is None or known is None:
        return index.encoder is encoder
    return Path(known).resolve() == Path(folder).resolve()

"""Acknowledgement of writes beside operations that move the index to another collection.

A write goes to the collection that the writer looked at, and counts only once it is certain that it is not left behind
there. Nothing that starts later can miss it. What is running already is told of the points by markers, as long as the
collection is not sealed. Once it is sealed, the write waits until the index has moved, and is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from qdrant_client import models

from fg_search.engine.answers import is_not_found
from fg_search.engine.paging import pages
from fg_search.engine.port import Engine, PointId
from fg_search.index.rights import IndexMovedError, revoke, revoke_dead
from fg_search.index.state import IndexState
from fg_search.layout.operations import CHANGED_POINT, changes_name, rights, sealing

_MIN_PAUSE, _MAX_PAUSE = 0.01, 0.2  # seconds
_PATIENCE = 2.0  # seconds; a switch takes a fraction of one


async def acknowledge(state: IndexState, points: Sequence[PointId] | None) -> None:
    """Make sure that a write, which has just been made to the collection of the state, is not left behind there.

    Args:
        state: The index, as the writer looked at it.
        points: Engine's ids of the points that were written or removed, ``None`` if these may be any.

    Raises:
        IndexMovedError: If the index has moved, so that the write must be made again.
    """
    marked: set[str] = set()
    waited, pause = 0.0, _MIN_PAUSE
    while True:
        aliases = await state.engine.get_aliases()
        if aliases.get(state.collection, state.collection) != state.points:
            raise IndexMovedError
        running = rights(aliases, state.collection)
        if not running:
            return
        if not marked and await revoke_dead(state.engine, state.collection, running):
            continue
        unmarked = set(running.values()) - marked
        for target in unmarked:
            await _mark(state.engine, target, points)
            marked.add(target)
        if unmarked:
            continue  # not sealed before the markers were there: they are read
        about_to_switch = sealing(aliases, state.collection)
        if not about_to_switch:
            return
        if waited > _PATIENCE:  # they are dead; if one is not, its switch is refused, and it begins again
            for operation in about_to_switch:
                await revoke(state.engine, state.collection, operation)
            continue
        await state.engine.pause(pause)
        waited, pause = waited + pause, min(2 * pause, _MAX_PAUSE)


async def _mark(engine: Engine, target: str, points: Sequence[PointId] | None) -> None:
    """Mark points as written while they are being copied to a target. If its operation is over, nothing is marked."""
    try:
        for page in pages([None] if points is None else points):
            markers = [models.PointStruct(id=str(uuid4()), vector={}, payload={CHANGED_POINT: point}) for point in page]
            await engine.upsert(changes_name(target), markers)
    except Exception as error:
        if not is_not_found(error):
            raise

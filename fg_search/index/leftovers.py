"""Leftovers of operations that were interrupted: found by what the collections say of themselves, and removed.

Nothing is removed that an alias leads to, and nothing that could be the only copy of anything: a target counts as a
leftover only beside the collection that it was, or was to be, filled from, or its successor.
"""

from __future__ import annotations

from dataclasses import dataclass

from fg_search.engine.port import Engine
from fg_search.errors import FgSearchError
from fg_search.index.collections import find_collection
from fg_search.index.rights import is_running, is_running_here
from fg_search.layout.operations import Operation, changes_name, is_target_of, rights, sealed_by
from fg_search.layout.schema import IndexMetadata


@dataclass(frozen=True)
class Target:
    """A collection that an operation made for an index.

    Attributes:
        name: Name of the collection.
        metadata: Metadata of the index that it was to be.
        operation: Operation that made it, ``None`` if a release before 0.2 made it.
        sealed: Id of the operation that sealed it, ``None`` if none did.
    """

    name: str
    metadata: IndexMetadata
    operation: Operation | None
    sealed: str | None


async def unused_targets(engine: Engine, collection: str) -> list[Target]:
    """Collections made for an index that no alias leads to."""
    used = set((await engine.get_aliases()).values())
    found = []
    for name in await engine.get_collections():
        if name in used or not is_target_of(collection, name):
            continue
        info = await find_collection(engine, name)
        if info is None:
            continue
        try:
            metadata = IndexMetadata.of_collection(name, info)
        except FgSearchError:  # not ours, or of a release to come: leave it alone
            continue
        found.append(Target(name, metadata, Operation.of_metadata(info.config.metadata), sealed_by(info)))
    return found


async def abandoned_targets(engine: Engine, collection: str, source: str | None) -> list[Target]:
    """Targets that dead operations have begun to fill.

    Args:
        engine: Engine of the index.
        collection: Name of the index.
        source: Collection that has the index's name, ``None`` if there is none.
    """
    return [
        target
        for target in await unused_targets(engine, collection)
        if target.operation is not None
        and target.operation.source == source
        and not is_running(target.operation, engine)
    ]


async def remove_leftovers(engine: Engine, collection: str) -> None:
    """Remove what interrupted operations left behind, and what the index has moved from."""
    aliases = await engine.get_aliases()
    current = aliases.get(collection)
    info = None if current is None else await find_collection(engine, current)
    operation = None if info is None else Operation.of_metadata(info.config.metadata)
    for target in await unused_targets(engine, collection):
        if operation is not None and target.sealed == operation.id:
            await engine.delete_collection(target.name)  # the index has moved from here
            continue
        made = target.operation
        if made is None:
            continue
        if not target.name.endswith(made.id):  # restoring it was interrupted: it says what it was elsewhere
            if not engine.is_shared and not is_running_here(target.name.rpartition(".")[2]):
                await engine.delete_collection(target.name)
            continue
        # the name never led to a target that is not complete, or whose source has the name
        never_used = not made.complete or (made.source is not None and made.source == current)
        # an operation cannot switch any more once the name has moved from its source
        too_late = operation is not None and made.source is not None and made.source == operation.source
        if too_late or (never_used and not is_running(made, engine)):
            await engine.delete_collection(target.name)
    await _remove_markers(engine, collection)


async def _remove_markers(engine: Engine, collection: str) -> None:
    """Remove collections of markers whose operation is over."""
    aliases = await engine.get_aliases()
    wanted = {changes_name(target) for target in rights(aliases, collection).values()}
    names = await engine.get_collections()
    waiting = {changes_name(target.name) for target in await unused_targets(engine, collection)}
    for name in names:
        base = name.removesuffix(".changes")
        if base != name and is_target_of(collection, base) and name not in wanted | waiting:
            await engine.delete_collection(name)

"""Leftovers of operations that were interrupted: found by what the collections say of themselves, and removed.

Nothing is removed that an alias leads to, and nothing that could be the only copy of anything: a target counts as a
leftover only beside the collection that it was, or was to be, filled from, or its successor.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from fg_search.engine.answers import is_not_found
from fg_search.engine.port import Engine
from fg_search.errors import FgSearchError
from fg_search.index.collections import find_collection
from fg_search.index.rights import is_running, is_running_here
from fg_search.layout.operations import Operation, changes_name, is_target_of, rights
from fg_search.layout.schema import IndexMetadata

_OLD = timedelta(days=1)


@dataclass(frozen=True)
class Target:
    """A collection that an operation made for an index.

    Attributes:
        name: Name of the collection.
        metadata: Metadata of the index that it was to be.
        operation: Operation that made it, ``None`` if a release before 0.2 made it.
    """

    name: str
    metadata: IndexMetadata
    operation: Operation | None


@dataclass(frozen=True)
class Survey:
    """Collections of an index.

    Attributes:
        current: Collection that the index's name leads to, ``None`` if there is none.
        unused: Collections that no alias leads to.
        markers: Names of the collections of markers whose target has no right and is gone or in use.
    """

    current: Target | None
    unused: list[Target]
    markers: list[str]


async def survey(engine: Engine, collection: str) -> Survey:
    """Look at all collections of an index.

    The aliases are read last. What no alias leads to by then, and no running operation has made, gets no name any more.
    """
    names = await engine.get_collections()
    targets = [await _target(engine, name) for name in names if is_target_of(collection, name)]
    known = {target.name: target for target in targets if target is not None}
    aliases = await engine.get_aliases()
    used = set(aliases.values())
    unused = [target for target in known.values() if target.name not in used]
    needed = {*rights(aliases, collection).values(), *(target.name for target in unused)}
    markers = [
        name
        for name in names
        if name == changes_name(base := name.removesuffix(".changes"))
        and is_target_of(collection, base)
        and base not in needed
        and not is_running_here(base.rpartition(".")[2])
    ]
    return Survey(known.get(aliases.get(collection, "")), unused, markers)


async def abandoned_targets(engine: Engine, collection: str, source: str | None) -> list[Target]:
    """Targets that dead operations have begun to fill.

    Args:
        engine: Engine of the index.
        collection: Name of the index.
        source: Collection that has the index's name, ``None`` if there is none.
    """
    return [
        target
        for target in (await survey(engine, collection)).unused
        if target.operation is not None
        and target.operation.source == source
        and not is_running(target.operation, engine)
    ]


async def remove_retired(engine: Engine, collection: str) -> None:
    """Remove the collection that the index has moved from, if whoever moved it was interrupted before that."""
    found = await survey(engine, collection)
    for target in found.unused:
        if _has_moved_from(target, found):
            await remove(engine, target.name)


async def remove_leftovers(engine: Engine, collection: str, never_named: Container[str] = ()) -> None:
    """Remove what interrupted operations left behind, and what the index has moved from.

    Args:
        engine: Engine of the index.
        collection: Name of the index.
        never_named: Targets of operations that lost their right before they could use it.
    """
    found = await survey(engine, collection)
    for target in found.unused:
        if target.name in never_named or _has_moved_from(target, found) or await _is_leftover(engine, target, found):
            await remove(engine, target.name)
    for name in found.markers:
        await engine.delete_collection(name)


async def remove(engine: Engine, target: str) -> None:
    """Remove a target and its markers."""
    await engine.delete_collection(target)
    await engine.delete_collection(changes_name(target))


async def points_in(engine: Engine, name: str) -> int:
    """Number of points of a collection, 0 if it is gone."""
    try:
        return await engine.count(name, copies="most")
    except Exception as error:
        if not is_not_found(error):
            raise
        return 0


def _has_moved_from(target: Target, found: Survey) -> bool:
    operation = None if found.current is None else found.current.operation
    return operation is not None and operation.complete and operation.source == target.name


async def _is_leftover(engine: Engine, target: Target, found: Survey) -> bool:
    made, current = target.operation, found.current
    if made is None:
        return False
    previous = None if current is None or current.operation is None else current.operation.source
    if made.source is not None and made.source == previous:
        return True  # an operation cannot switch any more once the name has moved from its source
    if made.source is not None and not made.complete and current is not None and made.source != current.name:
        return True
    if is_running_here(target.name.rpartition(".")[2]) or (is_running(made, engine) and not _is_old(made)):
        return False
    # the name never led to a target that is not complete, or whose source still has the name
    if not made.complete or (current is not None and made.source == current.name):
        return True
    return not await points_in(engine, target.name)


def _is_old(made: Operation) -> bool:
    """Whether a target without a right was made so long ago that its operation must be dead.

    If it is not, it finds its target gone, and begins again.
    """
    return datetime.now(timezone.utc) - datetime.fromisoformat(made.since) > _OLD


async def _target(engine: Engine, name: str) -> Target | None:
    info = await find_collection(engine, name)
    if info is None:
        return None
    try:
        metadata = IndexMetadata.of_collection(name, info)
    except FgSearchError:  # not ours, or of a release to come: leave it alone
        return None
    operation = Operation.of_metadata(info.config.metadata)
    if operation is not None and not name.endswith(operation.id):
        # it is being restored, and says what the collection was that the snapshot was made of
        beside = await find_collection(engine, changes_name(name))
        made = None if beside is None else Operation.of_metadata(beside.config.metadata)
        operation = replace(operation, complete=False) if made is None else made
    return Target(name, metadata, operation)

"""Right to switch an index to another collection, which one operation has at a time.

An operation makes its target, and then an alias ``NAME.op.ID`` that leads to it. Having made the alias, it looks at all
aliases. If there is another ``NAME.op.…``, the operation with the larger id withdraws and waits. Whoever sees none has
the right. It is used up by renaming ``NAME.op.ID`` to ``NAME``: the engine does that in one step, replaces what the
name was, and refuses if ``NAME.op.ID`` is gone. So an operation that is dead, or looks it, is taken over by deleting
its alias; from then on it cannot switch any more.

In between, an operation that must not miss a write seals what the name leads to: it renames ``NAME.op.ID`` to
``NAME.op.ID.sealed``. A cluster answers once all its nodes show that, so that whoever has seen an alias without the
seal has seen it before.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from qdrant_client import models

from fg_search.engine.answers import is_not_found
from fg_search.engine.port import Engine
from fg_search.index.collections import find_collection, index_payload, want
from fg_search.layout.operations import (
    Operation,
    Purpose,
    changes_name,
    new_id,
    right_name,
    rights,
    sealed_right_name,
    target_name,
)
from fg_search.layout.schema import IndexMetadata, collection_options, payload_indexes
from fg_search.layout.settings import IndexSettings

_RUNNING: set[str] = set()  # ids of the operations of this process
_STALLED: dict[Purpose, float] = {"new": 10.0, "migrate": 120.0, "restore": 120.0, "copy": 120.0}  # seconds
_MIN_PAUSE, _MAX_PAUSE = 0.02, 1.0  # seconds
_BEAT = 5.0  # seconds
_LOG = logging.getLogger("fg_search.index")


class IndexMovedError(Exception):
    """The name of an index leads to another collection than when it was looked at. Never seen by users."""


class Right:
    """An operation's right to give the name of an index to its target.

    Args:
        engine: Engine of the index.
        collection: Name of the index.
        operation: The operation.

    Attributes:
        target: Name of the collection that is being made.
        never_named: Targets of operations that this one has taken over.
    """

    def __init__(self, engine: Engine, collection: str, operation: Operation) -> None:
        self.engine = engine
        self.collection = collection
        self.operation = operation
        self.target = target_name(collection, operation.id)
        self.never_named: set[str] = set()
        self._alias = right_name(collection, operation.id)
        self._last_beat = time.monotonic()

    @property
    def changes(self) -> str:
        """Name of the collection of markers."""
        return changes_name(self.target)

    async def beat(self) -> None:
        """Show that the operation makes progress."""
        if time.monotonic() - self._last_beat >= _BEAT:
            self._last_beat = time.monotonic()
            await self._note(beat=self.operation.beat + 1)

    async def adopt(self, target: str) -> None:
        """Go on with what an abandoned operation has made, in place of the target."""
        empty, self.target = self.target, target
        self.never_named.discard(target)
        await self._note()
        await self._announce()
        await self.engine.delete_collection(empty)

    async def complete(self) -> None:
        """Note that everything is in the target."""
        await self._note(complete=True)

    async def seal(self) -> bool:
        """Have writers wait until the switch, or until the right is gone. Return whether it was still there."""
        return await self._rename(sealed_right_name(self.collection, self.operation.id))

    async def switch(self) -> bool:
        """Give the name of the index to the target. Return whether the right was still there.

        If it was not, the target never gets the name, and is not noted as complete any more.
        """
        has_switched = await self._rename(self.collection)
        if not has_switched:
            await self._note_incomplete()
        return has_switched

    async def _rename(self, alias: str) -> bool:
        """Rename the alias that is the right. Return whether it was still there."""
        renaming = models.RenameAlias(old_alias_name=self._alias, new_alias_name=alias)
        try:
            await self.engine.update_collection_aliases([models.RenameAliasOperation(rename_alias=renaming)])
        except Exception as error:
            if (await self.engine.get_aliases()).get(alias) != self.target:  # otherwise only the answer was lost
                if is_not_found(error):
                    return False
                raise
        self._alias = alias
        return True

    async def discard(self) -> None:
        """Give the right up, and remove the target unless the index's name leads there."""
        await revoke(self.engine, self.collection, self.operation.id)
        if self.target not in (await self.engine.get_aliases()).values():
            await self.engine.delete_collection(self.target)
        await self.engine.delete_collection(self.changes)

    async def claim(self, *, take_over: bool) -> None:
        """Wait until no other operation has the right.

        Raises:
            IndexMovedError: If another operation has switched meanwhile. Nothing is left behind.
        """
        watched: dict[str, _Watched] = {}
        pause = _MIN_PAUSE
        await self._announce()
        while True:
            aliases = await self.engine.get_aliases()
            if aliases.get(self.collection) != self.operation.source:
                await self.discard()
                raise IndexMovedError
            others = rights(aliases, self.collection)
            has_own = others.pop(self.operation.id, None) is not None
            if not others and has_own:
                return
            if not others:
                await self._announce()
                continue
            dead = [
                other
                for other, target in others.items()
                if take_over or await self._is_over(other, target, watched, pause)
            ]
            for other in dead:
                await revoke(self.engine, self.collection, other)
                self.never_named.add(others[other])
            if dead:
                continue  # what was read is out of date: one of them may have switched before its right was taken
            if has_own and self.operation.id > min(others):
                await revoke(self.engine, self.collection, self.operation.id)
            await self.engine.pause(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    async def _announce(self) -> None:
        """Claim the right.

        Raises:
            IndexMovedError: If somebody has removed the target, as the index has moved from its source.
        """
        alias = models.CreateAlias(
            collection_name=self.target, alias_name=right_name(self.collection, self.operation.id)
        )
        try:
            await self.engine.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        except Exception as error:
            if not is_not_found(error):
                raise
            await self.engine.delete_collection(self.changes)
            raise IndexMovedError from error

    async def _note(self, *, beat: int | None = None, complete: bool = False) -> None:
        self.operation = replace(
            self.operation,
            beat=self.operation.beat if beat is None else beat,
            complete=self.operation.complete or complete,
        )
        await self.engine.update_collection(self.target, metadata=self.operation.to_metadata())

    async def _note_incomplete(self) -> None:
        self.operation = replace(self.operation, complete=False)
        try:
            await self._note()
        except Exception as error:
            if not is_not_found(error):  # whoever has taken over may have removed it
                raise

    async def _is_over(self, other: str, target: str, watched: dict[str, _Watched], pause: float) -> bool:
        """Whether another operation is dead, or makes no progress."""
        if other in _RUNNING:
            return False
        info = await find_collection(self.engine, target)
        operation = None if info is None else Operation.of_metadata(info.config.metadata)
        if operation is None or not self.engine.is_shared or _is_dead(operation):
            return True
        known = watched.get(other)
        if known is None:
            _LOG.warning("the index %r is busy: %s; waiting for it", self.collection, operation)
        if known is None or known.beat != operation.beat:
            watched[other] = _Watched(operation.beat, 0.0)
            return False
        watched[other] = _Watched(known.beat, known.waited + pause)
        return watched[other].waited > _STALLED[operation.purpose]


@dataclass(frozen=True)
class _Watched:
    beat: int
    waited: float  # seconds since it last changed


@asynccontextmanager
async def right_to_switch(
    engine: Engine,
    collection: str,
    purpose: Purpose,
    source: str | None,
    make: Callable[[Right], Awaitable[None]],
    *,
    take_over: bool = False,
) -> AsyncIterator[Right]:
    """Make a target, and wait for the right to give it the name of an index.

    Whatever goes wrong in the block, the target stays as it is: the next operation takes from it what it can use, and
    removes it.

    Args:
        engine: Engine of the index.
        collection: Name of the index.
        purpose: What the target is made for.
        source: Collection that has the name now, ``None`` if there is none.
        make: Makes the target, such as :func:`make_target`.
        take_over: Do not wait for others that have the right.

    Raises:
        IndexMovedError: If another operation has switched meanwhile, or has taken over.
    """
    operation = Operation(
        id=new_id(),
        purpose=purpose,
        source=source,
        host=socket.gethostname(),
        process=os.getpid(),
        since=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    right = Right(engine, collection, operation)
    _RUNNING.add(operation.id)
    try:
        await make(right)
        try:
            await right.claim(take_over=take_over)
            yield right
        except Exception as error:
            if is_not_found(error) and await find_collection(engine, right.target) is None:
                raise IndexMovedError from error  # somebody has taken over, and removed the target
            raise
    finally:
        _RUNNING.discard(operation.id)


async def make_target(right: Right, metadata: IndexMetadata) -> None:
    """Make an empty target for an index."""
    if right.operation.purpose in ("new", "copy"):
        await _check_copies(right.engine, metadata.settings)
    want(right.engine, metadata.settings)
    options = collection_options(metadata)
    options["metadata"] = {**options["metadata"], **right.operation.to_metadata()}
    if metadata.settings.shards_by is not None and await right.engine.cluster() is not None:
        options |= {"sharding_method": models.ShardingMethod.CUSTOM, "shard_number": 1}
    await right.engine.create_collection(right.target, **options)
    await make_shards(right, metadata.settings)
    await index_payload(right.engine, right.target, payload_indexes(metadata))


async def make_shards(right: Right, settings: IndexSettings) -> None:
    """Make the shards of tenants that a target lacks. Nothing is written to it before all of them are there."""
    engine = right.engine
    cluster = None if settings.shards_by is None else await engine.cluster()
    if cluster is None:
        return
    shared, own = settings.shards or len(cluster.nodes), list(settings.own_shards)
    if right.operation.purpose == "migrate" and right.operation.source is not None:
        before = await engine.shard_keys(right.operation.source)
        if before is not None:  # there may be more nodes by now, and tenants with shards of their own
            shared, own = before.shared, [*own, *before.own]
    await engine.make_shard_keys(right.target, shared, list(dict.fromkeys(own)))


async def _check_copies(engine: Engine, settings: IndexSettings) -> None:
    """Check that the copies that were chosen can be made and written to, and warn of what would follow from them."""
    warning = settings.check_copies()
    if warning is not None:
        _LOG.warning("%s", warning)
    copies = settings.replicas or 1
    cluster = await engine.cluster() if copies > 1 else None
    nodes = 1 if cluster is None else len(cluster.nodes)
    if copies > nodes:
        _LOG.warning("replicas=%d, but %s: there are no more copies than nodes", copies, _nodes(nodes))


def _nodes(number: int) -> str:
    return "there is one node" if number == 1 else f"there are {number} nodes"


async def revoke(engine: Engine, collection: str, operation: str) -> None:
    """Take the right to switch from an operation, which may have lost it already."""
    # in this order: from the first one on, it can seal nothing any more
    for alias in (right_name(collection, operation), sealed_right_name(collection, operation)):
        gone = models.DeleteAlias(alias_name=alias)
        try:
            await engine.update_collection_aliases([models.DeleteAliasOperation(delete_alias=gone)])
        except Exception as error:
            if not is_not_found(error):
                raise


async def revoke_dead(engine: Engine, collection: str, running: Mapping[str, str]) -> bool:
    """Take the right from operations that are known to be dead, so that no write has to be marked for them.

    Args:
        engine: Engine of the index.
        collection: Name of the index.
        running: Targets of operations that have the right, by the operations' ids.

    Returns:
        Whether there was one.
    """
    found = False
    for operation, target in running.items():
        if is_running_here(operation):
            continue
        info = await find_collection(engine, target)
        made = None if info is None else Operation.of_metadata(info.config.metadata)
        if made is None or not is_running(made, engine):
            await revoke(engine, collection, operation)
            found = True
    return found


def is_running(operation: Operation, engine: Engine) -> bool:
    """Whether an operation may still be at work. On a server, that of another computer may always be."""
    return is_running_here(operation.id) or (engine.is_shared and not _is_dead(operation))


def is_running_here(operation: str) -> bool:
    """Whether the operation of this id is at work in this process."""
    return operation in _RUNNING


def _is_dead(operation: Operation) -> bool:
    """Whether the process of an operation is known to be gone. ``False`` if it is not known."""
    if operation.host != socket.gethostname():
        return False
    if operation.process == os.getpid():
        return operation.id not in _RUNNING
    if sys.platform == "win32":  # no way to ask without harming the process
        return False
    try:
        os.kill(operation.process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

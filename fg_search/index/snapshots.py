"""Snapshots: an index written into one file, and restored from it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from fg_search.edge.folder import LOCK_FILE
from fg_search.engine.address import is_url
from fg_search.engine.answers import is_not_found
from fg_search.engine.connection import is_path
from fg_search.engine.port import Engine
from fg_search.errors import StorageError, UnsupportedError
from fg_search.index.collections import find_collection, make_without_vectors, physical_collection
from fg_search.index.leftovers import remove, remove_leftovers, remove_retired
from fg_search.index.logs import entries_in, remove_entries
from fg_search.index.rights import IndexMovedError, Right, right_to_switch
from fg_search.index.shard_snapshots import (
    check_whole,
    forget_shards,
    has_several_nodes,
    holds_points,
    restore_points,
    save_points,
)
from fg_search.index.state import IndexState
from fg_search.layout.logs import decision_log, query_log
from fg_search.layout.operations import INCOMPLETE_KEY
from fg_search.layout.schema import IndexMetadata
from fg_search.layout.settings import IndexSettings

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_LOG = logging.getLogger(__name__)


def existing_file(file: str | os.PathLike[str]) -> str:
    """Path of a snapshot, checked before a folder is made for its content.

    Raises:
        StorageError: If there is no such file.
    """
    path = os.fspath(file)
    if not Path(path).is_file():
        raise StorageError(f"there is no snapshot {path!r}")
    return path


@contextmanager
def no_folder_left(location: object) -> Iterator[None]:
    """If the block fails, remove the folders that it made in order to open the location.

    Args:
        location: Location of an index; anything but a folder is left alone.
    """
    if not is_path(location) or is_url(os.fspath(location)):
        yield
        return
    folder = Path(location).expanduser().absolute()
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    had_lock = (folder / LOCK_FILE).exists()
    try:
        yield
    except BaseException:
        with suppress(OSError):  # if somebody else uses the folder by now, it is not empty
            if not had_lock and [path.name for path in folder.iterdir()] == [LOCK_FILE]:
                (folder / LOCK_FILE).unlink()
            for path in made:
                path.rmdir()
        raise


async def save(state: IndexState, file: str) -> None:
    """Have the engine make a snapshot, and copy it into a file, or read the points into one."""
    target = Path(file).absolute()
    if target.exists():
        raise FileExistsError(f"there is a file {file!r} already; choose another name or remove it")
    engine = state.engine
    physical = await physical_collection(engine, state.collection)
    is_file = engine.transfers_snapshots and await engine.shard_keys(physical) is None
    if not is_file or await has_several_nodes(engine):
        try:
            await save_points(state, target)
        except OSError as error:
            raise _cannot_write(file, error) from error
        return
    made = await engine.create_snapshot(physical)
    unfinished = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        await engine.fetch_snapshot(physical, made, unfinished)
        unfinished.rename(target)
    except BaseException as error:  # not even an interruption leaves anything behind
        unfinished.unlink(missing_ok=True)
        try:
            await engine.delete_snapshot(physical, made)
        except Exception as another:  # the first error says what is wrong
            _LOG.warning("the snapshot %s of %s was left in the engine: %s", made, physical, another)
        if isinstance(error, OSError):
            raise _cannot_write(file, error) from error
        raise
    await engine.delete_snapshot(physical, made)


def _cannot_write(file: str, error: OSError) -> StorageError:
    return StorageError(f"cannot write the snapshot {file!r}: {error}; check space and permissions")


async def restore(engine: Engine, collection: str, file: str, encoder: FeatureGroupEncoder | None) -> None:
    """Recover a snapshot into a new collection, check that it is an index, and give it the index's name.

    What the logs of an index that had the name hold is removed with it: it is about other items.
    """
    if engine.location == ":memory:":
        raise UnsupportedError(
            "what is restored to ':memory:' is gone at once; give a folder, or QdrantClient(':memory:')"
        )
    while True:
        source = (await engine.get_aliases()).get(collection)
        if source is None and (await find_collection(engine, collection)) is not None:
            if collection in await engine.get_aliases():
                continue  # somebody has just made an index of this name
            raise StorageError(
                f"the name {collection!r} is that of a collection, which nothing can take the place of; "
                "choose another name for the index, or copy that collection first with `fg-search copy`"
            )
        make = partial(_recover, file=Path(file), encoder=encoder)
        try:
            async with right_to_switch(engine, collection, "restore", source, make) as right:
                await remove_retired(engine, collection)
                if source is not None and not await right.seal():
                    continue
                await right.complete()
                # from here on nothing is acknowledged about the old index, and nothing yet about the new one
                logs = (decision_log(collection), query_log(collection))
                outdated = {log: await entries_in(engine, log) for log in logs}
                if not await right.switch():
                    continue
                for log, entries in outdated.items():
                    await remove_entries(engine, log, entries)
                await remove_leftovers(engine, collection, right.never_named)
                return
        except IndexMovedError:
            continue


async def _recover(right: Right, file: Path, encoder: FeatureGroupEncoder | None) -> None:
    engine, target = right.engine, right.target

    def check(metadata: IndexMetadata) -> None:
        if encoder is not None:
            IndexState(engine, right.collection, target, metadata).check_encoder(encoder)

    if not engine.is_embedded and holds_points(file):
        await _restore_points(right, file, check)
        return
    if not engine.transfers_snapshots:
        raise UnsupportedError(
            f"{str(file)!r} was made by a server for servers, and {engine.location} cannot send it; give the URL of a "
            "server as location"
        )
    if engine.is_shared:
        check_whole(file)
    is_recovered = False
    try:
        # says what the target is for, until its own metadata do
        await make_without_vectors(engine, right.changes, IndexSettings(), right.operation.to_metadata())
        await engine.recover_snapshot(target, file)
        is_recovered = True
        info = await engine.get_collection(target)
        metadata = IndexMetadata.of_collection(target, info)
        check(metadata)
        await forget_shards(engine, target, metadata)
        # the snapshot says what was true of the collection that it was made of
        await engine.update_collection(target, metadata={INCOMPLETE_KEY: None, **right.operation.to_metadata()})
        await engine.delete_collection(right.changes)
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:
        await remove(engine, target)
        if is_recovered and is_not_found(error):
            current = (await engine.get_aliases()).get(right.collection)
            if current != right.operation.source:
                raise IndexMovedError from error  # somebody has moved the index meanwhile, and removed the target
        raise


async def _restore_points(right: Right, file: Path, check: Callable[[IndexMetadata], None]) -> None:
    try:
        await restore_points(right, file, check)
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:
        await remove(right.engine, right.target)
        if is_not_found(error):
            raise IndexMovedError from error  # somebody has moved the index meanwhile, and removed the target
        raise

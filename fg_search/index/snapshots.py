"""An index as one file, and back."""

from __future__ import annotations

import logging
import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from fg_search.edge.client import EdgeClient
from fg_search.engine.connection import is_url
from fg_search.engine.operations import Operation, Work, call
from fg_search.engine.snapshot_transfer import download, upload
from fg_search.errors import StorageError, UnsupportedError
from fg_search.index.collections import find_collection, physical_collection, switch_alias
from fg_search.index.state import IndexState, check_fingerprint
from fg_search.layout.schema import IndexMetadata

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

    from fg_search.engine.connection import Client
    from fg_search.model.encoder import FeatureGroupEncoder

_LOG = logging.getLogger(__name__)


def existing_file(file: str | os.PathLike[str]) -> str:
    """The path of a snapshot, looked for before a folder is made for what is in it.

    Raises:
        StorageError: If it is not there.
    """
    path = os.fspath(file)
    if not Path(path).is_file():
        raise StorageError(f"there is no snapshot {path!r}")
    return path


def save(
    client: Client | AsyncQdrantClient | None, state: IndexState, file: str, api_key: str | None
) -> Operation[None]:
    """Have the engine make a snapshot, and bring it into a file."""
    target = Path(file).absolute()
    if target.exists():
        raise FileExistsError(f"there is a file {file!r} already; choose another name or remove it")
    _check_can(client, state.location)
    physical = yield from physical_collection(state.collection)
    made = yield call("create_snapshot", physical)
    unfinished = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        if isinstance(client, EdgeClient):
            yield Work(partial(shutil.copyfile, client.snapshot_path(physical, made.name), unfinished))
        else:
            yield Work(partial(download, state.location, api_key, physical, made.name, unfinished))
        unfinished.rename(target)
    except BaseException as error:  # an interruption, too, leaves nothing behind
        unfinished.unlink(missing_ok=True)
        try:
            yield call("delete_snapshot", physical, made.name)
        except Exception as another:  # the first one says what is wrong
            _LOG.warning("the snapshot %s of %s was left in the engine: %s", made.name, physical, another)
        if isinstance(error, OSError):
            raise StorageError(f"cannot write the snapshot {file!r}: {error}; check space and permissions") from error
        raise
    yield call("delete_snapshot", physical, made.name)


def restore(
    client: Client | AsyncQdrantClient | None,
    location: str,
    collection: str,
    file: str,
    encoder: FeatureGroupEncoder | None,
    api_key: str | None,
) -> Operation[None]:
    """Recover a snapshot into a new collection, make sure that it is an index, and give it the index's name."""
    _check_can(client, location)
    physical = f"{collection}.{uuid4().hex[:16]}"
    try:
        if isinstance(client, EdgeClient):
            yield call("recover_snapshot", physical, Path(file).absolute())
        else:
            yield Work(partial(upload, location, api_key, physical, Path(file)))
        info = yield call("get_collection", physical)
        metadata = IndexMetadata.of_collection(collection, info)
        if encoder is not None:
            check_fingerprint(IndexState(location, collection, metadata), encoder)
        yield from switch_alias(collection, physical)
    except BaseException:
        if (yield from find_collection(physical)) is not None:
            yield call("delete_collection", physical)
        raise


def _check_can(client: object, location: str) -> None:
    if not isinstance(client, EdgeClient) and not is_url(location):
        raise UnsupportedError(
            f"snapshots need a folder or a server's URL as location, not {location}; make them with the client itself"
        )

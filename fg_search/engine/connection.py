"""Connection to an engine, from a location as users write it."""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard
from urllib.parse import urlsplit

from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from fg_search.edge.client import EdgeClient
from fg_search.edge.folder import collection_names
from fg_search.engine.adapter import is_url
from fg_search.engine.asynchronous import AsyncEngine
from fg_search.engine.blocking import BlockingEngine
from fg_search.errors import IndexNotFoundError, StorageError

Location: TypeAlias = str | os.PathLike[str] | QdrantClient | EdgeClient
AsyncLocation: TypeAlias = Location | AsyncQdrantClient

_LOG = logging.getLogger("fg_search.engine")
_TIMEOUT = 60  # seconds; writing a thousand points to all copies takes longer than the default of five


def connect(location: Location, *, api_key: str | None = None, create: bool = True) -> BlockingEngine:
    """Open ``location``.

    Args:
        location: A folder (embedded Qdrant Edge), ``":memory:"``, the URL of a server, or a client.
        api_key: API key of the server.
        create: Whether a folder that does not exist may be made.

    Raises:
        IndexNotFoundError: If the folder does not exist and may not be made.
        FolderLockedError: If the folder is open in another client.
        StorageError: If the server does not answer.
        TypeError: If the location is none of these.
    """
    if not is_path(location):
        return BlockingEngine(_checked_client(location))
    name = os.fspath(location)
    if not is_url(name):
        return BlockingEngine(_open_here(name, create), name)
    with _own_words_on_keys(name, api_key):
        client = QdrantClient(url=name, api_key=api_key, check_compatibility=False, timeout=_TIMEOUT)
    with _connection_errors(name):
        client.get_collections()
    return BlockingEngine(client, name, api_key)


async def connect_async(location: AsyncLocation, *, api_key: str | None = None, create: bool = True) -> AsyncEngine:
    """Open ``location`` like :func:`connect`, but a server through a client whose methods are coroutines."""
    if not is_path(location):
        return AsyncEngine(_checked_client(location))
    name = os.fspath(location)
    if not is_url(name):
        return AsyncEngine(await asyncio.to_thread(_open_here, name, create), name)
    with _own_words_on_keys(name, api_key):
        client = AsyncQdrantClient(url=name, api_key=api_key, check_compatibility=False, timeout=_TIMEOUT)
    with _connection_errors(name):
        await client.get_collections()
    return AsyncEngine(client, name, api_key)


def is_path(location: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether ``location`` is a folder or a URL. Otherwise it is a client, which the caller closes."""
    return isinstance(location, (str, os.PathLike))


def _checked_client(location: Any) -> Any:
    if not hasattr(location, "query_batch_points"):
        raise TypeError(
            f"location must be a folder, ':memory:', a URL or a client with QdrantClient's methods, got {location!r}"
        )
    return location


def _open_here(name: str, create: bool) -> QdrantClient | EdgeClient:
    if name == ":memory:":
        return QdrantClient(":memory:")
    if not create and not Path(name).is_file() and not collection_names(Path(name)):
        raise IndexNotFoundError(
            f"there is no index at {name!r}; make one by giving an encoder: ConfidenceIndex(location, encoder) or "
            "`fg-search index … --encoder FOLDER`"
        )
    return EdgeClient(name)


@contextmanager
def _own_words_on_keys(url: str, api_key: str | None) -> Iterator[None]:
    """Say in one line that an API key is sent in the open; the client's warning has a line of its source instead.

    To this machine itself nobody listens in, and nothing is said.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        yield
    parts = urlsplit(url)
    if api_key is not None and parts.scheme.lower() == "http" and not _is_this_machine(parts.hostname or ""):
        _LOG.warning("the API key is sent unencrypted to %s; use https, or a tunnel", parts.hostname)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@contextmanager
def _connection_errors(url: str) -> Iterator[None]:
    try:
        yield
    except ResponseHandlingException as error:
        raise StorageError(f"no Qdrant server answers at {url}: {error}; is it running?") from error
    except UnexpectedResponse as error:
        raise StorageError(
            f"the server at {url} refused the request: {error}; is it a Qdrant server, and is the API key "
            "(QDRANT_API_KEY) right?"
        ) from error

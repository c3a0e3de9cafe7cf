"""Connection to an engine, from a location as users write it."""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard, TypeVar

from qdrant_client import AsyncQdrantClient, QdrantClient

from fg_search.edge.client import EdgeClient
from fg_search.edge.folder import collection_names
from fg_search.engine.address import GRPC_PORT, Address, addresses_of, is_url
from fg_search.engine.asynchronous import AsyncEngine
from fg_search.engine.blocking import BlockingEngine, drive
from fg_search.engine.nodes import AsyncNodesTransport, Nodes, NodesTransport
from fg_search.engine.retries import chosen_time
from fg_search.errors import IndexNotFoundError

Location: TypeAlias = str | os.PathLike[str] | Sequence[str] | QdrantClient | EdgeClient
AsyncLocation: TypeAlias = Location | AsyncQdrantClient

C = TypeVar("C", QdrantClient, AsyncQdrantClient)

_LOG = logging.getLogger("fg_search.engine")
_TIMEOUT = 60  # seconds; writing a thousand points to all copies takes longer than the default of five
# after a failure a channel of gRPC refuses calls for a while, which grows to two minutes by default
_GRPC_OPTIONS = {"grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 2000}


def connect(
    location: Location,
    *,
    api_key: str | None = None,
    create: bool = True,
    retry_for: float | None = None,
    prefer_grpc: bool = False,
) -> BlockingEngine:
    """Open ``location``.

    Args:
        location: A folder (embedded Qdrant Edge), ``":memory:"``, the URL of a server, those of several nodes of one
            cluster as a list or with commas between them, or a client.
        api_key: API key of the server.
        create: Whether a folder that does not exist may be made.
        retry_for: Seconds for which a server that is busy or out of reach is asked again, by default
            ``FG_SEARCH_RETRY_FOR`` of the environment, or 60.
        prefer_grpc: Ask a server over gRPC, as a URL with the scheme ``grpc`` does.

    Raises:
        IndexNotFoundError: If the folder does not exist and may not be made.
        FolderLockedError: If the folder is open in another client.
        ServerError: If the server does not answer, refuses the API key, is too old, or is none of Qdrant.
        TypeError: If the location is none of these.
        ValueError: If the URL, the API key or the time cannot be used.
    """
    seconds = chosen_time(retry_for)
    location = as_written(location)
    if is_path(location) and not is_url(os.fspath(location)):
        name = os.fspath(location)
        return BlockingEngine(_open_here(name, create), name)
    if is_path(location):
        addresses = addresses_of(os.fspath(location), prefer_grpc=prefer_grpc)
        nodes = Nodes([address.rest for address in addresses]) if len(addresses) > 1 else None
        transport = {} if nodes is None else {"transport": NodesTransport(nodes)}
        client = _client(QdrantClient, addresses, api_key, **transport)
        engine = BlockingEngine(client, _shown(addresses), api_key, seconds, nodes)
    else:
        engine = BlockingEngine(_checked_client(location), retry_for=seconds)
    try:
        drive(engine.check_server())
    except BaseException:
        if is_path(location):
            engine.close()
        raise
    return engine


async def connect_async(
    location: AsyncLocation,
    *,
    api_key: str | None = None,
    create: bool = True,
    retry_for: float | None = None,
    prefer_grpc: bool = False,
) -> AsyncEngine:
    """Open ``location`` like :func:`connect`, but a server through a client whose methods are coroutines."""
    seconds = chosen_time(retry_for)
    location = as_written(location)
    if is_path(location) and not is_url(os.fspath(location)):
        name = os.fspath(location)
        return AsyncEngine(await asyncio.to_thread(_open_here, name, create), name)
    if is_path(location):
        addresses = addresses_of(os.fspath(location), prefer_grpc=prefer_grpc)
        nodes = Nodes([address.rest for address in addresses]) if len(addresses) > 1 else None
        transport = {} if nodes is None else {"transport": AsyncNodesTransport(nodes)}
        client = _client(AsyncQdrantClient, addresses, api_key, **transport)
        engine = AsyncEngine(client, _shown(addresses), api_key, seconds, nodes)
    else:
        engine = AsyncEngine(_checked_client(location), retry_for=seconds)
    try:
        await engine.check_server()
    except BaseException:
        if is_path(location):
            await engine.close()
        raise
    return engine


def is_path(location: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether ``location`` is a folder or a URL. Otherwise it is a client, which the caller closes."""
    return isinstance(location, (str, os.PathLike))


def as_written(location: Any) -> Any:
    """A list of the URLs of nodes as one text; any other location as it is."""
    if isinstance(location, (list, tuple)):
        if not location or not all(isinstance(url, str) for url in location):
            raise TypeError(f"a list as location holds the URLs of nodes, got {location!r}")
        return ",".join(location)
    return location


def _shown(addresses: Sequence[Address]) -> str:
    return ",".join(address.shown for address in addresses)


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


def _client(kind: Callable[..., C], addresses: Sequence[Address], api_key: str | None, **options: Any) -> C:
    """Client of a server, or of several nodes.

    That an API key is sent in the open is said here in one line; the client's warning has a line of its source instead.
    """
    if api_key is not None:
        _check_key(api_key)
        for address in (address for address in addresses if address.is_open):
            _LOG.warning("the API key is sent unencrypted to %s; use https, or a tunnel", address.host)
    address = addresses[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        return kind(
            url=address.rest,
            api_key=api_key,
            check_compatibility=False,
            timeout=_TIMEOUT,
            prefer_grpc=address.grpc_port is not None,
            grpc_port=address.grpc_port or GRPC_PORT,
            grpc_options=dict(_GRPC_OPTIONS),
            **options,
        )


def _check_key(api_key: str) -> None:
    """Refuse an API key that cannot be sent, without telling it.

    Raises:
        ValueError: If it cannot.
    """
    if any(not "!" <= letter <= "~" for letter in api_key):
        raise ValueError(
            "the API key holds a line break, a space or another character that no key has; see whether the variable "
            "or file that it comes from ends with one"
        )

"""From a location as users write it to a client with ``QdrantClient``'s methods."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from fg_search.edge.client import EdgeClient
from fg_search.edge.folder import collection_names
from fg_search.errors import IndexNotFoundError, StorageError

if TYPE_CHECKING:
    from typing import TypeAlias

    Client: TypeAlias = QdrantClient | EdgeClient
    Location: TypeAlias = str | os.PathLike[str] | Client


_TIMEOUT = 60  # seconds; a batch of a thousand points that all copies must have takes more than the usual five


def connect(location: Location, *, api_key: str | None = None, create: bool = True) -> tuple[Client, str]:
    """Open ``location`` and say what to call it.

    Args:
        location: A folder (embedded Qdrant Edge), ``":memory:"``, the URL of a server, or a ready client.
        api_key: For a server.
        create: Whether a folder that is not there yet may be made.

    Returns:
        The client, and the location as text.

    Raises:
        IndexNotFoundError: If the folder is not there and may not be made.
        FolderLockedError: If the folder is open in another client.
        StorageError: If the server does not answer.
        TypeError: If it is none of these.
    """
    if not isinstance(location, (str, os.PathLike)):
        _check_client(location)
        return location, f"{type(location).__name__}"
    name = os.fspath(location)
    if not is_url(name):
        return _open_here(name, create), name
    client = QdrantClient(url=name, api_key=api_key, check_compatibility=False, timeout=_TIMEOUT)
    with _connection_errors(name):
        client.get_collections()
    return client, name


async def connect_async(
    location: Location | AsyncQdrantClient, *, api_key: str | None = None, create: bool = True
) -> tuple[Client | AsyncQdrantClient, str]:
    """As :func:`connect`; a server gets a client whose methods are coroutines."""
    if isinstance(location, AsyncQdrantClient) or not isinstance(location, (str, os.PathLike)):
        _check_client(location)
        return location, f"{type(location).__name__}"
    name = os.fspath(location)
    if not is_url(name):
        return await asyncio.to_thread(_open_here, name, create), name
    client = AsyncQdrantClient(url=name, api_key=api_key, check_compatibility=False, timeout=_TIMEOUT)
    with _connection_errors(name):
        await client.get_collections()
    return client, name


def is_url(location: str) -> bool:
    """Whether ``location`` is a server's address and not a folder."""
    return location.startswith(("http://", "https://"))


def _check_client(location: object) -> None:
    if not hasattr(location, "query_batch_points"):
        raise TypeError(
            f"location must be a folder, ':memory:', a URL or a client with QdrantClient's methods, got {location!r}"
        )


def _open_here(name: str, create: bool) -> Client:
    if name == ":memory:":
        return QdrantClient(":memory:")
    if not create and not Path(name).is_file() and not collection_names(Path(name)):
        raise IndexNotFoundError(
            f"there is no index at {name!r}; make one by giving an encoder: ConfidenceIndex(location, encoder) or "
            "`fg-search index … --encoder FOLDER`"
        )
    return EdgeClient(name)


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

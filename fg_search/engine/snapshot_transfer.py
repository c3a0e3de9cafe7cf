"""Transfer of snapshots between a Qdrant server and local files. ``QdrantClient`` leaves them on the server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import httpx

from fg_search.errors import StorageError

_TIMEOUT = httpx.Timeout(60, read=3600)  # a large collection takes the server a while


def download(url: str, api_key: str | None, collection: str, snapshot: str, file: Path) -> None:
    """Stream a snapshot into a file.

    Raises:
        StorageError: If the server does not send it.
        OSError: If the file cannot be written.
    """
    path = f"/collections/{quote(collection, safe='')}/snapshots/{quote(snapshot, safe='')}"
    with _client(url, api_key) as client:
        try:
            with client.stream("GET", path) as response, file.open("wb") as target:
                response.raise_for_status()
                for part in response.iter_bytes():
                    target.write(part)
        except httpx.HTTPError as error:
            raise StorageError(f"the snapshot {snapshot} cannot be fetched from {url}: {error}") from error


def upload(url: str, api_key: str | None, collection: str, file: Path) -> None:
    """Have a server make a collection from a local snapshot.

    Raises:
        StorageError: If the server refuses it.
        OSError: If the file cannot be read.
    """
    path = f"/collections/{quote(collection, safe='')}/snapshots/upload"
    with _client(url, api_key) as client, file.open("rb") as source:
        try:
            response = client.post(path, params={"priority": "snapshot", "wait": "true"}, files={"snapshot": source})
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise StorageError(f"the server at {url} refused the snapshot {file}: {error.response.text}") from error
        except httpx.HTTPError as error:
            raise StorageError(f"the snapshot {file} cannot be sent to {url}: {error}") from error


def _client(url: str, api_key: str | None) -> httpx.Client:
    headers = {} if api_key is None else {"api-key": api_key}
    return httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT)

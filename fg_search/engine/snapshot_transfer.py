"""Transfer of snapshots between a Qdrant server and local files. ``QdrantClient`` leaves them on the server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import httpx
from qdrant_client.http.exceptions import UnexpectedResponse

_TIMEOUT = httpx.Timeout(60, read=3600)  # a large collection takes the server a while


def download(url: str, api_key: str | None, collection: str, snapshot: str, file: Path) -> None:
    """Stream a snapshot into a file.

    Raises:
        httpx.HTTPError: If the server cannot be reached, or the transfer breaks off.
        UnexpectedResponse: If the server does not send it.
        OSError: If the file cannot be written.
    """
    path = f"/collections/{quote(collection, safe='')}/snapshots/{quote(snapshot, safe='')}"
    with _client(url, api_key) as client, client.stream("GET", path) as response:
        _check(response)
        with file.open("wb") as target:
            for part in response.iter_bytes():
                target.write(part)


def upload(url: str, api_key: str | None, collection: str, file: Path) -> None:
    """Have a server make a collection from a local snapshot.

    Raises:
        httpx.HTTPError: If the server cannot be reached, or the transfer breaks off.
        UnexpectedResponse: If the server refuses it.
        OSError: If the file cannot be read.
    """
    path = f"/collections/{quote(collection, safe='')}/snapshots/upload"
    with _client(url, api_key) as client, file.open("rb") as source:
        _check(client.post(path, params={"priority": "snapshot", "wait": "true"}, files={"snapshot": source}))


def _check(response: httpx.Response) -> None:
    if response.is_error:
        response.read()
        raise UnexpectedResponse.for_response(response)


def _client(url: str, api_key: str | None) -> httpx.Client:
    headers = {} if api_key is None else {"api-key": api_key}
    return httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT)

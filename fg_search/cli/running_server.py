"""A running ``fg-search serve``: it says in the folder of its index where it is, so that ``fg-search search`` asks it.

A folder is open in one process at a time, and loading a model takes seconds; the server has both. What it says is for
its own user to read, is believed only while the server holds a lock beside it, and goes when the server ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fg_search.errors import FgSearchError, FolderLockedError
from fg_search.index.search_results import Hit, LabelChoice, SearchResult

FILE, LOCK = ".serving.json", ".serving.lock"

_TIMEOUT = 60.0  # seconds
_ENDED = 128 + signal.SIGTERM  # exit code


@dataclass(frozen=True)
class RunningServer:
    """Where the server of an index is.

    Attributes:
        address: Its URL on this machine.
        collection: Name of the index that it serves.
        tenant: Tenant that it serves.
        token: What one must know, ``None`` if nothing.
    """

    address: str
    collection: str
    tenant: str | None
    token: str | None = field(repr=False)

    @classmethod
    def of(cls, location: str) -> RunningServer | None:
        """The server that has the index in a folder open. ``None`` if there is none, or it is no folder."""
        folder = Path(location).expanduser()
        if "://" in location or not (folder / FILE).is_file() or not _is_locked(folder / LOCK):
            return None
        try:
            return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None  # it has just ended
        except PermissionError:
            raise FgSearchError(
                f"{folder} is open in a `fg-search serve` of another user, who alone may ask it here"
            ) from None
        except (TypeError, ValueError):
            raise FgSearchError(
                f"{folder} is open in a `fg-search serve` of another release of fg_search, which cannot be asked; stop "
                "it, and start it with this release"
            ) from None

    def check(self, collection: str, tenant: str | None, refused: Sequence[str]) -> None:
        """Make sure that the server can do what is asked.

        Args:
            collection: Name of the index.
            tenant: Its tenant.
            refused: Options that were given and are none of the server's.

        Raises:
            FgSearchError: If it cannot.
        """
        here = f"`fg-search serve` at {self.address} has the folder open"
        if refused:
            raise FgSearchError(f"{here} and cannot do {', '.join(refused)}: leave it out, or stop the server first")
        if (collection, tenant) != (self.collection, self.tenant):
            served = self.collection if self.tenant is None else f"{self.collection}, tenant {self.tenant}"
            raise FgSearchError(f"{here} for the index {served}, not for another one: stop the server first")

    def search(self, query: str | Sequence[str], options: Mapping[str, Any]) -> tuple[SearchResult, list[str]]:
        """The result of a search, and what is to be told about its conditions.

        Args:
            query: Text, or several phrasings.
            options: Options of the API.

        Raises:
            FgSearchError: If the server does not answer, or refuses.
        """
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = HTTPConnection(urlsplit(self.address).netloc, timeout=_TIMEOUT)
        try:
            connection.request("POST", "/api/search", json.dumps({"query": query, **options}), headers)
            response = connection.getresponse()
            body = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise FgSearchError(f"`fg-search serve` at {self.address} does not answer: {error}; stop it") from error
        finally:
            connection.close()
        if response.status != 200:
            raise FgSearchError(body["error"])
        return _result(body), body["warnings"]


def who_has_it_open(error: Exception) -> str | None:
    """What to say in place of an error: that a server has the folder open; ``None`` if none has."""
    if not isinstance(error, FolderLockedError) or error.folder is None:
        return None
    try:
        server = RunningServer.of(str(error.folder))
    except FgSearchError as other:
        return str(other)
    if server is None:
        return None
    return f"`fg-search serve` has {error.folder} open at {server.address}; do it on its page, or stop it first"


@contextmanager
def announced(location: str, server: RunningServer) -> Iterator[None]:
    """Say in the folder of an index where its server is, for as long as the block runs. A URL has no folder."""
    if "://" in location:
        yield
        return
    import portalocker

    folder = Path(location).expanduser()
    with (folder / LOCK).open("a") as lock, _ended_in_order():
        portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE)
        _write_private(folder / FILE, json.dumps(asdict(server)))
        try:
            yield
        finally:
            (folder / FILE).unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, nor its owner before it is whole."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)  # of a server that was killed
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let a process that is asked to end do so as after Ctrl-C, by leaving its blocks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_locked(path: Path) -> bool:
    """Whether a server holds the lock. Whoever asks needs to read alone, and never keeps others from asking."""
    import portalocker

    with suppress(FileNotFoundError), path.open() as lock:
        try:
            portalocker.lock(lock, portalocker.LockFlags.SHARED | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.exceptions.LockException:
            return True
    return False


def _result(body: dict[str, Any]) -> SearchResult:
    values = {name: value for name, value in body.items() if name != "warnings"}
    choices = [LabelChoice(**{**one, "example": _hit(one["example"])}) for one in body["choices"]]
    nearest = None if body["nearest"] is None else _hit(body["nearest"])
    evidence = None if body["evidence"] is None else tuple(body["evidence"])
    hits = tuple(map(_hit, body["hits"]))
    return SearchResult(**{**values, "hits": hits, "choices": tuple(choices), "nearest": nearest, "evidence": evidence})


def _hit(body: Mapping[str, Any]) -> Hit:
    values = {name: value for name, value in body.items() if name != "weighted_score"}
    return Hit(**{**values, "agreement": tuple(body["agreement"])})

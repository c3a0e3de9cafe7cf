"""Calls of a client: made again while a server is busy, and in parts where a server takes no more at once."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.async_qdrant_remote import AsyncQdrantRemote
from qdrant_client.local.async_qdrant_local import AsyncQdrantLocal
from qdrant_client.local.qdrant_local import QdrantLocal
from qdrant_client.qdrant_remote import QdrantRemote

from fg_search.edge.client import EdgeClient
from fg_search.engine.answers import TOO_LARGE, Answer, answer_of
from fg_search.engine.consistency import AS_THEY_ARE, Consistency, Options, Ordering
from fg_search.engine.limits import LARGEST_REQUEST, Limits, Part, fitting, lower_size
from fg_search.engine.nodes import Nodes
from fg_search.engine.retries import RETRY_FOR, Asked, Attempts
from fg_search.engine.shard_keys import ShardKeys
from fg_search.errors import ServerError

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


class Calls(ABC):
    """Calls of a client's methods.

    If a response is lost, nobody knows whether the call was carried out. :meth:`_repeat` is for idempotent calls, which
    may then be made again. :meth:`_settle` is for calls that would fail a second time, and finds out.

    Args:
        client: A client with ``QdrantClient``'s methods.
        location: Folder or URL. By default it is the class of the client.
        api_key: API key of the server.
        retry_for: Seconds after the first failure of a call in which a server is asked again.
        nodes: Nodes that requests go to, if there are several.
    """

    def __init__(
        self,
        client: QdrantClient | EdgeClient | AsyncQdrantClient,
        location: str | None = None,
        api_key: str | None = None,
        retry_for: float = RETRY_FOR,
        nodes: Nodes | None = None,
    ) -> None:
        self.client = client
        # all clients have these methods; for the type checker, the signatures are QdrantClient's
        self._methods = cast("QdrantClient", client)
        behind = getattr(client, "_client", None)
        self._remote: Any = behind if isinstance(behind, (QdrantRemote, AsyncQdrantRemote)) else None
        # held while the client is used; qdrant-client's local mode is not made for several threads at once
        self._turn: AbstractContextManager[Any] = nullcontext()
        if isinstance(client, QdrantClient) and isinstance(behind, QdrantLocal):
            self._turn = client.__dict__.setdefault("_fg_search_lock", threading.Lock())
        self._location = type(client).__name__ if location is None else location
        self._api_key = api_key
        url = self._location if location is not None or self._remote is None else self._remote.rest_uri
        self._asked = Asked(url, retry_for, api_key)
        self._nodes = nodes
        self._process = os.getpid()
        self._limits: dict[str, Limits] = {}
        self._copies: dict[str, int] = {}  # of each shard, by collection
        self._ordering: Ordering | None = None
        self._consistency: Consistency | None = None
        self._shards_by: str | None = None  # payload key of the tenant, where shards have keys
        self._keys: dict[str, ShardKeys | None] = {}  # by collection
        self._largest: int | None = None if self._remote is None else LARGEST_REQUEST
        self._writes_text = self._remote is not None and not self._remote._prefer_grpc
        self._writable: set[str] = set()  # collections that the API key may write to, as far as is known

    @property
    def location(self) -> str:
        """Folder, URL, or class of the client."""
        return self._location

    @property
    def is_embedded(self) -> bool:
        """Whether this is the embedded engine: one shard, and hits of equal scores in the order of their ids."""
        return isinstance(self.client, EdgeClient)

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use the same collections at the same time."""
        behind = getattr(self.client, "_client", None)
        return not isinstance(self.client, EdgeClient) and not isinstance(behind, (QdrantLocal, AsyncQdrantLocal))

    @property
    def was_forked(self) -> bool:
        """Whether this process is a child of the one that opened the client, which it shares with its parent."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Refuse to go on in a forked child, which lacks the threads and shares the connections of its parent.

        Raises:
            RuntimeError: If this is one.
        """
        if self.was_forked:
            raise RuntimeError(
                f"this index at {self._location!r} was opened before the process was forked, and cannot be used in the "
                "child: open it there, after the fork; a folder can be open in one process at a time, a server in many"
            )

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    async def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the client."""

    async def _repeat(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the client, and repeat the call while a server is busy or out of reach."""
        self.check_process()
        try:
            return await self._call(method, *args, **kwargs)
        except Exception as error:
            attempts = self._attempts(method)
            pause = attempts.pause_after(error)
        while True:
            await self.pause(pause)
            try:
                return await self._call(method, *args, **kwargs)
            except Exception as error:
                pause = attempts.pause_after(error)

    async def _repeat_with(self, options: Options, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the client like :meth:`_repeat`, with less demanding options where copies are missing."""
        if options == AS_THEY_ARE:
            return await self._repeat(method, *args, **kwargs)
        self.check_process()
        call: Any = method
        attempts, left = self._attempts(method), list(options)
        while True:
            try:
                return cast("T", await self._call(call, *args, **kwargs, **left[0]))
            except Exception as error:
                answer = answer_of(error)
                if answer is not None and answer.lacks_copies and len(left) > 1:
                    del left[0]
                    continue
                pause = attempts.pause_after(error)
            await self.pause(pause)

    async def _settle(
        self, is_done: Callable[[Exception], Awaitable[bool]], method: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Call a method of the client, and repeat the call until it is known to be done.

        Args:
            is_done: Whether the error of a repeated call says that the call before took effect.
            method: The method.
            args: Its arguments.
            kwargs: Its arguments.
        """
        self.check_process()
        attempts = self._attempts(method)
        while True:
            try:
                await self._call(method, *args, **kwargs)
            except Exception as error:
                if attempts.may_be_done and await is_done(error):
                    return
                pause = attempts.pause_after(error)
            else:
                return
            await self.pause(pause)

    def _attempts(self, method: Callable[..., Any]) -> Attempts:
        return Attempts(self._asked, getattr(method, "__name__", "a request"))

    # --- in parts -----------------------------------------------------------------------------------------

    async def _in_parts(
        self,
        collection: str,
        part: Part,
        items: Sequence[S],
        send: Callable[[Sequence[S]], Awaitable[T]],
        sizes: Callable[[Sequence[S]], list[int]] | None = None,
    ) -> list[T]:
        """Send items in as few requests as a collection takes, and return what each request returned.

        Args:
            collection: The collection.
            part: What the items are.
            items: The items. If there are none, one request is sent nevertheless.
            send: Sends one request.
            sizes: Bytes that each item takes in a request, if they matter.
        """
        results = []
        bytes_of = sizes(items) if sizes is not None and self._largest is not None else None
        start = 0
        while True:
            most = self._limits_of(collection).most(part)
            count = len(items) - start
            if bytes_of is not None and self._largest is not None:
                count = fitting(bytes_of[start:], most, self._largest) if count else 0
            elif most is not None:
                count = min(count, most)
            try:
                results.append(await send(items if count == len(items) else items[start : start + count]))
            except ServerError as error:
                answer = answer_of(error.__cause__) if error.__cause__ is not None else None
                if answer is None or not answer.is_too_large or count <= 1:
                    raise
                if answer.status == TOO_LARGE and sizes is not None:
                    bytes_of = bytes_of or sizes(items)
                    self._largest = lower_size(answer, sum(bytes_of[start : start + count]))
                else:
                    self._lower(collection, part, answer, count)
                continue
            start += count
            if start >= len(items):
                return results

    async def _within_hits(self, collection: str, ask: Callable[[int | None], Awaitable[T]]) -> T:
        """Ask with as many hits at once as a collection allows.

        Args:
            collection: The collection.
            ask: Asks with no more hits a request than it is told.
        """
        while True:
            known = self._limits_of(collection)
            try:
                return await ask(known.hits)
            except ServerError as error:
                answer = answer_of(error.__cause__) if error.__cause__ is not None else None
                allowed = None if answer is None else answer.most_hits
                if allowed is None or (known.hits is not None and allowed >= known.hits):
                    raise
                self._limits[collection] = replace(known, hits=allowed)

    def _limits_of(self, collection: str) -> Limits:
        return self._limits.get(collection, _NO_LIMITS)

    def _lower(self, collection: str, part: Part, answer: Answer, sent: int) -> None:
        self._limits[collection] = self._limits_of(collection).lower(part, answer, sent)


_NO_LIMITS = Limits()

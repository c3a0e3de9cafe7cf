"""Connections of the page's server: each one has a limited time for its request, and idle ones make room for new ones.

uvicorn closes a connection that is idle after a response, but waits for ever for the first request, for the rest of a
request, and for a client that does not read. A few hundred such connections would keep all others out.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # for the head of a request, from the opening of the connection or from the last response on
BODY_SECONDS = 20.0  # for the rest of a request
READ_SECONDS = 20.0  # for a client to read some of what is ready for it

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Room:
    """The connections of one server.

    Attributes:
        most: Number of connections that are kept open.
        idle: Connections whose request has not arrived as a whole, the longest waiting first.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.idle: dict[PatientProtocol, None] = {}


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with a time limit for every wait on the client. Use :func:`protocol_with_room`."""

    room: ClassVar[Room]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._awaited: tuple[object, str] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._unread = 0
        self._read_at = 0.0
        self._reading_clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for a request; if there are too many connections, give up the one that waits longest."""
        super().connection_made(cast("asyncio.Transport", transport))
        if len(self.connections) > self.room.most:
            longest = next(iter(self.room.idle), None)
            if longest is None:  # all others are being answered
                self.transport.write(_BUSY)
                self.transport.close()
            else:
                longest.give_up()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for clock in (self._clock, self._reading_clock):
            if clock is not None:
                clock.cancel()
        self.room.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        if self._reading_clock is not None:
            self._reading_clock.cancel()

    def give_up(self) -> None:
        """Close the connection at once."""
        self.room.idle.pop(self, None)
        self.transport.abort()

    def _watch(self) -> None:
        """Start the clock anew if something else is awaited than before, so that single bytes win no time."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            awaited, seconds = (cycle, "head"), HEAD_SECONDS
        elif cycle.more_body:
            awaited, seconds = (cycle, "body"), BODY_SECONDS
        else:
            awaited, seconds = None, 0.0
        if self.transport is None or awaited == self._awaited:
            return
        self._awaited = awaited
        self.room.idle.pop(self, None)
        if self._clock is not None:
            self._clock.cancel()
        if awaited is not None:
            self.room.idle[self] = None
            self._clock = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        if self._is_being_read():  # a long response, which is over for uvicorn as soon as it is in the buffer
            self._clock = self.loop.call_later(READ_SECONDS, self._too_late)
        else:
            self.give_up()

    def _wait_for_reader(self) -> None:
        self._reading_clock = self.loop.call_later(READ_SECONDS, self._check_reader)

    def _check_reader(self) -> None:
        if self._is_being_read():
            self._wait_for_reader()
        else:
            self.give_up()

    def _is_being_read(self) -> bool:
        """Whether something is left to read, and the client has read some of it lately."""
        left, now = self.transport.get_write_buffer_size(), self.loop.time()
        if left != self._unread:
            self._unread, self._read_at = left, now
        return left > 0 and now - self._read_at < READ_SECONDS


def protocol_with_room(most: int) -> type[PatientProtocol]:
    """The protocol for one server that keeps up to ``most`` connections open."""

    class Protocol(PatientProtocol):
        room = Room(most)

    return Protocol


def most_connections() -> int:
    """How many connections may be open: a quarter of the files that the process may open, and 1,024 at most."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 512
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1024 if files < 0 else max(16, min(1024, files // 4))

"""A real server in a thread, and real sockets."""

import json
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from fg_search.web import connections
from fg_search.web.app import create_app
from fg_search.web.server import server

HEAD = b"GET /login HTTP/1.1\r\nHost: localhost\r\n"


@contextmanager
def serving(app):
    """The address of a server for an application."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = server(app)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            running.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


async def small(scope, receive, send):
    """An application that reads the body and says how long it was."""
    if scope["type"] != "http":
        return
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message["body"]), message["more_body"]
    text = b"x" * 20_000_000 if scope["path"] == "/long" else str(length).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


def ask(address, request, timeout=30):
    """The status line of the response to a request on a new connection."""
    with socket.create_connection(address, timeout) as connection:
        connection.sendall(request)
        return connection.recv(65536).split(b"\r\n")[0]


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def is_ended(connection, more):
    """Whether the server has closed a connection; a little more is sent to it if not."""
    try:
        connection.sendall(more)
        return connection.recv(65536) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def searching(text, path="/api/search"):
    body = json.dumps({"query": text}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def impatient(monkeypatch):
    """Time limits that a test can wait for."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(connections, name, 0.7)


def test_many_searches_at_once_are_all_answered(common):
    with serving(create_app(common)) as address, ThreadPoolExecutor(200) as users:
        answers = list(users.map(lambda i: ask(address, searching(f"my card {i}")), range(200)))
    assert answers == [b"HTTP/1.1 200 OK"] * 200


def test_idle_connections_keep_nobody_out(common):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(1000, (soft - 200) // 2)  # each has a file at both ends, and both ends are here
    with serving(create_app(common)) as address, ExitStack() as idle:
        for _ in range(wanted):
            idle.enter_context(socket.create_connection(address, 30))
        with ThreadPoolExecutor(20) as users:
            answers = list(users.map(lambda i: ask(address, searching(f"my card {i}")), range(20)))
    assert answers == [b"HTTP/1.1 200 OK"] * 20


def test_the_connection_that_waits_longest_makes_room(monkeypatch):
    monkeypatch.setattr("fg_search.web.server.most_connections", lambda: 20)
    with serving(small) as address, ExitStack() as opened:
        idle = [opened.enter_context(socket.create_connection(address, 5)) for _ in range(19)]
        busy = opened.enter_context(socket.create_connection(address, 5))
        busy.sendall(HEAD + b"Content-Length: 4\r\n\r\nab")
        assert ask(address, HEAD + b"\r\n") == b"HTTP/1.1 200 OK"
        assert is_closed(idle[0])
        busy.sendall(b"cd")
        with busy.makefile("rb") as response:
            lines = [response.readline().strip() for _ in range(4)]
            assert lines[0] == b"HTTP/1.1 200 OK"
            assert response.read(1) == b"4"
        idle[-1].sendall(HEAD + b"\r\n")
        assert idle[-1].recv(1000).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"", b""),
        (HEAD, b"X: y\r\n"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"a"),
        (HEAD + b"\r\n", b""),
        (HEAD + b"\r\n", b"G"),
    ],
    ids=["nothing", "head", "body", "after a response", "second head"],
)
def test_whoever_is_slow_is_not_waited_for(impatient, beginning, more):
    with serving(small) as address, socket.create_connection(address, 5) as connection:
        connection.sendall(beginning)
        connection.settimeout(0.1)
        started = time.monotonic()
        while not is_ended(connection, more):
            assert time.monotonic() - started < 3


def test_a_client_that_does_not_read_is_not_waited_for(impatient):
    with serving(small) as address, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(5)
        connection.connect(address)
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(2)
        received = 0
        with pytest.raises((ConnectionError, AssertionError)):  # noqa: PT012
            while part := connection.recv(1 << 20):
                received += len(part)
            assert received > 20_000_000
        assert received < 20_000_000


def test_a_long_response_may_take_its_time(impatient):
    with serving(small) as address, socket.create_connection(address, 5) as connection:
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received, started = 0, time.monotonic()
        while part := connection.recv(1 << 20):
            received += len(part)
            time.sleep(0.1)
        assert received > 20_000_000
        assert time.monotonic() - started > 1


@pytest.mark.parametrize(("files", "most"), [(256, 64), (1024, 256), (1 << 20, 1024), (-1, 1024), (20, 16)])
def test_connections_leave_files_for_the_index(monkeypatch, files, most):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert connections.most_connections() == most

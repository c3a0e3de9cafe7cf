"""A pytest plugin: an HTTP server that speaks as much of Qdrant's REST API as an index needs, and fails as it is told.

Its collections are those of a local client in memory.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

Answer = tuple[int, dict[str, str], bytes]


class FakeServer:
    """Answers requests, after the failures that were ordered.

    Attributes:
        client: Keeps the collections.
        version: Release that it says it is.
        keys: API keys that it knows, with whether each may write; ``None`` if it wants none.
        largest: Bytes of the largest request that it takes.
        strict: Strict mode of its collections.
        capacity: Points of the largest write that its rate limit ever lets through.
        requests: Method and path of each request, in order.
        bodies: Of each request.
        headers: Of each request.
        snapshots: Files by path: those to be downloaded, and those that were uploaded.
    """

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.version = "1.18.1"
        self.keys: dict[str, bool] | None = None
        self.largest = 32 * 2**20
        self.strict: dict[str, Any] = {}
        self.capacity: int | None = None
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.snapshots: dict[str, bytes] = {}
        self._failures: deque[tuple[str, Callable[[Handler], Answer | None], bool]] = deque()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        server = self

        class Bound(Handler):
            fake = server

        self._server = _Server(("127.0.0.1", self._port), Bound)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def fail(
        self, pattern: str, *answers: int | tuple[int, dict[str, str]] | Callable[[Handler], None], after: bool = False
    ) -> None:
        """Have the next requests that match fail, one after the other.

        Args:
            pattern: Regular expression for method and path.
            answers: Status; status and headers; or what to do with the connection instead of an answer.
            after: Whether the request is carried out first, so that only its answer is lost.
        """
        for answer in answers:
            self._failures.append((pattern, _failure(answer), after))

    def forget_failures(self) -> None:
        """Answer from now on."""
        self._failures.clear()

    def counted(self, pattern: str) -> int:
        """Number of requests that match."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)

    def answer(self, handler: Handler, body: bytes) -> Answer | None:
        with self._lock:
            request = f"{handler.command} {handler.path.split('?')[0]}"
            self.requests.append(request)
            self.bodies.append(body)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            for failure in self._failures:
                if re.search(failure[0], request):
                    self._failures.remove(failure)
                    if failure[2]:
                        self._carry_out(request, body)
                    break
            else:
                return self.refusal(handler, body) or self._carry_out(request, body)
        return failure[1](handler)

    def refusal(self, handler: Handler, body: bytes) -> Answer | None:
        """Answer of a server that does not get as far as looking at its collections."""
        request = f"{handler.command} {handler.path.split('?')[0]}"
        if self.keys is not None and request != "GET /":
            key = handler.headers.get("api-key")
            if key not in self.keys:
                return 401, {}, b"Invalid API key or JWT"
            is_write = handler.command in ("PUT", "PATCH", "DELETE") or re.search("delete|payload|batch$", request)
            if is_write and "query" not in request and not self.keys[key]:
                return 403, {}, _said("Forbidden: Global access is required")
        if len(body) > self.largest:
            return (
                400,
                {},
                _said(f"JSON payload ({len(body)} bytes) is larger than allowed (limit: {self.largest} bytes)."),
            )
        wrong = self._strict_refusal(request, json.loads(body) if body[:1] == b"{" else {})
        if wrong is not None:
            return 400, {}, _said(f"Bad request: {wrong}. Help: Reduce it.")
        points = json.loads(body).get("points", []) if re.search("PUT .*/points$", request) else []
        if self.capacity is not None and len(points) > self.capacity:
            problem = (
                "Write rate limit exceeded, request larger than rate limiter capacity, please try to split your request"
            )
            return 429, {}, _said(f"Rate limiting exceeded: {problem}")
        return None

    def _strict_refusal(self, request: str, data: dict[str, Any]) -> str | None:
        searches = data.get("searches", [data])
        limits = [one.get("limit", 0) for query in searches for one in (query, *_prefetches(query))]
        for name, value, setting in (
            ("upsert limit", len(data.get("points", [])) if request.endswith("/points") else 0, "upsert_max_batchsize"),
            ("search batch size", len(searches), "search_max_batchsize"),
            ("limit", max(limits, default=0), "max_query_limit"),
        ):
            most = self.strict.get(setting)
            if most is not None and value > most:
                return f'Limit exceeded {value} > {most} for "{name}"'
        return None

    def _carry_out(self, request: str, body: bytes) -> Answer:
        if request == "GET /":
            return 200, {}, json.dumps({"title": "qdrant - vector search engine", "version": self.version}).encode()
        if "/snapshots/" in request and not request.endswith("/snapshots/"):
            return self._snapshot(request, body)
        for pattern, method in _ROUTES.items():
            match = re.fullmatch(pattern, request)
            if match:
                data = json.loads(body) if body else {}
                try:
                    result = _plain(method(self.client, *match.groups(), data))
                except ValueError as error:
                    known = (404 for words in ("not found", "doesn't exist") if words in str(error))
                    status = 409 if "already exists" in str(error) else next(known, 400)
                    return status, {}, _said(str(error))
                if re.match("GET /collections/[^/]+$", request) and self.strict:
                    result["config"]["strict_mode_config"] = {"enabled": True, **self.strict}
                return 200, {}, json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
        return 501, {}, json.dumps({"status": {"error": f"this server does not know {request}"}}).encode()

    def _snapshot(self, request: str, body: bytes) -> Answer:
        method, path = request.split(" ")
        if method == "POST":
            self.snapshots[path] = body
            return 200, {}, b'{"result": true, "status": "ok", "time": 0.0}'
        if path not in self.snapshots:
            return 404, {}, b'{"status": {"error": "Not found: no such snapshot"}}'
        return 200, {}, self.snapshots[path]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that gave up is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*_)


class Handler(BaseHTTPRequestHandler):
    fake: FakeServer
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self._body()
        answer = self.fake.answer(self, body)
        if answer is None:
            self.close_connection = True
            return
        status, headers, content = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _handle  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


def hang_up(handler: Handler) -> None:
    """Close the connection without an answer."""


def never_answer(handler: Handler) -> None:
    """Keep the connection open until the test is over."""
    threading.Event().wait(60)


def web_page(handler: Handler) -> Answer:
    """What a web server says."""
    return 200, {"Content-Type": "text/html"}, b"<!doctype html><html><body>It works!</body></html>"


def other_json(handler: Handler) -> Answer:
    """What another database says."""
    return 200, {}, b'{"name": "node-1", "version": {"number": "8.1"}, "tagline": "You Know, for Search"}'


def _said(error: str) -> bytes:
    return json.dumps({"status": {"error": error}, "time": 0.0}).encode()


def _prefetches(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = query.get("prefetch") or []
    for one in found if isinstance(found, list) else [found]:
        yield one
        yield from _prefetches(one)


def _failure(answer: Any) -> Callable[[Handler], Answer | None]:
    if callable(answer):
        return answer
    status, headers = answer if isinstance(answer, tuple) else (answer, {})
    content = _said(f"told to answer {status}")
    return lambda _: (status, headers, content)


def _parsed(kind: Any, data: Any) -> Any:
    return TypeAdapter(kind).validate_python(data)


def _create(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    config = models.CreateCollection(**data)
    return client.create_collection(
        name, vectors_config=config.vectors, sparse_vectors_config=config.sparse_vectors, metadata=config.metadata
    )


def _aliases(client: QdrantClient, data: dict[str, Any]) -> Any:
    return client.update_collection_aliases(
        [_parsed(models.AliasOperations, operation) for operation in data["actions"]]
    )


def _index(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return {"operation_id": 0, "status": "completed"}  # the local client warns that it has none


def _delete(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.delete(name, _parsed(models.PointsSelector, data))


def _scroll(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    asked = models.ScrollRequest(**data)
    records, following = client.scroll(
        name,
        scroll_filter=asked.filter,
        limit=asked.limit or 10,
        order_by=asked.order_by,
        offset=asked.offset,
        with_payload=asked.with_payload,
        with_vectors=asked.with_vector or False,
    )
    return models.ScrollResult(points=records, next_page_offset=following)


def _set_payload(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.set_payload(name, data["payload"], points=data["points"], key=data.get("key"))


def _delete_payload(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.delete_payload(name, data["keys"], points=data["points"])


def _retrieve(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    request = models.PointRequest(**data)
    return client.retrieve(
        name, request.ids, with_payload=request.with_payload, with_vectors=request.with_vector or False
    )


def _count(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.count(name, models.CountRequest(**data).filter, exact=True)


def _upsert(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    asked = models.PointsList(**data)
    return client.upsert(name, asked.points, update_filter=asked.update_filter, update_mode=asked.update_mode)


def _update_batch(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.batch_update_points(name, models.UpdateOperations(**data).operations)


def _query_batch(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.query_batch_points(name, models.QueryRequestBatch(**data).searches)


def _facet(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    asked = models.FacetRequest(**data)
    return client.facet(name, asked.key, facet_filter=asked.filter, limit=asked.limit, exact=True)


_ROUTES: dict[str, Callable[..., Any]] = {
    r"GET /collections": lambda client, _: client.get_collections(),
    r"GET /aliases": lambda client, _: client.get_aliases(),
    r"POST /collections/aliases": _aliases,
    r"GET /collections/([^/]+)": lambda client, name, _: client.get_collection(name),
    r"PUT /collections/([^/]+)": _create,
    r"PATCH /collections/([^/]+)": lambda client, name, data: client.update_collection(name, metadata=data["metadata"]),
    r"DELETE /collections/([^/]+)": lambda client, name, _: client.delete_collection(name),
    r"PUT /collections/([^/]+)/index": _index,
    r"PUT /collections/([^/]+)/points": _upsert,
    r"POST /collections/([^/]+)/points": _retrieve,
    r"POST /collections/([^/]+)/points/scroll": _scroll,
    r"POST /collections/([^/]+)/points/delete": _delete,
    r"POST /collections/([^/]+)/points/payload": _set_payload,
    r"POST /collections/([^/]+)/points/payload/delete": _delete_payload,
    r"POST /collections/([^/]+)/points/count": _count,
    r"POST /collections/([^/]+)/points/batch": _update_batch,
    r"POST /collections/([^/]+)/points/query/batch": _query_batch,
    r"POST /collections/([^/]+)/facet": _facet,
    r"POST /collections/([^/]+)/snapshots": lambda client, name, _: {"name": f"{name}.snapshot", "size": 1},
}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return [_plain(one) for one in value] if isinstance(value, list) else value


class Clock:
    """Time that passes only while somebody waits before asking again.

    Attributes:
        pauses: Seconds of each pause.
        now: Seconds that have passed.
    """

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.now = 1000.0

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Nobody really waits for a server."""
    from fg_search.engine.asynchronous import AsyncEngine
    from fg_search.engine.blocking import BlockingEngine

    clock = Clock()

    async def pause(_: Any, seconds: float) -> None:
        clock.wait(seconds)

    for engine in (BlockingEngine, AsyncEngine):
        monkeypatch.setattr(engine, "pause", pause)
    passing = SimpleNamespace(**{**vars(time), "monotonic": lambda: clock.now})
    monkeypatch.setattr("fg_search.engine.retries.time", passing)
    return clock


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A server of one's own for each test."""
    server = FakeServer()
    yield server
    server.stop()

"""A pytest plugin: an HTTP server that speaks as much of Qdrant's REST API as an index needs, and fails as it is told.

Its collections are those of a local client in memory.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

Answer = tuple[int, dict[str, str], bytes]


class FakeServer:
    """Answers requests, after the failures that were ordered.

    Attributes:
        client: Keeps the collections.
        requests: Method and path of each request, in order.
        bodies: Of each request.
        headers: Of each request.
        snapshots: Files by path: those to be downloaded, and those that were uploaded.
    """

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
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
                return self._carry_out(request, body)
        return failure[1](handler)

    def _carry_out(self, request: str, body: bytes) -> Answer:
        if "/snapshots/" in request and not request.endswith("/snapshots/"):
            return self._snapshot(request, body)
        for pattern, method in _ROUTES.items():
            match = re.fullmatch(pattern, request)
            if match:
                data = json.loads(body) if body else {}
                try:
                    result = _plain(method(self.client, *match.groups(), data))
                except ValueError as error:
                    status = 404 if "not found" in str(error) else 400
                    return status, {}, json.dumps({"status": {"error": str(error)}}).encode()
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


def _failure(answer: Any) -> Callable[[Handler], Answer | None]:
    if callable(answer):
        return answer
    status, headers = answer if isinstance(answer, tuple) else (answer, {})
    content = json.dumps({"status": {"error": f"told to answer {status}"}}).encode()
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
    r"POST /collections/([^/]+)/snapshots": lambda client, name, _: {"name": f"{name}.snapshot", "size": 1},
}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return [_plain(one) for one in value] if isinstance(value, list) else value


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A server of one's own for each test."""
    server = FakeServer()
    yield server
    server.stop()

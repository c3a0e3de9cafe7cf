"""A pytest plugin: an HTTP server that speaks as much of Qdrant's REST API as an index needs, and fails as it is told.

Its collections are those of a local client in memory.

Modelled of a cluster, after ``openapi.json`` and the source of Qdrant (``GET /cluster``, ``GET`` and ``POST
/collections/NAME/cluster``; ``replica_set/execute_read_operation.rs`` and ``update.rs``): a read with consistency
``all`` or ``majority`` wants all copies of a shard to be active, ``quorum`` more than half, a number so many; otherwise
the answer is 500, "… does not have enough active replicas". A write with ordering ``strong`` goes through the copy on
the node with the greatest id, dead or not, ``medium`` through the greatest that is active. What several copies are
asked for, and one of them lacks, is not in the answer. Placing a copy is done at once. Not modelled: the time that
nodes take among themselves.
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
from urllib.parse import parse_qsl, urlsplit

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
        options: Query of each request.
        nodes: Addresses of the nodes of the cluster by id; it is the first of them. None are a single server.
        away: Ids of nodes that do not answer the others.
        created: What each collection was created with.
        placed: By collection, states of the copies of each shard, by their nodes.
        shard_keys: Keys of shards, by collection and number.
        unequal: By collection, ids of points that only the copy has that is asked if one is.

    Args:
        client: Keeps the collections, by default those of a local client.
    """

    def __init__(self, client: Any = None) -> None:
        self.client = QdrantClient(":memory:") if client is None else client
        self.version = "1.18.1"
        self.keys: dict[str, bool] | None = None
        self.largest = 32 * 2**20
        self.strict: dict[str, Any] = {}
        self.capacity: int | None = None
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.snapshots: dict[str, bytes] = {}
        self.options: list[dict[str, str]] = []
        self.nodes: dict[int, str] = {}
        self.away: set[int] = set()
        self.created: dict[str, dict[str, Any]] = {}
        self.placed: dict[str, dict[int, dict[int, str]]] = {}
        self.unequal: dict[str, set[int | str]] = {}
        self.shard_keys: dict[tuple[str, int], str] = {}
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

    @property
    def is_stopped(self) -> bool:
        return self._server is None

    def stop(self) -> None:
        """Refuse connections from now on, and answer no more on those that are there."""
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
            self.options.append(dict(parse_qsl(urlsplit(handler.path).query)))
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
        if request == "GET /cluster":
            return 200, {}, _result(self._cluster())
        copies = self._copies_refusal(request)
        if copies is not None:
            return 500, {}, _said(f"Service internal error: {copies}")
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
                self._note(request, data, result)
                return 200, {}, json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
        cluster = re.fullmatch("(GET|POST) /collections/([^/]+)/cluster", request)
        if cluster is not None:
            return self._placing(*cluster.groups(), json.loads(body) if body else {})
        return 501, {}, json.dumps({"status": {"error": f"this server does not know {request}"}}).encode()

    def _note(self, request: str, data: dict[str, Any], result: Any) -> None:
        """Do what a local client does not: strict mode, shards and copies."""
        name = request.split("/")[2] if request.count("/") > 1 else ""
        if request == f"PUT /collections/{name}":
            self.created[name] = data
            nodes = list(self.nodes) or [1]
            copies = min(data.get("replication_factor") or 1, len(nodes))
            is_custom = data.get("sharding_method") == "custom"
            shards = range(0 if is_custom else data.get("shard_number") or len(nodes))
            self.placed[name] = {i: {nodes[(i + j) % len(nodes)]: "Active" for j in range(copies)} for i in shards}
        elif request == f"PUT /collections/{name}/shards":
            placed = self.placed[self._collection(name)]
            self.shard_keys[self._collection(name), len(placed)] = data["shard_key"]
            placed[len(placed)] = dict.fromkeys(data.get("placement") or list(self.nodes), "Active")
        elif request == f"PATCH /collections/{name}":
            self.created.setdefault(name, {}).update(data.get("params") or {})
        elif request == f"GET /collections/{name}":
            known = self.created.get(self._collection(name), {})
            for key in ("shard_number", "replication_factor", "write_consistency_factor"):
                result["config"]["params"][key] = known.get(key) or 1
            if self.strict:
                result["config"]["strict_mode_config"] = {"enabled": True, **self.strict}
        elif request.endswith("/points") and "points" in data:
            self.unequal.get(self._collection(name), set()).difference_update(point["id"] for point in data["points"])
        elif self.options[-1].get("consistency", "1") != "1":
            _leave_out(self.unequal.get(self._collection(name), set()), request, result)

    def _collection(self, name: str) -> str:
        aliases = {alias.alias_name: alias.collection_name for alias in self.client.get_aliases().aliases}
        return aliases.get(name, name)

    def _copies_refusal(self, request: str) -> str | None:
        name = self._collection(request.split("/")[2]) if request.count("/") > 1 else ""
        consistency, ordering = (self.options[-1].get(key) for key in ("consistency", "ordering"))
        for number, copies in self.placed.get(name, {}).items():
            active = [node for node, state in copies.items() if state == "Active"]
            wanted = {"all": len(copies), "majority": len(copies), "quorum": len(copies) // 2 + 1}
            if consistency is not None and len(active) < wanted.get(
                consistency, min(int(consistency), len(copies)) if consistency.isdigit() else 0
            ):
                return f"The replica set for shard {number} on peer 1 does not have enough active replicas"
            leader = max(copies) if ordering == "strong" else max(active, default=0)
            if ordering in ("strong", "medium") and leader not in active:
                return f"Failed to apply update with {ordering.title()} ordering via leader peer {leader}: away"
        return None

    def _cluster(self) -> dict[str, Any]:
        if not self.nodes:
            return {"status": "disabled"}
        asked, has_majority = next(iter(self.nodes)), 2 * len(self.away) < len(self.nodes)
        raft = {"term": 1, "commit": 9, "pending_operations": 0, "role": "Leader", "is_voter": True}
        return {
            "status": "enabled",
            "peer_id": asked,
            "peers": {str(node): {"uri": uri} for node, uri in self.nodes.items()},
            "raft_info": raft | ({"leader": asked} if has_majority else {"leader": 0}),
            "consensus_thread_status": {
                "consensus_thread_status": "working",
                "last_update": "2026-11-26T12:00:00Z",
            },
            "message_send_failures": {
                self.nodes[node]: {"count": 3, "latest_error": "no answer"} for node in self.away
            },
        }

    def _placing(self, method: str, name: str, data: dict[str, Any]) -> Answer:
        name, asked = self._collection(name), next(iter(self.nodes), 1)
        placed = self.placed.setdefault(name, {0: {asked: "Active"}})
        if method == "POST":
            wanted = data["replicate_shard"]
            placed[wanted["shard_id"]][wanted["to_peer_id"]] = "Active"
            return 200, {}, _result(True)
        local = [
            {
                "shard_id": shard,
                "shard_key": self.shard_keys.get((name, shard)),
                "points_count": 0,  # nobody asks for it
                "state": copies[asked],
            }
            for shard, copies in placed.items()
            if asked in copies
        ]
        remote = [
            {"shard_id": shard, "shard_key": self.shard_keys.get((name, shard)), "peer_id": node, "state": state}
            for shard, copies in placed.items()
            for node, state in copies.items()
            if node != asked
        ]
        found = {"peer_id": asked, "shard_count": len(placed), "local_shards": local, "remote_shards": remote}
        return 200, {}, _result(found | {"shard_transfers": []})

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
        answer = None if self.fake.is_stopped else self.fake.answer(self, body)
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


def _leave_out(unequal: set[int | str], request: str, result: Any) -> None:
    """Leave out of an answer what several copies were asked for, and one of them lacks."""
    if request.endswith("/points"):
        result[:] = [record for record in result if record["id"] not in unequal]
    elif request.endswith("/scroll"):
        result["points"] = [record for record in result["points"] if record["id"] not in unequal]
    elif request.endswith("/count"):
        result["count"] -= len(unequal)


def _result(value: Any) -> bytes:
    return json.dumps({"result": value, "status": "ok", "time": 0.0}).encode()


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
        name,
        vectors_config=config.vectors,
        sparse_vectors_config=config.sparse_vectors,
        metadata=config.metadata,
        sharding_method=config.sharding_method,
    )


def _create_shard_key(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.create_shard_key(name, data["shard_key"])


def _of_shards(data: dict[str, Any]) -> dict[str, Any]:
    """The shards that a request names."""
    return {"shard_key_selector": _parsed(models.ShardKeySelector, data["shard_key"])} if data.get("shard_key") else {}


def _selected(data: dict[str, Any]) -> Any:
    return data["points"] if data.get("points") is not None else models.Filter(**data["filter"])


def _aliases(client: QdrantClient, data: dict[str, Any]) -> Any:
    return client.update_collection_aliases(
        [_parsed(models.AliasOperations, operation) for operation in data["actions"]]
    )


def _index(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return {"operation_id": 0, "status": "completed"}  # the local client warns that it has none


def _delete(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.delete(name, _parsed(models.PointsSelector, data), **_of_shards(data))


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
        **_of_shards(data),
    )
    return models.ScrollResult(points=records, next_page_offset=following)


def _set_payload(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.set_payload(name, data["payload"], points=_selected(data), key=data.get("key"), **_of_shards(data))


def _delete_payload(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.delete_payload(name, data["keys"], points=_selected(data), **_of_shards(data))


def _retrieve(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    request = models.PointRequest(**data)
    return client.retrieve(
        name,
        request.ids,
        with_payload=request.with_payload,
        with_vectors=request.with_vector or False,
        **_of_shards(data),
    )


def _count(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.count(name, count_filter=models.CountRequest(**data).filter, exact=True, **_of_shards(data))


def _upsert(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    asked = models.PointsList(**data)
    options = {"update_filter": asked.update_filter, "update_mode": asked.update_mode}
    return client.upsert(name, asked.points, **options, **_of_shards(data))


def _update_batch(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.batch_update_points(name, models.UpdateOperations(**data).operations)


def _query_batch(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    return client.query_batch_points(name, models.QueryRequestBatch(**data).searches)


def _facet(client: QdrantClient, name: str, data: dict[str, Any]) -> Any:
    asked = models.FacetRequest(**data)
    return client.facet(name, asked.key, facet_filter=asked.filter, limit=asked.limit, exact=True, **_of_shards(data))


_ROUTES: dict[str, Callable[..., Any]] = {
    r"GET /collections": lambda client, _: client.get_collections(),
    r"GET /aliases": lambda client, _: client.get_aliases(),
    r"POST /collections/aliases": _aliases,
    r"GET /collections/([^/]+)": lambda client, name, _: client.get_collection(name),
    r"PUT /collections/([^/]+)": _create,
    r"PATCH /collections/([^/]+)": lambda client, name, data: client.update_collection(
        name, metadata=data.get("metadata", {})
    ),
    r"DELETE /collections/([^/]+)": lambda client, name, _: client.delete_collection(name),
    r"PUT /collections/([^/]+)/index": _index,
    r"DELETE /collections/([^/]+)/index/([^/]+)": lambda *_: {"operation_id": 0, "status": "completed"},
    r"PUT /collections/([^/]+)/vectors/([^/]+)": lambda client, name, vector, data: client.create_vector_name(
        name, vector, _parsed(models.VectorNameConfig, data)
    ),
    r"DELETE /collections/([^/]+)/vectors/([^/]+)": lambda client, name, vector, _: client.delete_vector_name(
        name, vector
    ),
    r"PUT /collections/([^/]+)/shards": _create_shard_key,
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

"""Every public method of QdrantClient: the same signature, the same result by keyword and by position, or a refusal."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from fg_search.edge import AsyncEdgeClient, EdgeClient
from fg_search.errors import UnsupportedError

C = "points"
RED = models.Filter(must=models.FieldCondition(key="color", match=models.MatchValue(value="red")))
SPARSE = models.SparseVector(indices=[1, 3], values=[0.5, 0.25])


def public(client: type) -> list[str]:
    return [
        name
        for name in dir(client)
        if not name.startswith("_") and callable(getattr(client, name)) and not isinstance(getattr(client, name), type)
    ]


def shape(method: Callable[..., Any]) -> list[Any]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize("name", public(QdrantClient))
def test_the_signature_is_that_of_qdrant_client(name: str) -> None:
    assert shape(getattr(EdgeClient, name)) == shape(getattr(QdrantClient, name))


@pytest.mark.parametrize("name", public(AsyncQdrantClient))
def test_the_asynchronous_signature_is_that_of_async_qdrant_client(name: str) -> None:
    ours, theirs = getattr(AsyncEdgeClient, name), getattr(AsyncQdrantClient, name)
    assert shape(ours) == shape(theirs)
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)


def _point(number: int) -> models.PointStruct:
    sparse = models.SparseVector(indices=[1, 2 + number % 3], values=[1.0, 0.1 * (number + 1)])
    return models.PointStruct(
        id=number,
        vector={"base": [1.0, number / 7], "sparse": sparse},
        payload={"color": "red" if number % 3 else "blue", "n": number},
    )


def _create(client: Any, name: str = C) -> None:
    client.create_collection(
        name,
        vectors_config={"base": models.VectorParams(size=2, distance=models.Distance.COSINE)},
        sparse_vectors_config={"sparse": models.SparseVectorParams()},
    )


def _alias(name: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=C, alias_name=name))


@pytest.fixture
def clients(tmp_path: Any) -> Iterator[list[Any]]:
    clients = [EdgeClient(tmp_path), QdrantClient(":memory:")]
    for client in clients:
        _create(client)
        client.upsert(C, [_point(number) for number in range(12)])
        client.update_collection_aliases([_alias("alias")])
    clients[0].create_payload_index(C, "color", "keyword")
    yield clients
    for client in clients:
        client.close()


class Refuses:
    """A call that local mode refuses, so that there is nothing to compare with."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments


one = {"collection_name": C}
by_id = {**one, "points": [1, 2]}
vectors = {"base": models.VectorParams(size=3, distance=models.Distance.DOT)}
search = {"query": [1.0, 0.4], "using": "base", "query_filter": RED, "limit": 3, "with_vectors": True}
column = {"base": np.array([[1.0, 2.0], [3.0, 1.0]])}

# method -> arguments that it is called with
CALLS: dict[str, dict[str, Any] | Refuses] = {
    "batch_update_points": {
        **one,
        "update_operations": [
            models.UpsertOperation(upsert=models.PointsList(points=[_point(40)])),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"b": 2}, points=[40])),
            models.DeleteOperation(delete=models.PointIdsList(points=[1])),
        ],
    },
    "clear_payload": {**one, "points_selector": [1, 2]},
    "close": {},
    "collection_exists": one,
    "count": {**one, "count_filter": RED},
    "create_collection": {"collection_name": "new", "vectors_config": vectors, "metadata": {"a": 1}},
    "create_payload_index": {**one, "field_name": "n", "field_schema": "integer"},
    "create_snapshot": Refuses(collection_name=C),
    "create_vector_name": {
        **one,
        "vector_name": "later",
        "vector_name_config": models.DenseVectorNameConfig(
            dense=models.DenseVectorConfig(size=2, distance=models.Distance.DOT)
        ),
    },
    "delete": {**one, "points_selector": RED},
    "delete_collection": one,
    "delete_payload": {**by_id, "keys": ["n"]},
    "delete_payload_index": {**one, "field_name": "color"},
    "delete_snapshot": Refuses(collection_name=C, snapshot_name="a"),
    "delete_vector_name": {**one, "vector_name": "sparse"},
    "delete_vectors": {**by_id, "vectors": ["base"]},
    "facet": {**one, "key": "color"},
    "get_aliases": {},
    "get_collection": one,
    "get_collection_aliases": one,
    "get_collections": {},
    "info": {},
    "list_full_snapshots": {},
    "list_shard_snapshots": {**one, "shard_id": 0},
    "list_snapshots": one,
    "migrate": {"collection_names": [C], "batch_size": 5},
    "overwrite_payload": {**by_id, "payload": {"a": 1}},
    "query_batch_points": {
        **one,
        "requests": [
            models.QueryRequest(query=[1.0, 0.4], using="base", limit=2),
            models.QueryRequest(query=SPARSE, using="sparse", limit=2, offset=1),
        ],
    },
    "query_points": {**one, **search, "offset": 1, "score_threshold": 0.1},
    "query_points_groups": {**one, **search, "group_by": "color", "group_size": 2},
    "recover_snapshot": Refuses(collection_name=C, location="/nowhere"),
    "recreate_collection": {**one, "vectors_config": vectors},
    "retrieve": {**one, "ids": [3, 1, 99], "with_vectors": ["base"]},
    "scroll": {**one, "scroll_filter": RED, "limit": 4, "offset": 2, "with_payload": ["n"]},
    "search_matrix_offsets": {**one, "query_filter": RED, "limit": 2, "sample": 20, "using": "base"},
    "search_matrix_pairs": {**one, "query_filter": RED, "limit": 2, "sample": 20, "using": "base"},
    "set_payload": {**by_id, "payload": {"a": 1}, "key": "in"},
    "update_collection": {
        **one,
        "sparse_vectors_config": {"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        "metadata": {"a": 1},
    },
    "update_collection_aliases": {"change_aliases_operations": [_alias("other")]},
    "update_vectors": {**one, "points": [models.PointVectors(id=1, vector={"base": [0.1, 0.9]})]},
    "upload_collection": {**one, "vectors": column, "payload": [{"a": 1}, {"a": 2}], "ids": [50, 51]},
    "upload_points": {**one, "points": [_point(60), _point(61)], "batch_size": 1},
    "upsert": {**one, "points": [_point(70)], "update_mode": models.UpdateMode.INSERT_ONLY},
}
REFUSED = [name for name in public(QdrantClient) if name not in CALLS]


def test_the_calls_are_of_methods_that_exist() -> None:
    assert set(CALLS) <= set(public(QdrantClient))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        left_out = {"version", "shard_key"}  # local mode does not count versions
        return {name: _plain(item) for name, item in value if name not in left_out}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return pytest.approx(value, abs=1e-6) if isinstance(value, float) else value


def _described(info: models.CollectionInfo) -> Any:
    params = info.config.params
    vectors: Any = params.vectors
    return (
        info.points_count,
        info.status,
        info.config.metadata,
        {name: (vector.size, vector.distance, vector.multivector_config) for name, vector in vectors.items()},
        {name: vector.modifier for name, vector in (params.sparse_vectors or {}).items()},
    )


def _state(client: Any) -> Any:
    """What a client holds."""
    names = sorted(collection.name for collection in client.get_collections().collections)
    return {
        "aliases": sorted(alias.alias_name for alias in client.get_aliases().aliases),
        **{
            name: (_described(client.get_collection(name)), _plain(client.scroll(name, limit=100, with_vectors=True)))
            for name in names
        },
    }


def _result(name: str, result: Any) -> Any:
    if name == "info":
        return result.title
    if name == "get_collection":
        return _described(result)
    if name in ("get_collections", "get_aliases", "get_collection_aliases"):
        return sorted(map(str, getattr(result, "collections", None) or result.aliases))
    return _plain(result)


def _positional(name: str, arguments: dict[str, Any]) -> list[Any]:
    """All arguments in QdrantClient's order, with its defaults."""
    parameters = list(inspect.signature(getattr(QdrantClient, name)).parameters.values())[1:]
    return [
        arguments.get(parameter.name, parameter.default)
        for parameter in parameters
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


@pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect", "ignore:`recreate_collection` method is deprecated"
)
@pytest.mark.parametrize("by_position", [False, True], ids=["keywords", "positions"])
@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if isinstance(call, dict)])
def test_a_call_does_and_returns_the_same(clients: list[Any], name: str, by_position: bool) -> None:
    call = CALLS[name]
    assert isinstance(call, dict)
    results, states = [], []
    for client in clients:
        arguments = dict(call)
        if name == "migrate":
            arguments["dest_client"] = QdrantClient(":memory:")
        method = getattr(client, name)
        result = method(*_positional(name, arguments)) if by_position else method(**arguments)
        results.append(_result(name, result))
        seen = arguments.get("dest_client", client)
        states.append(None if name == "close" else _state(seen))
    assert results[0] == results[1]
    assert states[0] == states[1]


def test_snapshots_work_by_position(clients: list[Any]) -> None:
    edge = clients[0]
    before = _state(edge)
    snapshot = edge.create_snapshot(C, True)
    path = edge.snapshot_path(C, snapshot.name)
    edge.delete(C, RED, True)
    assert edge.recover_snapshot(C, path, None, snapshot.checksum, models.SnapshotPriority.SNAPSHOT, True)
    assert _state(edge) == before
    assert edge.delete_snapshot(C, snapshot.name, True)
    assert edge.list_snapshots(C) == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_left_is_refused_by_name(clients: list[Any], name: str) -> None:
    method = getattr(clients[0], name)
    with pytest.raises(UnsupportedError, match=name):
        method()
    assert issubclass(UnsupportedError, NotImplementedError)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((C, [1], True, None, None, None, 1), {}, "positional"),
        ((C, [1]), {"points_selector": [1]}, "multiple values"),
        ((), {"collection_name": C}, "points_selector"),
        ((C, [1]), {"filter": None}, "'filter'"),
    ],
)
def test_a_call_that_does_not_bind_is_a_type_error(
    clients: list[Any], arguments: Any, options: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        clients[0].delete(*arguments, **options)
    assert clients[0].count(C).count == 12


def test_an_argument_for_servers_is_refused_by_position_too(clients: list[Any]) -> None:
    with pytest.raises(UnsupportedError, match="shard_key_selector"):
        clients[0].delete(C, [1], True, None, "shard")
    with pytest.raises(UnsupportedError, match="shard_number"):
        clients[0].create_collection("new", vectors, None, 3)

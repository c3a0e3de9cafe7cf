"""A pytest plugin: a gRPC server that speaks as much of Qdrant's API as an index needs, and fails as it is told.

Its collections are those of a local client in memory.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as q
from qdrant_client.conversions.conversion import GrpcToRest as ToRest
from qdrant_client.conversions.conversion import RestToGrpc as ToGrpc
from qdrant_client.grpc import collections_service_pb2_grpc, points_service_pb2_grpc, qdrant_pb2_grpc

Methods = dict[str, Callable[[QdrantClient, Any], Any]]

DONE = q.UpdateResult(operation_id=1, status=q.UpdateStatus.Completed)


class FakeGrpcServer:
    """Answers calls, after the failures that were ordered.

    Attributes:
        client: Keeps the collections.
        calls: Name of each call, in order.
        asked: What each call asked.
        version: Release that it says it is.
        url: Where it listens.
    """

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.calls: list[str] = []
        self.asked: list[Any] = []
        self.version = "1.18.1"
        self._failures: deque[tuple[str, grpc.StatusCode, str, tuple[tuple[str, str], ...]]] = deque()
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(4))
        for add, servicer in (
            (collections_service_pb2_grpc.add_CollectionsServicer_to_server, _Servicer(self, _COLLECTIONS)),
            (points_service_pb2_grpc.add_PointsServicer_to_server, _Servicer(self, _POINTS)),
            (qdrant_pb2_grpc.add_QdrantServicer_to_server, _Servicer(self, {"HealthCheck": self._health_check})),
        ):
            add(servicer, self._server)
        self.url = f"grpc://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _health_check(self, _: QdrantClient, __: Any) -> Any:
        return q.HealthCheckReply(title="qdrant - vector search engine", version=self.version)

    def stop(self) -> None:
        self._server.stop(None).wait()

    def fail(self, call: str, *codes: grpc.StatusCode, details: str = "told to", **trailing: str) -> None:
        """Have the next calls of this name fail, one after the other."""
        metadata = tuple((name.replace("_", "-"), value) for name, value in trailing.items())
        self._failures += [(call, code, details, metadata) for code in codes]

    def answer(self, call: str, context: grpc.ServicerContext, carry_out: Callable[[], Any]) -> Any:
        with self._lock:
            self.calls.append(call)
            failure = next((failure for failure in self._failures if failure[0] == call), None)
            if failure is not None:
                self._failures.remove(failure)
                context.set_trailing_metadata(failure[3])
                context.abort(failure[1], failure[2])
            try:
                return carry_out()
            except ValueError as error:
                missing = "not found" in str(error)
                code = grpc.StatusCode.NOT_FOUND if missing else grpc.StatusCode.INVALID_ARGUMENT
                context.abort(code, str(error))


class _Servicer:
    def __init__(self, server: FakeGrpcServer, methods: Methods) -> None:
        self._server, self._methods = server, methods

    def __getattr__(self, name: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        method = self._methods.get(name)

        def call(asked: Any, context: grpc.ServicerContext) -> Any:
            if method is None:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, f"this server does not know {name}")
            self._server.asked.append(asked)
            return self._server.answer(name, context, lambda: method(self._server.client, asked))

        return call


def _collection_get(client: QdrantClient, asked: Any) -> Any:
    info = client.get_collection(asked.collection_name)
    return q.GetCollectionInfoResponse(result=ToGrpc.convert_collection_info(info))


def _collection_list(client: QdrantClient, asked: Any) -> Any:
    names = [collection.name for collection in client.get_collections().collections]
    return q.ListCollectionsResponse(collections=[q.CollectionDescription(name=name) for name in names])


def _collection_create(client: QdrantClient, asked: Any) -> Any:
    done = client.create_collection(
        asked.collection_name,
        vectors_config=ToRest.convert_vectors_config(asked.vectors_config),
        sparse_vectors_config=ToRest.convert_sparse_vector_config(asked.sparse_vectors_config),
        metadata=ToRest.convert_payload(asked.metadata),
    )
    return q.CollectionOperationResponse(result=done)


def _collection_update(client: QdrantClient, asked: Any) -> Any:
    done = client.update_collection(asked.collection_name, metadata=ToRest.convert_payload(asked.metadata))
    return q.CollectionOperationResponse(result=done)


def _collection_delete(client: QdrantClient, asked: Any) -> Any:
    return q.CollectionOperationResponse(result=client.delete_collection(asked.collection_name))


def _collection_update_aliases(client: QdrantClient, asked: Any) -> Any:
    operations = [ToRest.convert_alias_operations(operation) for operation in asked.actions]
    return q.CollectionOperationResponse(result=client.update_collection_aliases(operations))


def _collection_list_aliases(client: QdrantClient, asked: Any) -> Any:
    aliases = client.get_aliases().aliases
    return q.ListAliasesResponse(aliases=[ToGrpc.convert_alias_description(alias) for alias in aliases])


def _collection_cluster_info(client: QdrantClient, asked: Any) -> Any:
    client.get_collection(asked.collection_name)
    shard = q.LocalShardInfo(shard_id=0, points_count=0, state=q.ReplicaState.Active)
    return q.CollectionClusterInfoResponse(peer_id=1, shard_count=1, local_shards=[shard])


def _points_upsert(client: QdrantClient, asked: Any) -> Any:
    condition = ToRest.convert_filter(asked.update_filter) if asked.HasField("update_filter") else None
    points = [ToRest.convert_point_struct(point) for point in asked.points]
    mode = ToRest.convert_update_mode(asked.update_mode) if asked.HasField("update_mode") else None
    client.upsert(asked.collection_name, points, update_filter=condition, update_mode=mode)
    return q.PointsOperationResponse(result=DONE)


def _points_update_batch(client: QdrantClient, asked: Any) -> Any:
    operations = [ToRest.convert_points_update_operation(operation) for operation in asked.operations]
    client.batch_update_points(asked.collection_name, operations)
    return q.UpdateBatchResponse(result=[DONE for _ in operations])


def _points_delete(client: QdrantClient, asked: Any) -> Any:
    client.delete(asked.collection_name, ToRest.convert_points_selector(asked.points))
    return q.PointsOperationResponse(result=DONE)


def _points_set_payload(client: QdrantClient, asked: Any) -> Any:
    points = ToRest.convert_points_selector(asked.points_selector)
    key = asked.key if asked.HasField("key") else None
    client.set_payload(asked.collection_name, ToRest.convert_payload(asked.payload), points=points, key=key)
    return q.PointsOperationResponse(result=DONE)


def _points_delete_payload(client: QdrantClient, asked: Any) -> Any:
    points = ToRest.convert_points_selector(asked.points_selector)
    client.delete_payload(asked.collection_name, list(asked.keys), points=points)
    return q.PointsOperationResponse(result=DONE)


def _points_facet(client: QdrantClient, asked: Any) -> Any:
    condition = ToRest.convert_filter(asked.filter) if asked.HasField("filter") else None
    found = client.facet(asked.collection_name, asked.key, facet_filter=condition, limit=asked.limit, exact=True)
    return q.FacetResponse(hits=[ToGrpc.convert_facet_value_hit(hit) for hit in found.hits])


def _points_create_field_index(client: QdrantClient, asked: Any) -> Any:
    return q.PointsOperationResponse(result=DONE)


def _points_delete_field_index(client: QdrantClient, asked: Any) -> Any:
    return q.PointsOperationResponse(result=DONE)


def _points_create_vector_name(client: QdrantClient, asked: Any) -> Any:
    assert asked.HasField("sparse_config"), "an index adds sparse vectors alone"
    config = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
    client.create_vector_name(asked.collection_name, asked.vector_name, config)
    return q.PointsOperationResponse(result=DONE)


def _points_delete_vector_name(client: QdrantClient, asked: Any) -> Any:
    client.delete_vector_name(asked.collection_name, asked.vector_name)
    return q.PointsOperationResponse(result=DONE)


def _points_get(client: QdrantClient, asked: Any) -> Any:
    found = client.retrieve(
        asked.collection_name,
        [ToRest.convert_point_id(point_id) for point_id in asked.ids],
        with_payload=ToRest.convert_with_payload_interface(asked.with_payload),
        with_vectors=ToRest.convert_with_vectors_selector(asked.with_vectors),
    )
    return q.GetResponse(result=_records(found))


def _points_scroll(client: QdrantClient, asked: Any) -> Any:
    found, following = client.scroll(
        asked.collection_name,
        scroll_filter=ToRest.convert_filter(asked.filter) if asked.HasField("filter") else None,
        offset=ToRest.convert_point_id(asked.offset) if asked.HasField("offset") else None,
        limit=asked.limit,
        order_by=ToRest.convert_order_by(asked.order_by) if asked.HasField("order_by") else None,
        with_payload=ToRest.convert_with_payload_interface(asked.with_payload),
        with_vectors=ToRest.convert_with_vectors_selector(asked.with_vectors),
    )
    offset = None if following is None else ToGrpc.convert_extended_point_id(following)
    return q.ScrollResponse(result=_records(found), next_page_offset=offset)


def _records(found: list[models.Record]) -> list[Any]:
    """Records as a server sends them: with an empty payload where none was asked for."""
    return [ToGrpc.convert_record(record.model_copy(update={"payload": record.payload or {}})) for record in found]


def _points_count(client: QdrantClient, asked: Any) -> Any:
    condition = ToRest.convert_filter(asked.filter) if asked.HasField("filter") else None
    count = client.count(asked.collection_name, condition, exact=True)
    return q.CountResponse(result=ToGrpc.convert_count_result(count))


def _points_query_batch(client: QdrantClient, asked: Any) -> Any:
    requests = [ToRest.convert_query_points(request) for request in asked.query_points]
    found = client.query_batch_points(asked.collection_name, requests)
    return q.QueryBatchResponse(
        result=[
            q.BatchResult(result=[ToGrpc.convert_scored_point(point) for point in response.points])
            for response in found
        ]
    )


_COLLECTIONS: Methods = {
    "Get": _collection_get,
    "List": _collection_list,
    "Create": _collection_create,
    "Update": _collection_update,
    "Delete": _collection_delete,
    "UpdateAliases": _collection_update_aliases,
    "ListAliases": _collection_list_aliases,
    "CollectionClusterInfo": _collection_cluster_info,
}
_POINTS: Methods = {
    "Upsert": _points_upsert,
    "UpdateBatch": _points_update_batch,
    "Delete": _points_delete,
    "SetPayload": _points_set_payload,
    "DeletePayload": _points_delete_payload,
    "Facet": _points_facet,
    "CreateFieldIndex": _points_create_field_index,
    "DeleteFieldIndex": _points_delete_field_index,
    "CreateVectorName": _points_create_vector_name,
    "DeleteVectorName": _points_delete_vector_name,
    "Get": _points_get,
    "Scroll": _points_scroll,
    "Count": _points_count,
    "QueryBatch": _points_query_batch,
}


@pytest.fixture
def fake_grpc_server() -> Iterator[FakeGrpcServer]:
    """A gRPC server of one's own for each test."""
    server = FakeGrpcServer()
    yield server
    server.stop()

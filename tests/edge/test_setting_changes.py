"""Changing a collection that has points: its vectors and the engine's parameters."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from fg_search.edge import EdgeClient
from fg_search.edge import collection as collection_module
from fg_search.errors import StorageError, UnsupportedError

C = "points"
DENSE = models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=2, distance=models.Distance.DOT))
MULTI = models.DenseVectorNameConfig(
    dense=models.DenseVectorConfig(
        size=2,
        distance=models.Distance.COSINE,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
)
SPARSE = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
IDF = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier=models.Modifier.IDF))
INT8 = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))
WORDS = models.SparseVector(indices=[1, 2], values=[1.0, 1.0])


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error)


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[list[Any]]:
    clients = [EdgeClient(tmp_path / "store"), QdrantClient(":memory:")]
    for client in clients:
        client.create_collection(
            C,
            vectors_config={"base": models.VectorParams(size=4, distance=models.Distance.COSINE)},
            sparse_vectors_config={"words": models.SparseVectorParams()},
        )
        rng = np.random.default_rng(0)
        points = [
            models.PointStruct(
                id=number,
                vector={
                    "base": rng.standard_normal(4).tolist(),
                    "words": models.SparseVector(indices=[1, 2 + number % 5], values=[1.0, 1.0 + number / 7]),
                },
                payload={"n": number, "text": f"item {number}"},
            )
            for number in range(40)
        ]
        client.upsert(C, points)
    clients[0].create_payload_index(C, "n", "integer")
    clients[0].create_payload_index(C, "text", models.TextIndexParams(type="text", min_token_len=2))
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def client(clients: list[Any]) -> EdgeClient:
    return clients[0]  # type: ignore[no-any-return]


def params(client: Any) -> models.CollectionParams:
    return client.get_collection(C).config.params  # type: ignore[no-any-return]


def contents(client: Any) -> list[models.Record]:
    return client.scroll(C, limit=1000, with_vectors=True)[0]  # type: ignore[no-any-return]


def hits(client: Any) -> list[Any]:
    found = client.query_points(C, query=WORDS, using="words", limit=40).points
    return sorted((hit.id, pytest.approx(hit.score, abs=1e-5)) for hit in found)


# --- vector names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "vector"),
    [
        (DENSE, [0.5, 0.25]),
        (MULTI, [[1.0, 0.0], [0.0, 1.0]]),
        (SPARSE, models.SparseVector(indices=[3], values=[0.5])),
        (IDF, models.SparseVector(indices=[3], values=[0.5])),
    ],
    ids=["dense", "multi", "sparse", "idf"],
)
def test_a_vector_is_added_searched_and_removed(clients: list[Any], config: Any, vector: Any) -> None:
    found = []
    for client in clients:
        client.create_vector_name(C, "later", config)
        client.create_vector_name(C, "later", config)
        assert client.query_points(C, query=vector, using="later").points == []
        client.update_vectors(C, [models.PointVectors(id=3, vector={"later": vector})])
        found.append([(hit.id, hit.score) for hit in client.query_points(C, query=vector, using="later").points])
        before = params(client)
        assert "later" in {**before.vectors, **before.sparse_vectors}
        client.delete_vector_name(C, "later")
        client.delete_vector_name(C, "later")
        after = params(client)
        assert "later" not in {**after.vectors, **after.sparse_vectors}
        assert set(client.retrieve(C, [3], with_vectors=True)[0].vector) == {"base", "words"}
        assert outcome(lambda c=client: c.query_points(C, query=vector, using="later")) is ValueError
        client.create_vector_name(C, "later", DENSE)
        assert client.query_points(C, query=[1.0, 1.0], using="later").points == []
    assert [point_id for point_id, _ in found[0]] == [3]
    assert found[0] == [(point_id, pytest.approx(score)) for point_id, score in found[1]]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("base", DENSE),
        ("base", SPARSE),
        ("words", IDF),
        ("words", DENSE),
        ("a/b", DENSE),
        ("..", SPARSE),
        ("x" * 201, SPARSE),
        ("zero", models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=0, distance=models.Distance.DOT))),
        ("new", "dense"),
    ],
)
def test_a_vector_that_cannot_be_added_is_refused_alike(clients: list[Any], name: str, config: Any) -> None:
    ours, theirs = [outcome(lambda c=c: c.create_vector_name(C, name, config)) for c in clients]
    assert ours is theirs is ValueError
    assert set(params(clients[0]).vectors) == {"base"}


def test_the_only_unnamed_vector_cannot_be_removed(clients: list[Any]) -> None:
    for client in clients:
        client.create_collection("one", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        with pytest.raises(ValueError, match="only dense vector"):
            client.delete_vector_name("one", "")
        client.create_vector_name("one", "two", DENSE)
        client.upsert("one", [models.PointStruct(id=1, vector={"": [1.0, 0.0], "two": [0.0, 1.0]})])
        assert client.query_points("one", query=[1.0, 0.0]).points[0].score == 1
        assert set(client.get_collection("one").config.params.vectors) == {"", "two"}
        client.delete_vector_name("one", "")
        assert client.retrieve("one", [1], with_vectors=True)[0].vector == {"two": [0.0, 1.0]}


def test_changed_vectors_are_remembered(clients: list[Any], tmp_path: Path) -> None:
    client = clients[0]
    client.create_vector_name(C, "later", IDF)
    client.delete_vector_name(C, "base")
    client.update_vectors(C, [models.PointVectors(id=3, vector={"later": WORDS})])
    before, info = contents(client), client.get_collection(C)
    client.close()
    with EdgeClient(tmp_path / "store") as reopened:
        assert contents(reopened) == before
        assert reopened.get_collection(C) == info
        assert list(params(reopened).sparse_vectors) == ["words", "later"]


# --- collections without vectors -------------------------------------------------------------------------


@pytest.mark.parametrize("config", [None, {}])
def test_a_collection_without_vectors_keeps_payloads(clients: list[Any], tmp_path: Path, config: Any) -> None:
    for client in clients:
        client.create_collection("bare", vectors_config=config)
        client.upsert("bare", [models.PointStruct(id=1, vector={}, payload={"a": 1})])
        assert client.scroll("bare", with_vectors=True)[0][0].vector == {}
        with pytest.raises(ValueError, match="Not existing vector name error"):
            client.upsert("bare", [models.PointStruct(id=1, vector=[0.1, 0.2])])
        assert outcome(lambda c=client: c.query_points("bare", query=[0.1, 0.2])) is ValueError
        assert client.get_collection("bare").config.params.vectors == {}
    clients[0].close()
    with EdgeClient(tmp_path / "store") as reopened:
        assert reopened.retrieve("bare", [1])[0].payload == {"a": 1}
        reopened.update_collection("bare", hnsw_config=models.HnswConfigDiff(m=5), quantization_config=INT8)
        reopened.create_vector_name("bare", "first", DENSE)
        reopened.update_vectors("bare", [models.PointVectors(id=1, vector={"first": [1.0, 0.0]})])
        assert reopened.query_points("bare", query=[1.0, 0.0], using="first").points[0].id == 1
        engine = json.loads((tmp_path / "store" / "bare" / "shard" / "edge_config.json").read_text())
        assert engine["hnsw_config"]["m"] == 5
        assert "scalar" in engine["quantization_config"]
        reopened.delete_vector_name("bare", "first")
        assert reopened.retrieve("bare", [1], with_vectors=True)[0].vector == {}


# --- parameters ------------------------------------------------------------------------------------------


def test_new_parameters_take_effect_with_the_next_optimization(client: EdgeClient, tmp_path: Path) -> None:
    client.upload_points(
        C,
        [models.PointStruct(id=n, vector={"base": [n % 13 - 6.0, n % 7 - 3.5, n % 5, 1.0]}) for n in range(100, 3000)],
    )
    assert client.update_collection(C, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=10))
    assert client.optimize(C)
    assert not client.optimize(C)
    assert client.update_collection(C, hnsw_config=models.HnswConfigDiff(m=8))
    assert client.optimize(C)
    assert client.update_collection(
        C, vectors_config={"base": models.VectorParamsDiff(quantization_config=INT8, memory=models.Memory.COLD)}
    )
    assert client.optimize(C)
    assert client.update_collection(C, hnsw_config=models.HnswConfigDiff(ef_construct=50))
    assert client.update_collection(
        C,
        collection_params=models.CollectionParamsDiff(payload=models.PayloadStorageParams(memory=models.Memory.CACHED)),
    )
    info = client.get_collection(C)
    assert (info.config.hnsw_config.m, info.config.hnsw_config.ef_construct) == (8, 50)
    assert info.config.optimizer_config.indexing_threshold == 10
    assert info.config.params.vectors["base"].quantization_config == INT8
    assert info.config.params.payload.memory == models.Memory.CACHED
    engine = json.loads((tmp_path / "store" / C / "shard" / "edge_config.json").read_text())
    assert (engine["hnsw_config"]["m"], engine["hnsw_config"]["ef_construct"]) == (8, 50)
    assert engine["payload_memory"] == "cached"
    assert client.count(C).count == 2940


def test_a_modifier_is_changed_with_all_points_kept(clients: list[Any], tmp_path: Path) -> None:
    client = clients[0]
    before, indexes = contents(client), client.get_collection(C).payload_schema
    for modifier in (models.Modifier.IDF, models.Modifier.NONE):
        for each in clients:
            each.update_collection(C, sparse_vectors_config={"words": models.SparseVectorParams(modifier=modifier)})
            assert params(each).sparse_vectors["words"].modifier == modifier
        assert hits(clients[0]) == hits(clients[1])
        assert [(r.id, r.payload, r.vector["words"]) for r in contents(client)] == [
            (r.id, r.payload, r.vector["words"]) for r in before
        ]
        assert client.get_collection(C).payload_schema == indexes
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [".lock", C]


def test_a_quantization_is_removed(client: EdgeClient) -> None:
    client.update_collection(C, quantization_config=INT8)
    assert client.get_collection(C).config.quantization_config == INT8
    before = hits(client)
    client.update_collection(C, quantization_config=models.Disabled.DISABLED)
    assert client.get_collection(C).config.quantization_config is None
    assert hits(client) == before


BAD_CHANGES: dict[str, dict[str, Any]] = {
    "vector": {"vectors_config": {"nope": models.VectorParamsDiff(on_disk=True)}},
    "sparse vector": {"sparse_vectors_config": {"base": models.SparseVectorParams()}},
    "negative": {"hnsw_config": models.HnswConfigDiff(m=-1)},
}


@pytest.mark.parametrize("change", BAD_CHANGES.values(), ids=BAD_CHANGES.keys())
def test_a_change_that_is_not_possible_changes_nothing(client: EdgeClient, tmp_path: Path, change: Any) -> None:
    before, info = contents(client), client.get_collection(C)
    with pytest.raises(ValueError, match=r"vector|Vector|number"):
        client.update_collection(C, metadata={"a": 1}, **change)
    assert client.get_collection(C) == info
    client.close()
    with EdgeClient(tmp_path / "store") as reopened:
        assert contents(reopened) == before


def test_parameters_of_clusters_are_refused(client: EdgeClient) -> None:
    with pytest.raises(UnsupportedError, match="replication_factor"):
        client.update_collection(C, collection_params=models.CollectionParamsDiff(replication_factor=2))
    with pytest.raises(UnsupportedError, match="strict_mode_config"):
        client.update_collection(C, strict_mode_config=models.StrictModeConfig(enabled=True))
    assert not client.update_collection(C)


# --- interruptions and other threads ---------------------------------------------------------------------


CHANGES: dict[str, Callable[[EdgeClient], Any]] = {
    "create": lambda client: client.create_vector_name(C, "later", DENSE),
    "delete": lambda client: client.delete_vector_name(C, "base"),
    "update": lambda client: client.update_collection(C, hnsw_config=models.HnswConfigDiff(m=5)),
}


@pytest.mark.parametrize("is_followed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_cut_short_is_finished_when_the_folder_is_opened(
    client: EdgeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, is_followed: bool
) -> None:
    """The process dies after the settings were saved, before or after the engine has followed."""
    follow, died = collection_module.follow, tmp_path / "died"

    def copy_then_follow(shard: Any, path: Path, settings: Any) -> Any:
        if is_followed:
            shard = follow(shard, path, settings)
        shutil.copytree(tmp_path / "store", died)
        return shard if is_followed else follow(shard, path, settings)

    monkeypatch.setattr(collection_module, "follow", copy_then_follow)
    change(client)
    monkeypatch.undo()
    assert "pending" in json.loads((died / C / "collection.json").read_text())
    with EdgeClient(died) as reopened:
        assert contents(reopened) == contents(client)
        assert params(reopened) == params(client)
        assert reopened.get_collection(C).config.hnsw_config == client.get_collection(C).config.hnsw_config
    assert "pending" not in json.loads((died / C / "collection.json").read_text())


def test_a_change_that_the_engine_cannot_follow_is_taken_back(
    client: EdgeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise StorageError("disk")

    before = contents(client)
    monkeypatch.setattr(collection_module, "follow", fail)
    with pytest.raises(StorageError, match="disk"):
        client.create_vector_name(C, "later", DENSE)
    monkeypatch.undo()
    assert contents(client) == before
    client.create_vector_name(C, "later", SPARSE)
    assert list(params(client).sparse_vectors) == ["words", "later"]


def test_searches_and_writes_go_on_while_settings_change(client: EdgeClient) -> None:
    errors: list[BaseException] = []
    done = threading.Event()
    written = 0

    def use() -> None:
        nonlocal written
        try:
            while not done.is_set():
                assert len(client.query_points(C, query=WORDS, using="words", limit=5).points) == 5
                client.set_payload(C, {"written": written}, [1])
                written += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(15):
        client.update_collection(C, hnsw_config=models.HnswConfigDiff(m=4 + number))
        client.create_vector_name(C, f"later{number}", SPARSE)
        client.delete_vector_name(C, f"later{number}")
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert written > 0

"""What EdgeClient promises beyond QdrantClient's results: durability, locking, refusals."""

import json
import os
import shutil
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from programs import Programs
from qdrant_client import QdrantClient, models

from fg_search.edge.client import EdgeClient
from fg_search.edge.engine_errors import engine_errors
from fg_search.errors import FolderLockedError, FormatVersionError, StorageError, UnsupportedError

C = "points"
SIZE = 4
RRF = models.FusionQuery(fusion=models.Fusion.RRF)
BASE = models.VectorParams(size=SIZE, distance=models.Distance.DOT)


def create(client: EdgeClient, name: str = C, **options: Any) -> None:
    client.create_collection(
        name,
        vectors_config={"base": BASE},
        sparse_vectors_config={"features": models.SparseVectorParams()},
        **options,
    )


def point(number: int, **payload: Any) -> models.PointStruct:
    vectors = {
        "base": [1.0, 2.0, 3.0, float(number)],
        "features": models.SparseVector(indices=[7, number + 10], values=[0.5, 0.25]),
    }
    return models.PointStruct(id=number, vector=vectors, payload={"n": number, **payload})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EdgeClient]:
    with EdgeClient(tmp_path / "store") as client:
        create(client)
        client.upsert(C, points=[point(number) for number in range(5)])
        yield client


@pytest.fixture
def folder(client: EdgeClient, tmp_path: Path) -> Path:
    """A closed storage with five points."""
    client.close()
    return tmp_path / "store"


def contents(client: EdgeClient) -> list[models.Record]:
    return client.scroll(C, limit=1000, with_vectors=True)[0]


# --- durability ------------------------------------------------------------------------------------------


def test_reopening_gives_the_same_contents_settings_and_metadata(tmp_path: Path) -> None:
    text_index = models.TextIndexParams(type="text", tokenizer="word", lowercase=True)
    with EdgeClient(tmp_path) as client:
        create(client, metadata={"model": "abc", "made": {"by": UUID(int=5)}})
        client.upsert(C, points=[point(number) for number in range(5)])
        client.create_payload_index(C, "n", "integer")
        client.create_payload_index(C, "text", text_index)
        client.update_collection(C, metadata={"version": 2, "model": None})
        before, info = contents(client), client.get_collection(C)
    with EdgeClient(tmp_path) as client:
        assert contents(client) == before
        assert client.get_collection(C) == info
    assert info.config.metadata == {"made": {"by": str(UUID(int=5))}, "version": 2}
    assert info.payload_schema["text"].params == text_index
    assert info.payload_schema["n"].data_type == models.PayloadSchemaType.INTEGER
    assert (info.points_count, info.status) == (5, models.CollectionStatus.GREEN)
    assert info.config.params.vectors == {"base": BASE}


CHILD = textwrap.dedent("""
    import sys
    from qdrant_client import models
    from fg_search.edge.client import EdgeClient

    client = EdgeClient(sys.argv[1])
    number = 0
    while True:
        points = [
            models.PointStruct(
                id=number + k,
                vector={"base": [float(number + k)] * 4, "features": models.SparseVector(indices=[k], values=[1.0])},
                payload={"n": number + k},
            )
            for k in range(5)
        ]
        client.upsert("points", points=points)
        number += 5
        print(number, flush=True)
""")


def test_no_acknowledged_point_is_lost_when_the_process_is_killed(tmp_path: Path, programs: Programs) -> None:
    with EdgeClient(tmp_path) as client:
        create(client)
    child = programs.start(CHILD, tmp_path)
    acknowledged = 0
    while acknowledged < 400:
        acknowledged = int(child.stdout.readline())
    child.kill()
    last_words = child.stdout.read().split()
    child.wait()
    acknowledged = int(last_words[-1]) if last_words else acknowledged
    with EdgeClient(tmp_path) as client:
        found = client.retrieve(C, range(acknowledged), with_vectors=True)
        assert [record.payload for record in found] == [{"n": number} for number in range(acknowledged)]
        assert all(record.vector["base"] == [float(record.id)] * 4 for record in found)


def test_a_creation_or_deletion_cut_short_leaves_nothing(folder: Path) -> None:
    for leftover in (".creating-1", ".deleting-1"):
        shutil.copytree(folder / C, folder / leftover)
    (folder / "stray").mkdir()
    with EdgeClient(folder) as client:
        assert [collection.name for collection in client.get_collections().collections] == [C]
    assert sorted(path.name for path in folder.iterdir()) == [".lock", C, "stray"]


def test_a_creation_that_fails_leaves_nothing(client: EdgeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StorageError, match="No space left"):
        create(client, "new")
    monkeypatch.undo()
    assert not client.collection_exists("new")
    create(client, "new")


def test_a_metadata_change_that_fails_leaves_the_old_metadata(
    client: EdgeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.update_collection(C, metadata={"a": 1})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("broken")))
    with pytest.raises(StorageError, match="broken"):
        client.update_collection(C, metadata={"a": 2})
    monkeypatch.undo()
    assert client.get_collection(C).config.metadata == {"a": 1}


def test_a_deleted_collection_can_be_made_again(client: EdgeClient) -> None:
    assert client.delete_collection(C)
    assert not client.collection_exists(C)
    assert not client.delete_collection(C)
    create(client)
    assert client.count(C).count == 0


SCRIPT_HEAD = """
import shutil, sys
from qdrant_client import models
from fg_search.edge.client import EdgeClient

def fill(client):
    client.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert("c", [models.PointStruct(id=1, vector=[1.0, 2.0], payload={"n": 1})])
    return client
"""
UNCLOSED = {
    "global": "client = fill(EdgeClient(sys.argv[1]))",
    "folder gone": "client = fill(EdgeClient(sys.argv[1])); shutil.rmtree(sys.argv[1])",
    "in a cycle": "client = fill(EdgeClient(sys.argv[1])); client.me = client; del client",
    "in a generator": """
def run():
    with EdgeClient(sys.argv[1]) as client:
        yield fill(client)
running = run(); next(running)""",
    "bad argument": """
for options in ({"location": ":memory:"}, {}, {"path": sys.argv[1], "url": "http://x"}):
    try:
        EdgeClient(**options)
    except TypeError:
        pass
client = fill(EdgeClient(sys.argv[1]))""",
    "bad folder": """
open(sys.argv[1], "w").close()
try:
    EdgeClient(sys.argv[1])
except RuntimeError:
    pass""",
    "forked": """
import os, warnings
warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # Python 3.12 warns of any fork beside threads
client = fill(EdgeClient(sys.argv[1]))
child = os.fork()
if child == 0:
    try:
        client.count("c")
    except RuntimeError as error:
        sys.exit(3 if "forked" in str(error) else 4)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
assert client.count("c").count == 1""",
    "asynchronous": """
import asyncio
from fg_search.edge import AsyncEdgeClient
async def main():
    global client
    client = AsyncEdgeClient(sys.argv[1])
    await client.get_collections()
asyncio.run(main())""",
}


@pytest.mark.parametrize("script", UNCLOSED.values(), ids=UNCLOSED.keys())
def test_a_client_that_is_not_closed_prints_nothing_and_loses_nothing(
    tmp_path: Path, programs: Programs, script: str
) -> None:
    folder = tmp_path / "store"
    ended = programs.run(SCRIPT_HEAD + script, folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    if "fill(client" in script or "fill(Edge" in script:
        with EdgeClient(folder) as client:
            assert "rmtree" in script or client.retrieve("c", [1])[0].payload == {"n": 1}


# --- folders that cannot be used -------------------------------------------------------------------------


def test_a_second_client_of_the_same_process_is_refused(client: EdgeClient, tmp_path: Path) -> None:
    with pytest.raises(FolderLockedError, match="store is open in another client"):
        EdgeClient(tmp_path / "store")
    client.close()
    EdgeClient(tmp_path / "store").close()


def test_a_second_process_is_refused(client: EdgeClient, tmp_path: Path, programs: Programs) -> None:
    code = "import sys; from fg_search.edge.client import EdgeClient; EdgeClient(sys.argv[1])"
    other = programs.run(code, tmp_path / "store")
    assert other.returncode == 1
    assert "FolderLockedError" in other.stderr
    assert client.count(C).count == 5


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="is a file"):
        EdgeClient(tmp_path / "file")
    with pytest.raises(StorageError, match="Cannot use folder"):
        EdgeClient(tmp_path / "file" / "below")


def test_an_unwritable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)  # chmod does not stop root
    with pytest.raises(StorageError, match="check its permissions"):
        EdgeClient(tmp_path)


def test_a_folder_of_local_mode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "collection").mkdir()
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(StorageError, match="local mode"):
        EdgeClient(tmp_path)


def _damage(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:  # in place, as the engine's files are mostly holes
        file.write(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "settings cut off": lambda c: os.truncate(c / "collection.json", 30),
    "settings empty": lambda c: os.truncate(c / "collection.json", 0),
    "settings garbage": lambda c: (c / "collection.json").write_bytes(bytes(range(256))),
    "settings of another kind": lambda c: (c / "collection.json").write_text("[1]"),
    "settings without version": lambda c: (c / "collection.json").write_text("{}"),
    "settings wrong": lambda c: (c / "collection.json").write_text(
        json.dumps({"version": 1, "config": {"vectors": 5}, "payload_schema": {}})
    ),
    "shard gone": lambda c: shutil.rmtree(c / "shard"),
    "segments gone": lambda c: shutil.rmtree(c / "shard" / "segments"),
    "engine settings": lambda c: (c / "shard" / "edge_config.json").write_text("{"),
    "log garbage": lambda c: _damage(c / "shard" / "wal" / "open-1", b"garbage " * 500),
    **{
        f"{name} garbage": lambda c, name=name: [_damage(path, b"garbage " * 500) for path in c.rglob(name)]
        for name in ("segment.json", "mutable_id_tracker.mappings", "page_0.dat")
    },
    **{
        f"{name} cut off": lambda c, name=name: [os.truncate(path, 1) for path in c.rglob(name)]
        for name in ("segment.json", "version.info")
    },
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_collection_says_what_to_do_and_can_be_recovered_or_deleted(
    client: EdgeClient, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    snapshot = client.snapshot_path(C, client.create_snapshot(C).name)
    client.close()
    damage(tmp_path / "store" / C)
    with EdgeClient(tmp_path / "store") as reopened:
        with pytest.raises(StorageError, match="backup"):
            reopened.scroll(C, with_vectors=True)
        reopened.recover_snapshot(C, snapshot)
        assert [point.id for point in contents(reopened)] == list(range(5))
    damage(tmp_path / "store" / C)
    with EdgeClient(tmp_path / "store") as reopened:
        assert reopened.delete_collection(C)
        create(reopened)
        assert reopened.count(C).count == 0


def test_a_collection_of_a_newer_format_is_refused(folder: Path) -> None:
    settings = folder / C / "collection.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "version": 99}))
    with EdgeClient(folder) as client, pytest.raises(FormatVersionError, match="99"):
        client.count(C)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/tmp/x", "a\\b", ".hidden", "x" * 256, "a\0b"])
def test_a_collection_name_that_leaves_the_folder_is_refused(client: EdgeClient, name: str) -> None:
    with pytest.raises(ValueError, match="Collection name"):
        create(client, name)
    assert not client.collection_exists(name)
    with pytest.raises(ValueError, match="not found"):
        client.count(name)
    assert not client.delete_collection(name)


# --- closing and threads ---------------------------------------------------------------------------------


def test_use_after_close_is_refused(client: EdgeClient) -> None:
    client.close()
    client.close()
    assert client.closed
    for call in (
        lambda: client.count(C),
        lambda: client.get_collections(),
        lambda: client.collection_exists(C),
        lambda: create(client, "new"),
        lambda: client.delete_collection(C),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_threads_search_while_one_adds(client: EdgeClient) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                hits = client.query_points(C, query=[1.0, 1.0, 1.0, 1.0], using="base", limit=5).points
                assert len(hits) == 5
                assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
                assert all(hit.payload["n"] == hit.id for hit in hits)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(100, 1100, 50):
        client.upsert(C, points=[point(number) for number in range(start, start + 50)])
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert client.count(C).count == 1005


# --- input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39])
@pytest.mark.parametrize("kind", ["base", "features"])
def test_numbers_that_are_not_finite_are_refused_everywhere(client: EdgeClient, kind: str, value: float) -> None:
    bad: Any = [value, 1.0, 1.0, 1.0]
    if kind == "features":
        bad = models.SparseVector(indices=[1, 2], values=[value, 1.0])
    with pytest.raises(ValueError, match=rf"{kind}.* of point 71"):
        client.upsert(C, points=[point(70), models.PointStruct(id=71, vector={kind: bad})])
    with pytest.raises(ValueError, match=rf"{kind}.* of point 1"):
        client.update_vectors(C, points=[models.PointVectors(id=1, vector={kind: bad})])
    with pytest.raises(ValueError, match="of the query"):
        client.query_points(C, query=bad, using=kind)
    with pytest.raises(ValueError, match="of the query"):
        client.query_points(
            C,
            query=models.FusionQuery(fusion=models.Fusion.RRF),
            prefetch=[models.Prefetch(query=bad, using=kind)],
        )
    assert client.count(C).count == 5


def test_numpy_vectors_and_a_batch_are_taken(client: EdgeClient) -> None:
    query = np.asarray([1, 2, 3, 4], dtype=np.float64)
    assert client.query_points(C, query=query, using="base").points[0].id == 4
    client.upsert(C, points=models.Batch(ids=[50, 51], vectors={"base": [[1.0] * SIZE] * 2}))
    assert [record.payload for record in client.retrieve(C, [50, 51])] == [{}, {}]


def test_upload_points_takes_an_endless_iterable_one_batch_at_a_time(client: EdgeClient) -> None:
    taken = 0

    def points() -> Iterator[models.PointStruct]:
        nonlocal taken
        for number in range(100, 200):
            taken += 1
            assert client.count(C).count >= 5 + taken - 10
            yield point(number)

    client.upload_points(C, points=points(), batch_size=10)
    assert client.count(C).count == 105


def test_payloads_become_json_values(client: EdgeClient) -> None:
    payload = {"id": UUID(int=1), "when": datetime(2024, 5, 1), "number": np.float32(0.5), 3: (1, 2)}
    client.upsert(C, points=[models.PointStruct.model_construct(id=9, vector={}, payload=payload)])
    assert client.retrieve(C, [9])[0].payload == {
        "id": str(UUID(int=1)),
        "when": "2024-05-01T00:00:00",
        "number": 0.5,
        "3": [1, 2],
    }
    with pytest.raises(ValueError, match="payload of point 9"):
        client.upsert(C, points=[models.PointStruct(id=9, vector={}, payload={"x": float("nan")})])


def test_text_and_integers_that_qdrant_does_not_know_are_named(client: EdgeClient) -> None:
    half = {"x": "half a pair \ud800"}
    with pytest.raises(ValueError, match="payload of point 9"):
        client.upsert(C, points=[models.PointStruct(id=9, vector={}, payload=half)])
    with pytest.raises(ValueError, match="payload"):
        client.set_payload(C, half, points=[1])
    large = 2**63
    for match in (
        models.MatchValue(value=large),
        models.MatchAny(any=[large]),
        models.MatchExcept(**{"except": [large]}),
    ):
        with pytest.raises(ValueError, match="64-bit"):
            client.count(C, models.Filter(must=models.FieldCondition(key="n", match=match)))
    for wrong in (-1, "abc"):
        with pytest.raises(ValueError, match="Point id"):
            client.count(C, models.Filter(must=models.HasIdCondition(has_id=[wrong])))
        with pytest.raises(ValueError, match="Point id"):
            client.retrieve(C, [wrong])


@pytest.mark.parametrize("point_id", [-1, 2**64, "abc", 1.5, True])
def test_ids_that_qdrant_does_not_know_are_refused(client: EdgeClient, point_id: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="oint id"):
        client.upsert(C, points=[models.PointStruct.model_construct(id=point_id, vector={}, payload={})])


def test_a_truth_value_is_not_a_number(client: EdgeClient) -> None:
    client.upsert(C, points=[point(20, flag=True), point(21, flag=1), point(22, flag=False), point(23, flag=0)])
    for value, found in ((True, 20), (1, 21), (False, 22), (0, 23)):
        condition = models.FieldCondition(key="flag", match=models.MatchValue(value=value))
        assert [point.id for point in client.scroll(C, models.Filter(must=[condition]))[0]] == [found]


def test_a_condition_of_two_checks_is_refused_before_anything_is_deleted(client: EdgeClient) -> None:
    before = client.count(C).count
    both = models.FieldCondition(key="n", match=models.MatchValue(value=1), range=models.Range(gte=0))
    for condition in (both, models.FieldCondition(key="n", is_null=False, is_empty=False)):
        with pytest.raises(ValueError, match="give each a condition of its own"):
            client.delete(C, models.FilterSelector(filter=models.Filter(must=[condition])))
    with pytest.raises(ValueError, match="is empty"):
        client.delete(C, models.FilterSelector(filter=models.Filter(must=[models.FieldCondition(key="n")])))
    assert client.count(C).count == before > 0


def test_order_by_and_facet_ask_for_an_index(client: EdgeClient) -> None:
    with pytest.raises(ValueError, match="No range index"):
        client.scroll(C, order_by="n")
    with pytest.raises(ValueError, match="No appropriate index"):
        client.facet(C, "n")
    client.create_payload_index(C, "n", models.PayloadSchemaType.INTEGER)
    assert [point.id for point in client.scroll(C, order_by="n", limit=2)[0]] == [0, 1]
    client.delete_payload_index(C, "n")
    assert client.get_collection(C).payload_schema == {}


def test_a_text_query_scores_by_bm25(client: EdgeClient) -> None:
    client.create_payload_index(C, "text", models.TextIndexParams(type="text", scoring=True))
    client.set_payload(C, {"text": "my card was eaten"}, points=[1])
    client.set_payload(C, {"text": "a loan"}, points=[2])
    hits = client.query_points(C, query=models.TextQuery(text="card"), using="text").points
    assert [hit.id for hit in hits] == [1]


def test_sampling_returns_other_points_of_the_collection(client: EdgeClient) -> None:
    hits = client.query_points(C, query=models.SampleQuery(sample=models.Sample.RANDOM), limit=3).points
    assert len({hit.id for hit in hits} & set(range(5))) == 3


def test_only_messages_about_files_advise_to_restore_them() -> None:
    def told(message: str) -> str:
        with pytest.raises(StorageError) as caught, engine_errors("Collection a"):
            raise Exception(message)  # noqa: TRY002  as the engine does
        return str(caught.value)

    for message in (
        "Service runtime error: IO Error: failed to open file `x`: No such file or directory (os error 2)",
        "Inconsistent storage: Failed to read segment",
        "Service runtime error: Failed to deserialize",
    ):
        assert "backup" in told(message)
    for message in (
        "Service runtime error: vector data config for vector words not found",
        "Service runtime error: BM25 over a text index cannot rescore prefetches",
        "Operation cancelled: process cancelled by service",
    ):
        assert told(message) == f"Collection a: {message}"


def test_mmr_on_a_sparse_vector_in_a_prefetch_is_named_as_unsupported(client: EdgeClient) -> None:
    query = models.NearestQuery(nearest=models.SparseVector(indices=[7], values=[1.0]), mmr=models.Mmr())
    with pytest.raises(UnsupportedError, match="MMR on the sparse vector 'features'"):
        client.query_points(C, query=RRF, prefetch=models.Prefetch(query=query, using="features"))
    assert len(client.query_points(C, query=query, using="features").points) == 5


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_that_the_engine_cannot_hold_is_a_value_error(client: EdgeClient, number: int) -> None:
    for call in (
        lambda: client.scroll(C, limit=number),
        lambda: client.query_points(C, query=[1.0] * SIZE, using="base", limit=number),
        lambda: client.create_collection("new", hnsw_config=models.HnswConfigDiff(m=number)),
        lambda: client.create_collection("new", optimizers_config=models.OptimizersConfigDiff(max_segment_size=number)),
    ):
        with pytest.raises(ValueError, match=r"number|limit"):
            call()
    assert not client.collection_exists("new")


def test_unknown_arguments_are_refused(client: EdgeClient) -> None:
    client.count(C, timeout=3)
    client.upsert(C, points=[point(1)], wait=False, ordering=models.WriteOrdering.STRONG)
    with pytest.raises(TypeError, match="'filter'"):
        client.count(C, filter=None)
    with pytest.raises(UnsupportedError, match="shard_key_selector"):
        client.count(C, shard_key_selector="a")
    with pytest.raises(UnsupportedError, match="shard_number"):
        create(client, "new", shard_number=3)


def test_what_edge_cannot_do_is_named(client: EdgeClient) -> None:
    with pytest.raises(UnsupportedError, match="create_full_snapshot"):
        client.create_full_snapshot()
    with pytest.raises(UnsupportedError, match="Document"):
        client.query_points(C, query=models.Document(text="x", model="y"), using="base")
    with pytest.raises(UnsupportedError, match="turbo4"):
        client.create_collection(
            "new",
            vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT, datatype=models.Datatype.TURBO4),
        )
    assert not hasattr(client, "no_such_method")


def test_collections_move_to_another_client(client: EdgeClient, tmp_path: Path) -> None:
    client.update_collection(C, metadata={"a": 1})
    before = contents(client)
    local = QdrantClient(":memory:")
    client.migrate(local, batch_size=2)
    with EdgeClient(tmp_path / "other") as other:
        local.migrate(other)
        assert contents(other) == before
        assert other.get_collection(C).config.metadata == {"a": 1}
        with pytest.raises(ValueError, match="already exist"):
            client.migrate(other)
        client.migrate(other, [C], recreate_on_collision=True)
        assert contents(other) == before
    local.close()


def test_the_engine_tells_its_version(client: EdgeClient) -> None:
    local = QdrantClient(":memory:")
    assert client.info().title == local.info().title  # a server has it too
    local.close()
    assert client.info().version == version("qdrant-edge-py")


# --- aliases, optimizing ---------------------------------------------------------------------------------


def _switch(name: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name="live"))


def test_an_alias_switches_and_is_remembered(client: EdgeClient, tmp_path: Path) -> None:
    create(client, "new")
    client.update_collection_aliases([_switch(C)])
    assert client.count("live").count == 5
    client.update_collection_aliases([_switch("new")])
    client.close()
    with EdgeClient(tmp_path / "store") as reopened:
        assert reopened.count("live").count == 0
        assert reopened.collection_exists("live")
        assert [alias.alias_name for alias in reopened.get_collection_aliases("new").aliases] == ["live"]
        with pytest.raises(ValueError, match="not found"):
            reopened.update_collection_aliases([_switch("nope")])
        with pytest.raises(ValueError, match="already exists"):
            create(reopened, "live")
        reopened.delete_collection("new")
        assert not reopened.collection_exists("live")


def test_optimizing_keeps_the_results(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((600, 16)).astype(np.float32)
    params = models.VectorParams(
        size=16,
        distance=models.Distance.COSINE,
        hnsw_config=models.HnswConfigDiff(m=16, ef_construct=64, full_scan_threshold=10),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99)
        ),
        datatype=models.Datatype.FLOAT16,
        on_disk=True,
    )
    with EdgeClient(tmp_path) as client:
        client.create_collection(
            C, vectors_config=params, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=10)
        )
        client.upload_points(
            C, (models.PointStruct(id=i, vector=row.tolist()) for i, row in enumerate(vectors)), batch_size=200
        )
        exact = models.SearchParams(exact=True, hnsw_ef=64)
        before = [client.query_points(C, query=row, search_params=exact).points[0].id for row in vectors[:20]]
        assert client.optimize(C)
        assert client.get_collection(C).indexed_vectors_count == 600
        after = [client.query_points(C, query=row).points[0].id for row in vectors[:20]]
        assert before == after == list(range(20))


@pytest.mark.parametrize("write", ["upsert", "set_payload"])
def test_a_payload_that_the_engine_could_not_read_again_is_refused(tmp_path, write):
    deep: object = 1
    for _ in range(101):
        deep = {"a": deep}
    with EdgeClient(tmp_path) as client:
        client.create_collection("points", vectors_config=models.VectorParams(size=1, distance=models.Distance.DOT))
        client.upsert("points", [models.PointStruct(id=1, vector=[1.0])])
        arguments = {
            "upsert": {"points": [models.PointStruct(id=2, vector=[1.0], payload={"deep": deep})]},
            "set_payload": {"payload": {"deep": deep}, "points": [1]},
        }
        with pytest.raises(ValueError, match="nested more than 100 levels"):
            getattr(client, write)("points", **arguments[write])
        client.set_payload("points", {"deep": deep["a"]["a"]}, points=[1])
    with EdgeClient(tmp_path) as client:
        assert client.retrieve("points", [1])[0].payload == {"deep": deep["a"]["a"]}

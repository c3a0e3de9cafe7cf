"""On a full disk writes are refused before the engine can crash the process, and no data is lost."""

import json
import shutil
import sys
import textwrap
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import Programs
from qdrant_client import models

from fg_search.edge.client import EdgeClient
from fg_search.errors import StorageError

C = "points"
MIB = 2**20
Usage = namedtuple("Usage", "total used free")


def points(numbers: range) -> list[models.PointStruct]:
    return [models.PointStruct(id=number, vector=[1.0, float(number)], payload={"n": number}) for number in numbers]


def create(client: EdgeClient, name: str = C) -> None:
    client.create_collection(name, vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EdgeClient]:
    with EdgeClient(tmp_path / "store") as client:
        create(client)
        client.upsert(C, points(range(10)))
        yield client


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the free space that the disk reports, in MiB."""

    def set_free(mib: int, total: int = 1000 * MIB) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total, 0, mib * MIB))

    return set_free


WRITES: dict[str, Callable[[EdgeClient], object]] = {
    "upsert": lambda c: c.upsert(C, points(range(10, 12))),
    "set_payload": lambda c: c.set_payload(C, {"x": 1}, points=[1]),
    "update_vectors": lambda c: c.update_vectors(C, [models.PointVectors(id=1, vector=[0.0, 0.0])]),
    "delete": lambda c: c.delete(C, [1]),
    "create_payload_index": lambda c: c.create_payload_index(C, "n", "integer"),
    "create_collection": lambda c: create(c, "new"),
    "create_snapshot": lambda c: c.create_snapshot(C),
    "optimize": lambda c: c.optimize(C),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_write_that_might_fill_the_disk_is_refused(
    client: EdgeClient, free: Callable[..., None], write: Callable[[EdgeClient], object]
) -> None:
    before = client.scroll(C, limit=100, with_vectors=True)
    free(40)
    with pytest.raises(StorageError, match=r"no space left.*40 MiB are free.*Free some and try again"):
        write(client)
    assert client.scroll(C, limit=100, with_vectors=True) == before
    assert not client.collection_exists("new")
    assert client.list_snapshots(C) == []
    free(500)
    write(client)


def test_a_large_write_needs_more_room_than_a_small_one(client: EdgeClient, free: Callable[..., None]) -> None:
    free(66)
    client.upsert(C, points(range(10, 20)))
    with pytest.raises(StorageError, match="no space left"):
        client.upsert(C, points(range(1000, 3000)))
    assert client.count(C).count == 20


def test_a_snapshot_is_not_recovered_onto_a_full_disk(client: EdgeClient, free: Callable[..., None]) -> None:
    path = client.snapshot_path(C, client.create_snapshot(C).name)
    client.upsert(C, points(range(10, 20)))
    free(64)
    with pytest.raises(StorageError, match="no space left"):
        client.recover_snapshot(C, path)
    assert client.count(C).count == 20


def test_what_was_refused_a_write_can_be_opened_read_and_deleted(
    client: EdgeClient, free: Callable[..., None], tmp_path: Path
) -> None:
    client.close()
    free(40)
    with EdgeClient(tmp_path / "store") as reopened:
        assert reopened.count(C).count == 10
    free(20)
    with EdgeClient(tmp_path / "store") as reopened:
        with pytest.raises(StorageError, match="no space left"):
            reopened.count(C)
        free(40)
        assert reopened.count(C).count == 10
        free(0)
        assert reopened.delete_collection(C)


def test_a_file_system_that_does_not_tell_its_size_is_written_to(client: EdgeClient, free: Callable[..., None]) -> None:
    free(0, total=0)
    client.upsert(C, points(range(10, 20)))
    assert client.count(C).count == 20


CHILD = textwrap.dedent("""
    import json, os, resource, signal, sys
    from qdrant_client import models
    from fg_search.errors import StorageError
    from fg_search.edge.client import EdgeClient

    client = EdgeClient(sys.argv[1])
    size_two = models.VectorParams(size=2, distance=models.Distance.DOT)
    errors, acknowledged = [], 0

    def write():
        global acknowledged
        numbers = range(acknowledged, acknowledged + 500)
        client.upsert(
            "points",
            [models.PointStruct(id=n, vector=[1.0, float(n)], payload={"n": n}) for n in numbers],
        )
        acknowledged += 500

    def attempt(call):
        try:
            call()
        except StorageError as error:
            errors.append(str(error))

    write()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # growing a file past the limit then fails in the system call
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    for _ in range(8):
        attempt(write)
    attempt(lambda: client.create_snapshot("points"))
    attempt(lambda: client.create_collection("new", vectors_config=size_two))
    attempt(lambda: client.update_collection("points", metadata={"long": "x" * 10_000}))
    attempt(client.close)
    print(json.dumps([acknowledged, errors]), flush=True)
    os._exit(0)
""")


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is of POSIX")
def test_files_that_cannot_grow_lose_no_acknowledged_point(tmp_path: Path, programs: Programs) -> None:
    with EdgeClient(tmp_path) as client:
        create(client)
    acknowledged, errors = json.loads(programs.run(CHILD, tmp_path).stdout)
    assert acknowledged >= 500
    assert len(errors) >= 4
    assert all("space" in error for error in errors)
    with EdgeClient(tmp_path) as client:
        assert [collection.name for collection in client.get_collections().collections] == [C]
        found = client.retrieve(C, range(acknowledged), with_vectors=True)
        assert [point.payload for point in found] == [{"n": number} for number in range(acknowledged)]
        assert client.get_collection(C).config.metadata is None
        assert client.list_snapshots(C) == []
        client.upsert(C, points(range(10_000, 10_010)))

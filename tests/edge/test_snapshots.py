"""Snapshots of an EdgeClient's collections are consistent and atomic, and checked before anything is replaced."""

import io
import json
import os
import shutil
import signal
import tarfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from programs import Programs
from qdrant_client import models

from fg_search.edge.client import EdgeClient
from fg_search.errors import FormatVersionError, StorageError, UnsupportedError

C = "points"


def points(numbers: range) -> list[models.PointStruct]:
    return [
        models.PointStruct(
            id=number,
            vector={"base": [1.0, float(number)], "features": models.SparseVector(indices=[number], values=[0.5])},
            payload={"n": number},
        )
        for number in numbers
    ]


def fill(client: EdgeClient, name: str = C, count: int = 20) -> None:
    client.create_collection(
        name,
        vectors_config={"base": models.VectorParams(size=2, distance=models.Distance.DOT)},
        sparse_vectors_config={"features": models.SparseVectorParams()},
        metadata={"made": "here"},
    )
    client.create_payload_index(name, "n", "integer")
    client.upsert(name, points(range(count)))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EdgeClient]:
    with EdgeClient(tmp_path / "store") as client:
        fill(client)
        yield client


@pytest.fixture
def snapshot(client: EdgeClient, tmp_path: Path) -> Path:
    """A snapshot of twenty points, copied out of the client's folder."""
    made = client.create_snapshot(C)
    return Path(shutil.copy(client.snapshot_path(C, made.name), tmp_path / "copy.snapshot"))


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EdgeClient, bytes]]:
    """Thirty points and a snapshot of the first twenty, for tests that change neither."""
    with EdgeClient(tmp_path_factory.mktemp("lasting")) as client:
        fill(client)
        made = client.create_snapshot(C)
        client.upsert(C, points(range(20, 30)))
        yield client, client.snapshot_path(C, made.name).read_bytes()


def contents(client: EdgeClient, name: str = C) -> Any:
    return client.scroll(name, limit=10_000, with_vectors=True)[0], client.get_collection(name)


def test_a_snapshot_brings_back_points_settings_and_indexes(client: EdgeClient) -> None:
    before = contents(client)
    made = client.create_snapshot(C, wait=True)
    client.delete(C, points_selector=models.Filter(must=[]))
    client.delete_payload_index(C, "n")
    client.update_collection(C, metadata={"made": None})
    assert client.recover_snapshot(C, client.snapshot_path(C, made.name), priority=models.SnapshotPriority.SNAPSHOT)
    assert contents(client) == before
    client.upsert(C, points(range(20, 25)))
    assert [point.id for point in client.scroll(C, order_by="n", limit=100)[0]] == list(range(25))


def test_what_was_recovered_is_there_after_reopening(client: EdgeClient, snapshot: Path) -> None:
    client.recover_snapshot("other", snapshot)
    client.upsert("other", points(range(20, 22)))
    before, folder = contents(client, "other"), snapshot.parent / "store"
    client.close()
    with EdgeClient(folder) as reopened:
        assert contents(reopened, "other") == before
        assert reopened.count(C).count == 20


def test_another_folder_takes_a_snapshot_from_a_url(client: EdgeClient, snapshot: Path, tmp_path: Path) -> None:
    [description] = client.list_snapshots(C)
    odd = snapshot.rename(tmp_path / "with space %.snapshot")
    with EdgeClient(tmp_path / "other store") as other:
        other.recover_snapshot(C, odd.as_uri(), checksum=description.checksum)
        assert contents(other) == contents(client)


def test_an_alias_stands_for_its_collection(client: EdgeClient, snapshot: Path) -> None:
    alias = models.CreateAlias(collection_name=C, alias_name="live")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    made = client.create_snapshot("live")
    assert made in client.list_snapshots(C)
    client.upsert(C, points(range(20, 30)))
    client.recover_snapshot("live", client.snapshot_path("live", made.name))
    assert client.count(C).count == 20
    assert [collection.name for collection in client.get_collections().collections] == [C]


def test_snapshots_are_listed_found_and_deleted(client: EdgeClient) -> None:
    first, second = client.create_snapshot(C), client.create_snapshot(C)
    assert client.list_snapshots(C) == [first, second]
    path = client.snapshot_path(C, first.name)
    assert path.stat().st_size == first.size
    assert path.name == first.name
    assert client.delete_snapshot(C, first.name)
    assert not path.exists()
    assert client.list_snapshots(C) == [second]
    for name in (first.name, "nope.snapshot", f"../{C}/{second.name}", ".", "", f"{second.name}.checksum"):
        with pytest.raises(ValueError, match="not found"):
            client.delete_snapshot(C, name)
        with pytest.raises(ValueError, match="not found"):
            client.snapshot_path(C, name)


def test_snapshots_are_no_collections_and_outlive_theirs(client: EdgeClient) -> None:
    made = client.create_snapshot(C)
    client.delete_collection(C)
    assert client.get_collections().collections == []
    assert client.list_snapshots(C) == [made]
    client.recover_snapshot(C, client.snapshot_path(C, made.name))
    assert client.count(C).count == 20


def test_a_collection_that_does_not_exist_is_named(client: EdgeClient) -> None:
    for call in (client.create_snapshot, client.list_snapshots):
        with pytest.raises(ValueError, match="Collection nope not found"):
            call("nope")
    with pytest.raises(ValueError, match="Collection name"):
        client.list_snapshots("../x")


def test_a_closed_client_makes_no_snapshots(client: EdgeClient, snapshot: Path) -> None:
    client.close()
    for call in (
        lambda: client.create_snapshot(C),
        lambda: client.list_snapshots(C),
        lambda: client.recover_snapshot(C, snapshot),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_files_are_stored_without_their_empty_ends(client: EdgeClient, snapshot: Path) -> None:
    shard = snapshot.parent / "store" / C / "shard"
    facts = [path.stat() for path in shard.rglob("*") if path.is_file()]
    taken = sum(one.st_blocks * 512 for one in facts)  # more in a file system in memory, which has fewer holes
    assert taken < 5_000_000
    assert sum(one.st_size for one in facts) > 20_000_000
    assert snapshot.stat().st_size < taken + 1_000_000


# --- other threads, other processes ----------------------------------------------------------------------


def test_a_snapshot_taken_while_threads_write_holds_whole_writes_up_to_a_moment(client: EdgeClient) -> None:
    """Each thread writes batches of five. A snapshot holds complete batches without gaps, and at least those
    whose write had returned before the snapshot was requested."""
    done = threading.Event()
    written = [0, 0]

    def write(which: int) -> None:
        while not done.is_set():
            start = 1000 + 100_000 * which + written[which]
            client.upsert(C, points(range(start, start + 5)))
            written[which] += 5

    def optimize() -> None:
        while not done.is_set():
            client.optimize(C)

    threads = [threading.Thread(target=write, args=(which,)) for which in (0, 1)]
    threads.append(threading.Thread(target=optimize))
    for thread in threads:
        thread.start()
    taken = []
    for _ in range(4):
        before = list(written)
        made = client.create_snapshot(C)
        taken.append((before, made, list(written)))
    done.set()
    for thread in threads:
        thread.join()
    for number, (before, made, after) in enumerate(taken):
        client.recover_snapshot(f"copy{number}", client.snapshot_path(C, made.name))
        ids = {point.id for point in client.scroll(f"copy{number}", limit=1_000_000, with_vectors=True)[0]}
        assert ids >= set(range(20))
        for which in (0, 1):
            start = 1000 + 100_000 * which
            found = sum(start <= point_id < start + 100_000 for point_id in ids)
            assert set(range(start, start + found)) <= ids
            assert found % 5 == 0
            assert before[which] <= found <= after[which] + 5
    assert written > [0, 0]


def test_a_collection_is_replaced_while_threads_read_it(client: EdgeClient, snapshot: Path) -> None:
    client.upsert(C, points(range(20, 40)))
    wrong: list[Any] = []
    done = threading.Event()

    def read() -> None:
        while not done.wait(0.001):
            try:
                count = client.count(C).count
            except RuntimeError as error:
                if "replaced" not in str(error):
                    wrong.append(error)
            else:
                if count not in (20, 40):
                    wrong.append(count)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        client.recover_snapshot(C, snapshot)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert client.count(C).count == 20


CHILD = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from fg_search.edge.client import EdgeClient

    client = EdgeClient(sys.argv[1])
    rename, renames = Path.rename, 0

    def rename_some(self, target):
        global renames
        if renames == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        renames += 1
        return rename(self, target)

    Path.rename = rename_some
    client.recover_snapshot("points", sys.argv[2])
    os.kill(os.getpid(), signal.SIGKILL)
""")


@pytest.mark.parametrize(("renames", "count"), [(0, 30), (1, 30), (2, 20)])
def test_a_process_killed_while_it_recovers_leaves_the_old_or_the_new_collection(
    client: EdgeClient, snapshot: Path, programs: Programs, renames: int, count: int
) -> None:
    folder = snapshot.parent / "store"
    client.upsert(C, points(range(20, 30)))
    client.close()
    assert programs.run(CHILD, folder, snapshot, renames).returncode == -signal.SIGKILL
    with EdgeClient(folder) as reopened:
        assert reopened.count(C).count == count
        assert {path.name for path in folder.iterdir()} == {".lock", ".snapshots", C}


# --- what goes wrong --------------------------------------------------------------------------------------


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def _everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_snapshot_that_cannot_be_written_leaves_nothing(
    client: EdgeClient, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _everything(snapshot.parent)
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(StorageError, match="No space left on device; check free space"):
        client.create_snapshot(C)
    monkeypatch.undo()
    assert _everything(snapshot.parent) == before
    assert client.create_snapshot(C) in client.list_snapshots(C)


@pytest.mark.parametrize("broken", ["fsync", "rename"])
def test_a_recovery_that_cannot_be_written_changes_nothing(
    client: EdgeClient, snapshot: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    client.upsert(C, points(range(20, 30)))
    rename = Path.rename

    def fail_on_the_new_one(self: Path, target: Path) -> Path:
        if self.name.startswith(".creating-"):
            _no_space()
        return rename(self, target)

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", _no_space)
    else:
        monkeypatch.setattr(Path, "rename", fail_on_the_new_one)
    with pytest.raises(StorageError, match="No space left on device; check free space"):
        client.recover_snapshot(C, snapshot)
    monkeypatch.undo()
    assert client.count(C).count == 30
    assert {path.name for path in (snapshot.parent / "store").iterdir()} == {".lock", ".snapshots", C}
    client.recover_snapshot(C, snapshot)
    assert client.count(C).count == 20


def test_a_snapshot_cut_short_is_tidied_away_at_the_next_start(client: EdgeClient, snapshot: Path) -> None:
    store = snapshot.parent / "store"
    [made] = client.list_snapshots(C)
    (store / ".snapshots" / C / ".writing-x.snapshot").write_bytes(b"x")
    assert client.list_snapshots(C) == [made]
    client.close()
    with EdgeClient(store) as reopened:
        assert reopened.list_snapshots(C) == [made]
        assert not (store / ".snapshots" / C / ".writing-x.snapshot").exists()


def _truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(marker: bytes) -> Callable[[bytes], bytes]:
    """Change the byte after a marker."""

    def damage(data: bytes) -> bytes:
        at = data.rindex(marker) + len(marker)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return damage


def _rebuilt(
    change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None],
) -> Callable[[bytes], bytes]:
    """Rewrite the archive with other members."""

    def damage(data: bytes) -> bytes:
        target = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(data)) as source, tarfile.open(fileobj=target, mode="w") as archive:
            for member in source:
                file = source.extractfile(member)
                changed = change(member, file.read() if file else b"")
                if changed is not None:
                    archive.addfile(changed[0], io.BytesIO(changed[1]))
        return target.getvalue()

    return damage


def _renamed(to: str, kind: bytes = tarfile.REGTYPE) -> Callable[[bytes], bytes]:
    def change(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if member.name == "collection.json":
            member.name, member.type, member.linkname = to, kind, "/etc/passwd"
        return member, data

    return _rebuilt(change)


def _without(name: str) -> Callable[[bytes], bytes]:
    return _rebuilt(lambda member, data: None if member.name.endswith(name) else (member, data))


def _twice(data: bytes) -> bytes:
    at = data.index(b"\0" * 512, 512)  # after the header and content of the first member
    return data[: at - at % 512] + data


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "text": lambda data: b"hello" * 1000,
    "truncated": _truncated,
    "cut before the manifest": lambda data: data[: data.rindex(b"manifest.json")],
    "settings": _flipped(b'"payload_schema": '),
    "stored number": _flipped(b'"n":'),
    "checksum": _flipped(b'"sha256": "'),
    "size": _flipped(b'"size": '),
    "absolute": _renamed("/tmp/collection.json"),
    "above": _renamed("shard/../../collection.json"),
    "elsewhere": _renamed("other.json"),
    "symbolic link": _renamed("collection.json", tarfile.SYMTYPE),
    "hard link": _renamed("shard/x", tarfile.LNKTYPE),
    "device": _renamed("shard/x", tarfile.CHRTYPE),
    "without settings": _without("collection.json"),
    "without a file": _without("segment.json"),
    "twice": _twice,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_snapshot_is_refused_and_nothing_changes(
    lasting: tuple[EdgeClient, bytes], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    client, whole = lasting
    damaged = damage(whole)
    assert damaged != whole
    (tmp_path / "x.snapshot").write_bytes(damaged)
    for name in (C, "new"):
        with pytest.raises(StorageError, match="Nothing was changed"):
            client.recover_snapshot(name, tmp_path / "x.snapshot")
    assert client.count(C).count == 30
    assert [collection.name for collection in client.get_collections().collections] == [C]
    assert [path.name for path in tmp_path.iterdir()] == ["x.snapshot"]


def test_a_whole_archive_of_what_is_no_collection_is_refused(client: EdgeClient, snapshot: Path) -> None:
    with EdgeClient(snapshot.parent / "other") as other:
        fill(other)
        settings = snapshot.parent / "other" / C / "collection.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "config": {"vectors": 5}}))
        made = other.create_snapshot(C)
        with pytest.raises(StorageError, match="Nothing was changed"):
            client.recover_snapshot(C, other.snapshot_path(C, made.name))
    assert client.count(C).count == 20


def test_a_snapshot_of_a_newer_format_is_refused(client: EdgeClient, snapshot: Path) -> None:
    snapshot.write_bytes(snapshot.read_bytes().replace(b'{"version": 1, "files"', b'{"version": 9, "files"'))
    with pytest.raises(FormatVersionError, match="upgrade"):
        client.recover_snapshot(C, snapshot)
    assert client.count(C).count == 20


def test_locations_that_lead_to_no_snapshot_are_refused(client: EdgeClient, snapshot: Path, tmp_path: Path) -> None:
    for missing in (tmp_path, tmp_path / "nope", (tmp_path / "nope").as_uri()):
        with pytest.raises(StorageError, match="no snapshot at"):
            client.recover_snapshot(C, missing)
    for url in ("https://example.com/x.snapshot", "s3://bucket/x", "file://elsewhere/x.snapshot"):
        with pytest.raises(UnsupportedError, match="download"):
            client.recover_snapshot(C, url)
    with pytest.raises(StorageError, match="does not have the checksum"):
        client.recover_snapshot(C, snapshot, checksum="0" * 64)
    with pytest.raises(ValueError, match="Collection name"):
        client.recover_snapshot("../x", snapshot)
    with pytest.raises(UnsupportedError, match="api_key"):
        client.recover_snapshot(C, snapshot, api_key="secret")
    assert client.count(C).count == 20


def test_a_lost_checksum_is_computed(client: EdgeClient, snapshot: Path) -> None:
    [made] = client.list_snapshots(C)
    path = client.snapshot_path(C, made.name)
    path.with_name(f"{path.name}.checksum").unlink()
    assert client.list_snapshots(C) == [made]

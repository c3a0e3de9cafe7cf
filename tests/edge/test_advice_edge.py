"""Advice of the embedded client: folders, damaged files, snapshots, and what the engine lacks."""

import inspect
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from advising import Advice
from qdrant_client import QdrantClient, models

from fg_search.edge.client import EdgeClient
from fg_search.errors import FolderLockedError, FormatVersionError, StorageError, UnsupportedError

_C = "points"
_DOT = models.VectorParams(size=2, distance=models.Distance.DOT)
_MIB = 2**20


def _points(*ids):
    return [models.PointStruct(id=i, vector=[1.0, float(i)], payload={"n": i}) for i in ids]


@pytest.fixture
def folder(tmp_path):
    with EdgeClient(tmp_path / "store") as client:
        client.create_collection(_C, vectors_config=_DOT)
        client.upsert(_C, _points(1, 2, 3))
    return tmp_path / "store"


@pytest.fixture
def client(folder):
    with EdgeClient(folder) as opened:
        yield opened


def _count(folder):
    with EdgeClient(folder) as client:
        return client.count(_C).count


def test_the_path_of_a_folder_is_given(tmp_path):
    (tmp_path / "file").write_text("")
    with Advice("… is a file; give the path of a folder").raised(StorageError):
        EdgeClient(tmp_path / "file")
    EdgeClient(tmp_path / "folder").close()


def test_a_storage_of_local_mode_is_opened_as_such(tmp_path):
    local = QdrantClient(path=str(tmp_path / "local"))
    local.create_collection(_C, vectors_config=_DOT)
    local.close()
    advice = Advice("open it with QdrantClient(path=…) and choose another folder here")
    with advice.raised(StorageError):
        EdgeClient(tmp_path / "local")
    local = QdrantClient(path=str(tmp_path / "local"))
    assert local.collection_exists(_C)
    local.close()
    EdgeClient(tmp_path / "another").close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_permissions_are_checked(folder):
    folder.chmod(0o500)
    try:
        with Advice("Cannot use folder …: …; check its permissions").raised(StorageError):
            EdgeClient(folder)
    finally:
        folder.chmod(0o700)
    assert _count(folder) == 3


def test_what_is_in_the_way_of_a_folder_is_found_by_its_error(tmp_path):
    (tmp_path / "file").write_text("")
    with Advice("Cannot use folder …: …; check its permissions").raised(StorageError):
        EdgeClient(tmp_path / "file" / "below")
    (tmp_path / "file").unlink()
    EdgeClient(tmp_path / "file" / "below").close()


def test_the_other_client_is_closed_first_or_shared(folder):
    first = EdgeClient(folder)
    with Advice("Close that client first, share it between threads, or run a Qdrant server").raised(FolderLockedError):
        EdgeClient(folder)
    from threading import Thread

    found = []
    thread = Thread(target=lambda: found.append(first.count(_C).count))
    thread.start()
    thread.join()
    assert found == [3]
    first.close()
    assert _count(folder) == 3


@pytest.mark.parametrize(
    ("advice", "content"),
    [
        (Advice("… is damaged (…); restore … from a backup"), "{"),
        (Advice("… is damaged (it holds no aliases); restore … from a backup"), '{"version": 1, "aliases": [1]}'),
    ],
)
def test_a_folder_is_restored_from_a_backup(folder, tmp_path, advice, content):
    shutil.copytree(folder, tmp_path / "backup")
    (folder / "aliases.json").write_text(content)
    with advice.raised(StorageError) as caught:
        EdgeClient(folder)
    assert f"restore {folder} from" in str(caught.value)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    assert _count(folder) == 3


@pytest.mark.parametrize("way", ["recover", "restore", "delete"])
def test_a_damaged_collection_is_recovered_restored_or_made_anew(folder, tmp_path, way):
    with EdgeClient(folder) as client:
        snapshot = client.create_snapshot(_C)
        shutil.copy(client.snapshot_path(_C, snapshot.name), tmp_path / "s.snapshot")
    shutil.copytree(folder / _C, tmp_path / "backup")
    (folder / _C / "collection.json").write_text('{"version": 1}')
    advice = Advice(
        "… is damaged: …. Recover a snapshot of it, restore … from a backup, or delete the collection and add its "
        "points again."
    )
    with EdgeClient(folder) as client:
        with advice.raised(StorageError) as caught:
            client.count(_C)
        assert f"restore {folder / _C} from" in str(caught.value)
        if way == "recover":
            client.recover_snapshot(_C, str(tmp_path / "s.snapshot"))
        elif way == "delete":
            client.delete_collection(_C)
            client.create_collection(_C, vectors_config=_DOT)
            client.upsert(_C, _points(1, 2, 3))
    if way == "restore":
        shutil.rmtree(folder / _C)
        shutil.copytree(tmp_path / "backup", folder / _C)
    assert _count(folder) == 3


def test_a_folder_of_a_newer_release_is_read_by_that(folder):
    known = json.loads((folder / _C / "collection.json").read_text())
    (folder / _C / "collection.json").write_text(json.dumps({**known, "version": 99}))
    advice = Advice("… has format version …, this release reads up to …; upgrade fg_search")
    with EdgeClient(folder) as client, advice.raised(FormatVersionError):
        client.count(_C)
    (folder / _C / "collection.json").write_text(json.dumps(known))
    assert _count(folder) == 3


def test_some_space_is_freed(client, monkeypatch):
    usage = namedtuple("usage", "total used free")
    advice = Advice("MiB are needed. Free some and try again; what was written before is safe.")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(1000 * _MIB, 990 * _MIB, 10 * _MIB))
        with advice.raised(StorageError):
            client.upsert(_C, _points(4))
    client.upsert(_C, _points(4))
    assert client.count(_C).count == 4


def test_what_has_the_name_of_a_collection_is_found_by_its_error(client, folder):
    (folder / "taken").mkdir()
    (folder / "taken" / "notes.txt").write_text("mine")
    advice = Advice(
        "Cannot write collection … in …: …; check free space, permissions and whether something else has that name"
    )
    with advice.raised(StorageError):
        client.create_collection("taken", vectors_config=_DOT)
    (folder / "taken").rename(folder.parent / "notes")
    client.create_collection("taken", vectors_config=_DOT)


def test_aliases_that_cannot_be_written_are_written_afterwards(client, folder):
    (folder / "aliases.json.tmp").mkdir()
    create = models.CreateAlias(collection_name=_C, alias_name="a")
    operations = [models.CreateAliasOperation(create_alias=create)]
    with Advice("Cannot write …: …; check free space and permissions").raised(StorageError):
        client.update_collection_aliases(operations)
    (folder / "aliases.json.tmp").rmdir()
    client.update_collection_aliases(operations)
    assert client.count("a").count == 3


def test_another_snapshot_is_used(client, tmp_path):
    good = client.snapshot_path(_C, client.create_snapshot(_C).name)
    (tmp_path / "bad.snapshot").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    with Advice("The snapshot … is damaged: …. Nothing was changed; use another snapshot.").raised(StorageError):
        client.recover_snapshot(_C, str(tmp_path / "bad.snapshot"))
    assert client.count(_C).count == 3
    client.recover_snapshot(_C, str(good))
    with Advice("There is no snapshot at …; give the path of a file").raised():
        client.recover_snapshot(_C, str(tmp_path))
    client.recover_snapshot(_C, str(good))
    advice = Advice("A snapshot is recovered from a path or a file:// URL, not from …; download it")
    with advice.raised():
        client.recover_snapshot(_C, "http://localhost/s.snapshot")
    downloaded = shutil.copy(good, tmp_path / "downloaded.snapshot")
    client.recover_snapshot(_C, str(downloaded))
    client.recover_snapshot(_C, downloaded.as_uri())
    assert client.count(_C).count == 3


def test_another_snapshot_is_used_for_one_of_a_newer_release_or_of_what_is_no_collection(client, tmp_path):
    good = client.snapshot_path(_C, client.create_snapshot(_C).name)
    newer = tmp_path / "newer.snapshot"
    newer.write_bytes(good.read_bytes().replace(b'{"version": 1, "files"', b'{"version": 9, "files"'))
    with Advice("The snapshot has format version …, this release reads up to …; upgrade fg_search").raised():
        client.recover_snapshot(_C, newer)
    with EdgeClient(tmp_path / "other") as other:
        other.create_collection(_C, vectors_config=_DOT)
        other.upsert(_C, _points(1))
        settings = tmp_path / "other" / _C / "collection.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "config": {"vectors": 5}}))
        odd = other.snapshot_path(_C, other.create_snapshot(_C).name)
        advice = Advice("does not hold a collection that opens: …. Nothing was changed; use another snapshot.")
        with advice.raised(StorageError):
            client.recover_snapshot(_C, odd)
    assert client.count(_C).count == 3
    client.recover_snapshot(_C, good)


def test_a_snapshot_that_cannot_be_deleted_is_deleted_afterwards(client, monkeypatch):
    name = client.create_snapshot(_C).name

    def refuse(*_, **__):
        raise PermissionError("not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with Advice("Cannot delete snapshot …: …; check its permissions").raised(StorageError):
            client.delete_snapshot(_C, name)
    client.delete_snapshot(_C, name)
    assert client.list_snapshots(_C) == []


@pytest.mark.parametrize("way", ["recover", "restore"])
def test_files_that_are_damaged_are_recovered_or_restored(folder, tmp_path, way):
    with EdgeClient(folder) as client:
        good = client.snapshot_path(_C, client.create_snapshot(_C).name)
    shutil.copytree(folder, tmp_path / "backup")
    for file in folder.rglob("segment.json"):
        file.write_bytes(b"{")
    advice = Advice(
        ". If this happens again its files are damaged: recover a snapshot, or restore the folder from a backup."
    )
    with EdgeClient(folder) as client:
        with advice.raised(StorageError):
            client.count(_C)
        if way == "recover":
            client.recover_snapshot(_C, good)
    if way == "restore":
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "backup", folder)
    assert _count(folder) == 3


def test_a_snapshot_that_cannot_be_written_is_made_afterwards(client, folder):
    (folder / ".snapshots").write_text("")
    advice = Advice("Cannot write a snapshot of collection … to …: …; check free space and permissions. The collection")
    with advice.raised(StorageError):
        client.create_snapshot(_C)
    (folder / ".snapshots").unlink()
    client.create_snapshot(_C)


@pytest.mark.parametrize(
    ("advice", "wrong", "right"),
    [
        (
            Advice("The condition on … is empty; give it a match, a range or the like"),
            [models.FieldCondition.model_construct(key="n")],
            [models.FieldCondition(key="n", match=models.MatchValue(value=2))],
        ),
        (
            Advice("which engines read differently; give each a condition of its own, in must or in should"),
            [models.FieldCondition(key="n", match=models.MatchValue(value=2), range=models.Range(gt=1))],
            [
                models.FieldCondition(key="n", match=models.MatchValue(value=2)),
                models.FieldCondition(key="n", range=models.Range(gt=1)),
            ],
        ),
    ],
)
def test_a_condition_is_written_as_the_message_says(client, advice, wrong, right):
    with advice.raised():
        client.count(_C, count_filter=models.Filter(must=wrong))
    assert client.count(_C, count_filter=models.Filter(must=right)).count == 1


def test_a_range_is_given_too(client):
    condition = models.FieldCondition(key="n", range=models.Range(gte=2))
    assert client.count(_C, count_filter=models.Filter(should=[condition])).count == 2


def test_finite_numbers_are_used_in_formulas(client):
    def ask(constant):
        formula = models.FormulaQuery(formula=models.SumExpression(sum=["$score", constant]))
        prefetch = models.Prefetch(query=[1.0, 0.0], limit=3)
        return client.query_points(_C, prefetch=prefetch, query=formula).points

    with Advice("A formula has the constant …; use finite numbers").raised():
        ask(float("inf"))
    assert len(ask(1.0)) == 3


def test_points_are_given_as_a_list_or_a_batch(client):
    with Advice("Unsupported type: …; give a list of PointStruct, or a Batch").raised():
        client.upsert(_C, {"id": 4})
    client.upsert(_C, _points(4))
    client.upsert(_C, models.Batch(ids=[5], vectors=[[1.0, 2.0]]))
    assert client.count(_C).count == 5


def test_a_document_is_encoded_first(client):
    document = models.Document(text="my card", model="some/model")
    with Advice("…, vector …: EdgeClient does not embed …s; encode it first").raised(UnsupportedError):
        client.upsert(_C, [models.PointStruct(id=4, vector=document)])
    client.upsert(_C, [models.PointStruct(id=4, vector=[0.5, 0.5])])
    assert client.count(_C).count == 4


def test_what_the_engine_lacks_is_part_of_the_clients_of_servers(client):
    advice = Advice("….…: not supported by Qdrant Edge; use a Qdrant server for it")
    with advice.raised(UnsupportedError):
        client.create_shard_key(_C, "key")
    assert inspect.isfunction(QdrantClient.create_shard_key)  # a server in cluster mode carries it out

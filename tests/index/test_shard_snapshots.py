"""Snapshots of an index whose shards lie on several nodes hold all of them, and go to any number of shards."""

import io
import json
import tarfile

import pytest

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.errors import ModelMismatchError, StorageError

QUESTION = "please help my card is stolen"
ON_SIX = IndexSettings(shards=6, replicas=2)


@pytest.fixture
def cluster(fake_server):
    fake_server.nodes = {node: f"http://node-{node}:6335" for node in (1, 2, 3)}
    return fake_server


@pytest.fixture
def filled(cluster, encoder, rows, questions):
    with ConfidenceIndex(cluster.url, encoder, settings=ON_SIX) as index:
        index.add(**rows)
        index.relabel({"d0": "fraud"})
        index.calibrate(*questions(100, 0))
        yield index


@pytest.fixture
def file(filled, tmp_path):
    filled.snapshot(tmp_path / "index.snapshot")
    return tmp_path / "index.snapshot"


def collections(server):
    return {collection.name for collection in server.client.get_collections().collections}


def server_snapshot(path, shards, of):
    """A file as a node of a cluster writes it, with some of the shards."""
    with tarfile.open(path, "w") as archive:
        for name, content in [(f"{shard}/segments/x", b"x") for shard in range(shards)] + [
            ("config.json", json.dumps({"params": {"shard_number": of}}).encode())
        ]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_restored_index_has_all_points_shards_and_copies(cluster, filled, file, points_of):
    with ConfidenceIndex.restore(file, cluster.url, collection="restored") as index:
        restored, points = points_of(index), points_of(filled)
        assert {key: point.payload for key, point in restored.items()} == {k: p.payload for k, p in points.items()}
        assert index.metadata == filled.metadata
        assert index.info().placement.shards == 6
        assert index.info().calibration == filled.info().calibration
        assert index.search(QUESTION).hits == filled.search(QUESTION).hits


def test_no_node_is_asked_for_its_own_snapshot(cluster, file):
    assert not cluster.counted("/snapshots")


def test_an_api_key_that_may_not_ask_for_nodes_gets_all_points_too(fake_server, encoder, rows, tmp_path):
    with ConfidenceIndex(fake_server.url, encoder) as index:
        index.add(**rows)
        fake_server.fail("GET /cluster", 403)
        index.snapshot(tmp_path / "index.snapshot")
    with ConfidenceIndex.restore(tmp_path / "index.snapshot", tmp_path / "folder") as index:
        assert len(index) == 48


def test_nothing_is_left_beside_the_file(file, tmp_path):
    assert [path.name for path in tmp_path.iterdir()] == ["index.snapshot"]


def test_it_goes_back_to_its_name(cluster, filled, file, rows):
    filled.delete(["d0", "d1"])
    with ConfidenceIndex.restore(file, cluster.url) as index:
        assert len(index) == 48
    assert len(collections(cluster)) == 1


@pytest.mark.parametrize("where", ["folder", "single server"])
def test_it_goes_to_where_there_are_no_shards(cluster, file, tmp_path, where):
    if where == "single server":
        cluster.nodes = {}
    with ConfidenceIndex.restore(file, tmp_path / "f" if where == "folder" else cluster.url, collection="r") as index:
        assert len(index) == 48
        assert index.metadata.settings == (IndexSettings() if where == "folder" else ON_SIX)


def test_the_snapshot_of_a_folder_goes_to_a_server(fake_server, tmp_path, encoder, rows):
    with ConfidenceIndex(tmp_path / "folder", encoder) as index:
        index.add(**rows)
        index.snapshot(tmp_path / "index.snapshot")
    with ConfidenceIndex.restore(tmp_path / "index.snapshot", fake_server.url) as index:
        assert len(index) == 48
        assert index.add(**rows).written == 0


def test_points_that_do_not_arrive_are_told_before_the_name_moves(cluster, filled, file, monkeypatch):
    before = collections(cluster)
    dropped = []

    def lose(handler):
        dropped.append(handler)
        return 200, {}, b'{"result": {"operation_id": 0, "status": "completed"}, "status": "ok", "time": 0.0}'

    cluster.fail("PUT .*/points$", lose)
    with pytest.raises(StorageError, match="48 points"):
        ConfidenceIndex.restore(file, cluster.url)
    assert dropped
    assert collections(cluster) == before
    assert len(filled) == 48


def test_a_file_of_another_encoder_changes_nothing(cluster, filled, file, other_encoder):
    before = collections(cluster)
    with pytest.raises(ModelMismatchError):
        ConfidenceIndex.restore(file, cluster.url, encoder=other_encoder)
    assert collections(cluster) == before


def test_a_damaged_file_changes_nothing(cluster, filled, file):
    before = collections(cluster)
    content = file.read_bytes()
    middle = content.index(b"please")
    file.write_bytes(content[:middle] + b"P" + content[middle + 1 :])
    with pytest.raises(StorageError, match=r"damaged|checksum"):
        ConfidenceIndex.restore(file, cluster.url)
    assert collections(cluster) == before


def test_the_part_of_one_node_is_refused(cluster, filled, tmp_path):
    part = server_snapshot(tmp_path / "part.snapshot", shards=2, of=6)
    with pytest.raises(StorageError, match="holds 2 of the 6 shards"):
        ConfidenceIndex.restore(part, cluster.url)
    assert len(filled) == 48
    assert not cluster.counted("/snapshots/upload")


def test_all_shards_of_a_single_server_are_its_own_business(fake_server, encoder, tmp_path):
    whole = server_snapshot(tmp_path / "whole.snapshot", shards=6, of=6)
    fake_server.fail("POST .*/snapshots/upload", 400)
    with pytest.raises(StorageError, match="told to answer 400"):
        ConfidenceIndex.restore(whole, fake_server.url)
    assert fake_server.counted("/snapshots/upload") == 1

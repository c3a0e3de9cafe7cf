import tarfile

import pytest
from qdrant_client import QdrantClient, models

from fg_search import ConfidenceIndex, EdgeClient
from fg_search.errors import (
    FolderLockedError,
    FormatVersionError,
    IndexNotFoundError,
    ModelMismatchError,
    StorageError,
)
from fg_search.layout.settings import IndexSettings

QUESTION = "please help my card is stolen"


@pytest.fixture
def saved(tmp_path, encoder, rows, questions, points_of):
    """Snapshot of a calibrated index: the file, and its content."""
    with ConfidenceIndex(tmp_path / "source", encoder, settings=IndexSettings(base_vectors="float16")) as index:
        index.add(**rows)
        index.relabel({"d0": "fraud"})
        index.calibrate(*questions(100, 0))
        index.snapshot(tmp_path / "index.snapshot")
        yield tmp_path / "index.snapshot", points_of(index), index


def collections(client):
    return sorted(collection.name for collection in client.get_collections().collections)


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_restored_index_is_the_one_that_was_saved(saved, tmp_path, encoder, rows, points_of):
    file, points, source = saved
    with ConfidenceIndex.restore(file, tmp_path / "new", encoder=encoder) as index:
        restored = points_of(index)
        assert {key: point.payload for key, point in restored.items()} == {k: p.payload for k, p in points.items()}
        assert {key: point.vector for key, point in restored.items()} == {k: p.vector for k, p in points.items()}
        assert index.metadata == source.metadata
        assert index.info().calibration == source.info().calibration
        assert index.search(QUESTION).confidence == source.search(QUESTION).confidence
        assert index.add(**rows).written == 0
        assert index.relabel({"d0": rows["labels"][0]}) == 1
    assert source.info().corrected == 1  # they have nothing in common
    with ConfidenceIndex(tmp_path / "new") as index:
        assert index.search(QUESTION).hits


def test_a_snapshot_is_of_one_moment_and_leaves_nothing_beside_it(saved, tmp_path):
    file, _, source = saved
    source.delete(["d0", "d1"])
    with ConfidenceIndex.restore(file, tmp_path / "new") as index:
        assert len(index) == 48
    assert files_in(tmp_path) == ["index.snapshot", "new", "source"]
    assert source.client.list_snapshots(source.collection) == []


def test_a_file_that_is_there_is_not_overwritten(saved, tmp_path):
    file, _, source = saved
    before = file.read_bytes()
    with pytest.raises(FileExistsError, match=r"index\.snapshot"):
        source.snapshot(file)
    assert file.read_bytes() == before


def test_a_snapshot_that_cannot_be_written_leaves_nothing(saved, tmp_path):
    _, _, source = saved
    with pytest.raises(StorageError, match="cannot write the snapshot"):
        source.snapshot(tmp_path / "no" / "such" / "folder")
    assert source.client.list_snapshots(source.collection) == []
    assert files_in(tmp_path) == ["index.snapshot", "source"]


def test_an_interrupted_snapshot_leaves_no_file(saved, tmp_path, monkeypatch):
    _, _, source = saved

    def copy_half(_, target):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("fg_search.engine.adapter.shutil.copyfile", copy_half)
    with pytest.raises(KeyboardInterrupt):
        source.snapshot(tmp_path / "second.snapshot")
    assert source.client.list_snapshots(source.collection) == []
    assert files_in(tmp_path) == ["index.snapshot", "source"]


def test_an_index_is_replaced_as_a_whole(saved, tmp_path, encoder):
    file, _, _ = saved
    with ConfidenceIndex(tmp_path / "other", encoder) as other:
        other.add(["my other pizza"], ids=["other"])
    with ConfidenceIndex.restore(file, tmp_path / "other", encoder=encoder) as index:
        assert len(index) == 48
        assert len(collections(index.client)) == 1
        assert index.metadata.settings.base_vectors == "float16"


def test_an_index_may_be_restored_beside_others_under_another_name(saved, tmp_path, encoder):
    file, _, _ = saved
    with EdgeClient(tmp_path / "shared") as client:
        ConfidenceIndex(client, encoder, collection="first").add(["my card"])
        second = ConfidenceIndex.restore(file, client, encoder=encoder, collection="second")
        third = ConfidenceIndex.restore(file, client, encoder=encoder, collection="third")
        third.delete(["d1"])
        assert (len(ConfidenceIndex(client, encoder, collection="first")), len(second), len(third)) == (1, 48, 47)


def truncate(data):
    return data[: len(data) // 2]


def flip_a_byte(data):
    middle = data.index(b"please")
    return data[:middle] + b"P" + data[middle + 1 :]


def empty(_):
    return b""


def something_else(_):
    return b"no snapshot " * 1000


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, empty, something_else])
def test_a_damaged_file_is_refused_and_the_index_that_is_there_stays(saved, tmp_path, encoder, damage):
    file, _, _ = saved
    file.write_bytes(damage(file.read_bytes()))
    with ConfidenceIndex(tmp_path / "other", encoder) as other:
        other.add(["my other pizza"])
        names = collections(other.client)
    with pytest.raises(StorageError):
        ConfidenceIndex.restore(file, tmp_path / "other", encoder=encoder)
    with ConfidenceIndex(tmp_path / "other", encoder) as other:
        assert len(other) == 1
        assert collections(other.client) == names


def test_a_missing_file_is_named_and_no_folder_is_made(tmp_path):
    with pytest.raises(StorageError, match="there is no snapshot"):
        ConfidenceIndex.restore(tmp_path / "missing", tmp_path / "new")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("folder", ["new", "new/deep/er"])
@pytest.mark.parametrize("damage", [truncate, empty, something_else])
def test_a_refused_file_leaves_no_folder(saved, tmp_path, folder, damage):
    file, _, _ = saved
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StorageError):
        ConfidenceIndex.restore(file, tmp_path / folder)
    assert files_in(tmp_path) == ["index.snapshot", "source"]


def test_a_refused_encoder_leaves_no_folder_and_an_empty_one_empty(saved, tmp_path, other_encoder):
    file, _, _ = saved
    (tmp_path / "empty").mkdir()
    for folder in ("new", "empty"):
        with pytest.raises(ModelMismatchError):
            ConfidenceIndex.restore(file, tmp_path / folder, encoder=other_encoder)
    assert files_in(tmp_path) == ["empty", "index.snapshot", "source"]
    assert files_in(tmp_path / "empty") == []


def test_a_snapshot_of_another_encoder_is_refused_before_anything_is_replaced(saved, tmp_path, other_encoder):
    file, _, _ = saved
    with ConfidenceIndex(tmp_path / "other", other_encoder) as other:
        other.add(["my other pizza"])
        names = collections(other.client)
    with pytest.raises(ModelMismatchError):
        ConfidenceIndex.restore(file, tmp_path / "other", encoder=other_encoder)
    with ConfidenceIndex(tmp_path / "other", other_encoder) as other:
        assert len(other) == 1
        assert collections(other.client) == names


def test_a_snapshot_of_somebody_elses_collection_is_refused(tmp_path, encoder):
    with EdgeClient(tmp_path / "theirs") as client:
        client.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        made = client.create_snapshot("c")
        file = client.snapshot_path("c", made.name)
        with ConfidenceIndex(tmp_path / "other", encoder) as other:
            other.add(["my other pizza"])
        with pytest.raises(IndexNotFoundError, match="not made by fg_search"):
            ConfidenceIndex.restore(file, tmp_path / "other", encoder=encoder)
    with ConfidenceIndex(tmp_path / "other", encoder) as other:
        assert len(other) == 1
        assert len(collections(other.client)) == 1


def test_a_snapshot_of_a_newer_schema_is_refused(tmp_path, encoder):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        newer = index.metadata.to_payload()
        newer["fg_search"]["schema"] = 99
        index.client.update_collection(index.collection, metadata=newer)
        index.snapshot(tmp_path / "file")
    with pytest.raises(FormatVersionError, match="upgrade"):
        ConfidenceIndex.restore(tmp_path / "file", tmp_path / "other", encoder=encoder)
    with EdgeClient(tmp_path / "other") as client:
        assert collections(client) == []


def test_a_snapshot_that_reaches_outside_its_folder_is_refused(saved, tmp_path, encoder):
    file = tmp_path / "evil"
    with tarfile.open(file, "w") as archive:
        archive.addfile(tarfile.TarInfo("../../outside"))
    with pytest.raises(StorageError, match="no file of a collection"):
        ConfidenceIndex.restore(file, tmp_path / "other", encoder=encoder)
    assert not (tmp_path / "outside").exists()


def test_a_folder_in_use_is_not_restored_into(saved):
    file, _, source = saved
    with pytest.raises(FolderLockedError):
        ConfidenceIndex.restore(file, source.location)
    assert len(source) == 48


def test_an_index_in_memory_is_saved_and_restored_point_by_point(tmp_path, saved, points_of):
    file, before, _ = saved
    with ConfidenceIndex.restore(file, QdrantClient(":memory:")) as index:
        assert {key: point.payload for key, point in points_of(index).items()} == {
            key: point.payload for key, point in before.items()
        }
        index.snapshot(tmp_path / "again.snapshot")
    with ConfidenceIndex.restore(tmp_path / "again.snapshot", tmp_path / "folder") as index:
        assert points_of(index).keys() == before.keys()


def test_a_migrated_index_can_be_saved_and_restored(saved, tmp_path, other_encoder):
    _, _, source = saved
    source.migrate(other_encoder)
    source.snapshot(tmp_path / "second.snapshot")
    with ConfidenceIndex.restore(tmp_path / "second.snapshot", tmp_path / "new", encoder=other_encoder) as index:
        assert index.search(QUESTION).hits
        index.migrate(source.encoder)
        assert len(index) == 48

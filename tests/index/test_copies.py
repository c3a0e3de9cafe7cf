"""Copies of an index: whole, repeated, after changes, after an interruption."""

import pytest

from fg_search import ConfidenceIndex
from fg_search.errors import ModelMismatchError, StorageError
from fg_search.index import copies


@pytest.fixture
def source(local, rows):
    local.add(**rows)
    return local


def test_a_copy_has_points_settings_and_calibration(source, tmp_path, points_of, rows):
    like_items = [f"{text} please" for text in rows["texts"]]
    source.calibrate([*like_items, *(f"zzz {i}" for i in range(12))], [*rows["labels"], *([None] * 12)])
    report = source.copy_to(tmp_path / "copy")
    assert (report.points, report.written, report.compared) == (48, 48, 48)
    with ConfidenceIndex(tmp_path / "copy") as copy:
        assert copy.metadata == source.metadata
        assert copy.calibration is not None
        assert copy.calibration.to_metadata() == source.calibration.to_metadata()
        theirs, ours = points_of(copy), points_of(source)
        assert {key: point.payload for key, point in theirs.items()} == {
            key: point.payload for key, point in ours.items()
        }


def test_a_copy_has_the_lists_of_review(source, tmp_path, rows):
    source.add([rows["texts"][0] + "!"], ids=["copy"], labels=["loan"])
    source.score_items()
    source.score_labels()
    source.copy_to(tmp_path / "copy")
    with ConfidenceIndex(tmp_path / "copy") as copy:
        for kind in ("contradicted", "conflicting", "duplicate", "outlier"):
            ours, theirs = copy.review(kind=kind), source.review(kind=kind)
            assert {item.id for item in ours} == {item.id for item in theirs}
            assert [item.score for item in ours] == [item.score for item in theirs]
        assert copy.confused_labels() == source.confused_labels()


def test_an_interrupted_copy_goes_on_where_it_was(source, tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "ITEMS_PER_WRITE", 10)
    client = type(source.client)
    scroll = client.scroll

    def read_one_page(self, collection, *arguments, **options):
        if options["offset"] is not None:
            raise KeyboardInterrupt
        return scroll(self, collection, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(client, "scroll", read_one_page)
        with pytest.raises(KeyboardInterrupt):
            source.copy_to(tmp_path / "copy")
    assert source.copy_to(tmp_path / "copy").written == 38


def test_what_changed_since_an_earlier_copy_is_written_again(source, tmp_path, points_of):
    source.copy_to(tmp_path / "copy")
    source.decide("d0", "keep")  # changes nothing but the payload
    source.client.set_payload(source.collection, {"parity": 7}, points=[points_of(source)["d1"].id])
    assert source.copy_to(tmp_path / "copy").written == 2
    with ConfidenceIndex(tmp_path / "copy") as copy:
        points = points_of(copy)
        assert points["d0"].payload["fg"]["reviewed"]["action"] == "keep"
        assert points["d1"].payload["parity"] == 7


def test_points_that_the_source_lacks_are_reported_and_kept(source, tmp_path):
    source.copy_to(tmp_path / "copy")
    source.delete(["d0"])
    with pytest.raises(StorageError, match="47 points, the copy 48: what was deleted from the source since an earlier"):
        source.copy_to(tmp_path / "copy")
    with ConfidenceIndex(tmp_path / "copy") as copy:
        copy.delete(["d0"])
    assert source.copy_to(tmp_path / "copy").written == 0


def test_an_index_of_another_encoder_is_not_copied_into(source, tmp_path, other_encoder):
    ConfidenceIndex(tmp_path / "copy", other_encoder).close()
    with pytest.raises(ModelMismatchError, match="choose another collection name"):
        source.copy_to(tmp_path / "copy")


def test_decisions_go_along_and_can_be_taken_back_in_the_copy(tmp_path, encoder, rows):
    with ConfidenceIndex(tmp_path / "one", encoder) as index:
        index.add(**rows)
        index.decide("d0", "label", "food", reviewer="ann")
        index.copy_to(tmp_path / "two")
        expected = index.decisions()
    with ConfidenceIndex(tmp_path / "two", encoder) as copied:
        assert copied.decisions() == expected
        copied.undo()
        assert copied.info().corrected == 0

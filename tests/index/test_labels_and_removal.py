import pytest
from engines import in_strict_mode_too
from index_fixtures import without_history
from qdrant_client import models

from fg_search import ConfidenceIndex
from fg_search.engine.adapter import Adapter
from fg_search.errors import ItemNotFoundError

QUESTION = "please help my card is stolen"
EVEN = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])


@pytest.fixture
def corpus_index(local, rows) -> ConfidenceIndex:
    local.add(**rows)
    return local


def labels_of(index, points_of):
    return {key: point.payload["fg"].get("label") for key, point in points_of(index).items()}


# deleting


@in_strict_mode_too("index")
def test_deleting_by_ids_removes_those_that_are_there(own):
    assert own.delete(["d3", "nobody", "d4", "d3", 17]) == 2
    assert len(own) == 46
    hits = own.search(QUESTION, limit=100, rank_by="base").hits
    assert {"d3", "d4"}.isdisjoint(hit.id for hit in hits)
    assert len(hits) == 46
    assert own.delete(["d3", "d4"]) == 0
    assert own.delete([]) == 0
    assert len(own) == 46


@in_strict_mode_too("index")
def test_deleting_by_a_filter_removes_all_that_match(own):
    assert own.delete(query_filter=EVEN) == 24
    assert {hit.payload["parity"] for hit in own.search(QUESTION, limit=100, rank_by="base").hits} == {1}
    assert own.delete(query_filter=EVEN) == 0
    assert len(own) == 24


def test_ids_of_every_kind_can_be_deleted(local, monkeypatch):
    monkeypatch.setattr("fg_search.engine.paging.IDS_PER_REQUEST", 2)
    ids = [0, 2**64 - 1, -5, "7", 7, "a/b c", "0d2a8f8c-7a3a-4a56-9a8f-3f7a9e1b2c4d"]
    local.add([f"my card {i}" for i in range(len(ids))], ids=ids)
    assert local.delete(["7"]) == 1
    assert local.delete(ids) == len(ids) - 1
    assert len(local) == 0


def test_labels_are_told_by_id(local, monkeypatch):
    monkeypatch.setattr("fg_search.engine.paging.IDS_PER_REQUEST", 2)
    ids = [0, -5, "7", 7, "0d2a8f8c-7a3a-4a56-9a8f-3f7a9e1b2c4d"]
    labels = ["a", "b", None, "d", "e"]
    local.add([f"my card {i}" for i in range(len(ids))], ids=ids, labels=labels)
    assert local.labels_of([*ids, "nobody", 8, "0"]) == dict(zip(ids, labels, strict=True))
    local.relabel({0: "z"})
    assert local.labels_of([0, 0]) == {0: "z"}
    assert local.labels_of([]) == {}
    with pytest.raises(ValueError, match="64 bits"):
        local.labels_of([2**64])


def test_a_deleted_item_can_be_added_again(corpus_index, rows):
    corpus_index.delete(["d0"])
    assert corpus_index.add(**rows).written == 1
    assert len(corpus_index) == 48


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, ValueError),
        ({"ids": ["d0"], "query_filter": EVEN}, ValueError),
        ({"ids": "d0"}, TypeError),
        ({"ids": 3}, TypeError),
        ({"ids": ["d0", 1.5]}, TypeError),
        ({"ids": ["d0", 2**64]}, ValueError),
    ],
)
def test_deleting_something_else_is_refused_and_deletes_nothing(in_memory, arguments, error):
    with pytest.raises(error):
        in_memory.delete(**arguments)
    assert len(in_memory) == 48


# relabelling


def test_relabelling_changes_what_is_found_and_nothing_else(corpus_index, points_of):
    before = points_of(corpus_index)
    assert corpus_index.relabel({"d0": "fraud", "d1": "fraud", "d2": before["d2"].payload["fg"]["label"]}) == 2
    after = points_of(corpus_index)
    for key, point in after.items():
        expected = before[key].payload
        if key in ("d0", "d1"):
            given = expected["fg"]["label"]
            expected = {**expected, "fg": {**expected["fg"], "label": "fraud", "given_label": given}}
        assert without_history(point.payload) == expected
        assert point.vector == before[key].vector
    fraud = models.Filter(must=[models.FieldCondition(key="fg.label", match=models.MatchValue(value="fraud"))])
    assert {hit.id for hit in corpus_index.search(QUESTION, query_filter=fraud, rank_by="base").hits} == {"d0", "d1"}
    assert corpus_index.info().corrected == 2


def test_a_correction_survives_adding_the_same_data_again(corpus_index, rows, points_of, encoded):
    corpus_index.relabel({"d0": "fraud", "d1": None})
    encoded.clear()
    assert corpus_index.add(**rows).written == 0
    assert encoded == []
    assert labels_of(corpus_index, points_of)["d0"] == "fraud"
    assert labels_of(corpus_index, points_of)["d1"] is None


def test_a_correction_survives_a_new_payload_but_not_a_new_label(corpus_index, rows, points_of):
    corpus_index.relabel({"d0": "fraud", "d1": "fraud"})
    rows["payloads"][0] = {"parity": 7}
    rows["labels"] = ["card" if i == 1 else label for i, label in enumerate(rows["labels"])]
    rows["labels"][1] = "new"
    assert corpus_index.add(**rows).written == 2
    stored = points_of(corpus_index)
    assert (stored["d0"].payload["fg"]["label"], stored["d0"].payload["parity"]) == ("fraud", 7)
    assert stored["d1"].payload["fg"]["label"] == "new"
    assert corpus_index.info().corrected == 1
    assert corpus_index.add(**rows).written == 0


def test_a_correction_that_its_owner_follows_is_none_any_more(corpus_index, rows, points_of):
    corpus_index.relabel({"d0": "fraud"})
    rows["labels"] = ["fraud", *rows["labels"][1:]]
    corpus_index.add(**rows)
    assert corpus_index.info().corrected == 0
    assert labels_of(corpus_index, points_of)["d0"] == "fraud"


def test_a_correction_can_be_corrected_and_taken_back(corpus_index, rows, points_of):
    before = points_of(corpus_index)["d0"].payload
    given = rows["labels"][0]
    for label in ("fraud", "theft", given):
        assert corpus_index.relabel({"d0": label}) == 1
        assert corpus_index.relabel({"d0": label}) == 0
        assert labels_of(corpus_index, points_of)["d0"] == label
    assert without_history(points_of(corpus_index)["d0"].payload) == before
    assert corpus_index.info().corrected == 0
    assert corpus_index.add(**rows).written == 0


def test_a_label_can_be_given_and_taken_where_there_was_none(local, points_of):
    local.add(["my card", "my loan"], ids=[1, 2], labels=[None, "loan"])
    assert local.relabel({1: "card", 2: None}) == 2
    info = local.info()
    assert (info.points, info.labelled, info.corrected) == (2, 1, 2)
    assert local.add(["my card", "my loan"], ids=[1, 2], labels=[None, "loan"]).written == 0
    assert labels_of(local, points_of) == {1: "card", 2: None}
    assert local.relabel({1: None, 2: "loan"}) == 2
    info = local.info()
    assert (info.points, info.labelled, info.corrected) == (2, 1, 0)


def test_an_unknown_id_is_named_and_no_label_changes(corpus_index, points_of):
    before = labels_of(corpus_index, points_of)
    with pytest.raises(ItemNotFoundError, match=r"no item 'nobody' \(2 such id"):
        corpus_index.relabel({"d0": "fraud", "nobody": "x", 99: "y"})
    with pytest.raises(ValueError, match=r"labels\['d1'\] is empty"):
        corpus_index.relabel({"d0": "fraud", "d1": " "})
    with pytest.raises(TypeError, match=r"labels\['d1'\] is float"):
        corpus_index.relabel({"d0": "fraud", "d1": 3.5})
    assert labels_of(corpus_index, points_of) == before
    assert corpus_index.relabel({}) == 0


def test_many_labels_are_changed_across_requests(corpus_index, points_of, monkeypatch):
    monkeypatch.setattr("fg_search.engine.paging.IDS_PER_REQUEST", 5)
    wanted = {f"d{i}": ("even", "odd", None)[i % 3] for i in range(48)}
    assert corpus_index.relabel(wanted) == 48
    assert labels_of(corpus_index, points_of) == wanted
    assert corpus_index.info().labelled == 32


def test_the_payload_of_a_correction_that_was_half_taken_back_is_mended_by_doing_it_again(corpus_index, monkeypatch):
    given = corpus_index.review(limit=100)
    label = next(item.label for item in given if item.id == "d0")
    corpus_index.relabel({"d0": "fraud"})

    write = Adapter.batch_update_points

    async def interrupt(self, collection, operations):
        await write(self, collection, operations[:-1])
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(Adapter, "batch_update_points", interrupt)
        with pytest.raises(ConnectionError):
            corpus_index.relabel({"d0": label})
    corpus_index.relabel({"d0": label})
    assert corpus_index.info().corrected == 0

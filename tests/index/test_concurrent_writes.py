"""What people do to an item while it is being added again is not undone."""

import pytest

from fg_search import FeatureGroupEncoder
from fg_search.engine.adapter import Adapter
from fg_search.engine.blocking import BlockingEngine

TEXT = "my card is blocked"


@pytest.fixture
def index(local):
    local.add([TEXT, "the loan"], ids=["a", "b"], labels=["x", "y"], payloads=[{"v": 1}, {"v": 1}])
    return local


@pytest.fixture
def meanwhile(monkeypatch):
    """Lets something happen while texts are encoded, which is after the items were read."""

    def arrange(happen):
        encode = FeatureGroupEncoder.encode

        def and_then(self, texts, **options):
            encoded = encode(self, texts, **options)
            monkeypatch.setattr(FeatureGroupEncoder, "encode", encode)
            happen()
            return encoded

        monkeypatch.setattr(FeatureGroupEncoder, "encode", and_then)

    return arrange


def payload_of(index, user_id):
    records, _ = index.client.scroll(index.collection, limit=100)
    (payload,) = [record.payload for record in records if record.payload["fg"]["id"] == user_id]
    return payload


def test_a_label_corrected_meanwhile_stays_corrected_and_the_new_payload_is_there(index, meanwhile):
    meanwhile(lambda: index.relabel({"a": "RIGHT"}))
    index.add([TEXT], ids=["a"], labels=["x"], payloads=[{"v": 2}])
    assert index.labels_of(["a"]) == {"a": "RIGHT"}
    assert payload_of(index, "a")["v"] == 2
    assert index.add([TEXT], ids=["a"], labels=["x"], payloads=[{"v": 2}]).unchanged == 1
    assert index.info().corrected == 1


@pytest.mark.parametrize(("action", "label"), [("keep", "x"), ("label", "z")])
def test_a_decision_made_meanwhile_stands(index, meanwhile, action, label):
    meanwhile(lambda: index.decide("a", action, label if action == "label" else None))
    index.add([TEXT], ids=["a"], labels=["x"], payloads=[{"v": 2}])
    assert index.labels_of(["a"]) == {"a": label}
    assert payload_of(index, "a")["fg"]["reviewed"]["action"] == action
    assert payload_of(index, "a")["v"] == 2
    assert [item.id for item in index.review()] == ["b"]
    index.undo()
    assert index.labels_of(["a"]) == {"a": "x"}


def test_a_correction_taken_back_meanwhile_is_taken_back(index, meanwhile):
    index.relabel({"a": "RIGHT"})
    meanwhile(lambda: index.relabel({"a": "x"}))
    index.add([TEXT], ids=["a"], labels=["x"], payloads=[{"v": 2}])
    assert index.labels_of(["a"]) == {"a": "x"}
    assert index.info().corrected == 0
    assert payload_of(index, "a")["v"] == 2


def test_an_item_added_and_corrected_meanwhile_by_somebody_else_keeps_the_correction(index, meanwhile):
    def somebody_else():
        index.add(["my pin"], ids=["new"], labels=["x"])
        index.relabel({"new": "RIGHT"})

    meanwhile(somebody_else)
    index.add(["my pin", "my card"], ids=["new", "other"], labels=["x", "x"], payloads=[{"v": 2}, {"v": 2}])
    assert index.labels_of(["new", "other"]) == {"new": "RIGHT", "other": "x"}
    assert payload_of(index, "new")["v"] == 2


def test_new_data_about_a_corrected_item_win_over_the_correction(index, meanwhile):
    meanwhile(lambda: index.relabel({"a": "RIGHT"}))
    index.add(["the loan rate"], ids=["a"], labels=["loan"])
    assert index.labels_of(["a"]) == {"a": "loan"}
    assert index.info().corrected == 0


def test_an_item_deleted_meanwhile_is_added(index, meanwhile):
    meanwhile(lambda: index.delete(["a"]))
    index.add([TEXT], ids=["a"], labels=["x"], payloads=[{"v": 2}])
    assert payload_of(index, "a")["v"] == 2


def test_a_label_changed_between_reading_and_correcting_is_corrected_as_it_is(index, monkeypatch):
    """The correction remembers what the user gave by then, so that adding it again does not undo the correction."""
    write = Adapter.batch_update_points

    async def after_somebody_else(self, *arguments):
        monkeypatch.setattr(Adapter, "batch_update_points", write)
        index.add([TEXT], ids=["a"], labels=["newer"])
        await write(self, *arguments)

    monkeypatch.setattr(Adapter, "batch_update_points", after_somebody_else)
    index.relabel({"a": "RIGHT"})
    assert index.labels_of(["a"]) == {"a": "RIGHT"}
    assert index.add([TEXT], ids=["a"], labels=["newer"]).unchanged == 1
    assert index.labels_of(["a"]) == {"a": "RIGHT"}


def test_many_labels_are_corrected_with_few_requests(local, monkeypatch):
    local.add([f"my card {i}" for i in range(100)], ids=range(100), labels=[f"old {i % 50}" for i in range(100)])
    requests = []
    repeat = BlockingEngine._repeat

    async def counted(self, method, *arguments, **options):
        requests.append(method.__name__)
        return await repeat(self, method, *arguments, **options)

    monkeypatch.setattr(BlockingEngine, "_repeat", counted)
    local.relabel(dict.fromkeys(range(100), "new"))
    assert requests == ["retrieve", "batch_update_points", "retrieve", "get_aliases"]
    assert set(local.labels_of(range(100)).values()) == {"new"}

"""Decisions about items: logged, carried out, undone, and never lost."""

import pytest
from index_fixtures import without_history

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.errors import ItemNotFoundError, NothingToUndoError


@pytest.fixture
def full(local, rows):
    local.add(**rows)
    return local


def stored(index, user_id, points_of):
    point = points_of(index).get(user_id)
    return None if point is None else (without_history(point.payload), sorted(point.vector))


def test_each_action_does_what_it_says(full, points_of):
    kept = full.decide("d0", "keep", reviewer="ann")
    assert (kept.before, kept.after, kept.reviewer) == ("card", "card", "ann")
    full.decide("d1", "label", "food")
    full.decide("d2", "delete")
    full.decide("d3", "unsure")
    points = points_of(full)
    assert points["d0"].payload["fg"]["label"] == "card"
    assert points["d1"].payload["fg"]["label"] == "food"
    assert "d2" not in points
    assert [entry.action for entry in full.decisions()] == ["keep", "label", "delete", "unsure"]
    assert not {item.id for item in full.review(limit=100)} & {"d0", "d1", "d2", "d3"}


def test_an_item_that_lost_its_label_can_be_decided_about(full, points_of):
    full.relabel({"d0": None})
    assert full.decide("d0", "keep").before is None
    assert full.decide("d0", "label", "food").before is None
    full.undo()
    assert points_of(full)["d0"].payload["fg"].get("label") is None


def test_undo_takes_back_one_decision_after_the_other(full, points_of):
    before = {user_id: stored(full, user_id, points_of) for user_id in ("d0", "d1", "d2")}
    full.decide("d0", "keep")
    full.decide("d1", "label", "food")
    full.decide("d1", "label", "travel")
    full.decide("d2", "delete")
    assert full.undo(reviewer="ben").reviewer == "ben"
    assert stored(full, "d2", points_of) == before["d2"]
    full.undo()
    assert points_of(full)["d1"].payload["fg"]["label"] == "food"
    assert points_of(full)["d1"].payload["fg"]["reviewed"]["action"] == "label"
    full.undo()
    full.undo()
    assert {user_id: stored(full, user_id, points_of) for user_id in before} == before
    with pytest.raises(NothingToUndoError):
        full.undo()
    assert len(full.decisions()) == 8
    assert {"d0", "d1", "d2"} <= {item.id for item in full.review(limit=100)}


def test_a_deleted_item_that_comes_back_is_found_again(full, corpus):
    texts, _ = corpus
    full.decide("d5", "delete")
    full.undo()
    assert "d5" in [hit.id for hit in full.search(texts[5], limit=10).hits]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("nobody", "keep"), ItemNotFoundError, "no item 'nobody'"),
        (("d0", "dance"), ValueError, "action must be one of 'accept', 'keep', 'label', 'delete', 'unsure'"),
        (("d0", "undo"), ValueError, "action must be one of"),
        (("d0", "label"), ValueError, "needs the label"),
        (("d0", "keep", "food"), ValueError, "takes no label"),
        (("d0", "accept"), ValueError, "no suggested label"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused_and_not_logged(in_memory, arguments, error, message):
    with pytest.raises(error, match=message):
        in_memory.decide(*arguments)
    assert in_memory.decisions() == []


def test_no_engine_logs_a_decision_that_makes_no_sense(full):
    for wrong in (("d0", "dance"), ("d0", "label", " ")):
        with pytest.raises(ValueError, match=r"action must be one of|label is empty"):
            full.decide(*wrong)
    with pytest.raises(ItemNotFoundError):
        full.decide("nobody", "keep")
    assert full.decisions() == []


def test_tenants_have_logs_of_their_own(encoder):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="owner")) as index:
        one, two = index.tenant("one"), index.tenant("two")
        for tenant in (one, two):
            tenant.add(["my card"], ids=["same"], labels=["card"])
        one.decide("same", "label", "food")
        assert two.decisions() == []
        with pytest.raises(NothingToUndoError):
            two.undo()
        one.undo()
        assert one.search("my card").hits[0].label == "card"

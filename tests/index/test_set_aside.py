"""Items whose label is most probably wrong are neither learned from nor found until somebody decides about them."""

import pytest

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.errors import NotScoredError

WRONG = {"d1": "travel", "d20": "food", "d40": "card"}


@pytest.fixture
def noisy(local, rows):
    """The corpus with three wrong labels, scored."""
    labels = [WRONG.get(user_id, label) for user_id, label in zip(rows["ids"], rows["labels"], strict=True)]
    local.add(**{**rows, "labels": labels})
    local.score_labels()
    return local


@pytest.fixture
def least(noisy):
    """Least probability at which only the wrong labels are set aside."""
    first, second = noisy.review(kind="contradicted", limit=4)[2:]
    return (first.score + second.score) / 2


def found(index, rank_by="base"):
    return {hit.id for hit in index.search("card", limit=48, rank_by=rank_by).hits}


def test_doubtful_items_are_not_learned_from(noisy, least, tmp_path, monkeypatch):
    learned = []
    fit = type(noisy.encoder).fit

    def watch(self, texts, **options):
        learned.extend(texts)
        return fit(self, texts, **options)

    monkeypatch.setattr(type(noisy.encoder), "fit", watch)
    texts = {item.text for item in noisy.review(kind="contradicted", limit=3)}
    noisy.refit(tmp_path / "new", set_aside=least)
    assert len(learned) == 45
    assert not texts & set(learned)


@pytest.mark.parametrize("rank_by", ["features", "base", "both"])
def test_doubtful_items_are_not_found(noisy, least, tmp_path, rank_by):
    noisy.refit(tmp_path / "new", set_aside=least)
    assert found(noisy, rank_by)
    assert not set(WRONG) & found(noisy, rank_by)
    grouped = noisy.search_groups("card", group_by="parity", limit=2, group_size=48, rank_by=rank_by)
    assert not {hit.id for group in grouped.groups for hit in group.hits} & set(WRONG)
    assert noisy.info().set_aside == 3
    assert noisy.info().points == 48


def test_a_decision_brings_an_item_back_and_taking_it_back_sets_it_aside_again(noisy, least, tmp_path):
    noisy.refit(tmp_path / "new", set_aside=least)
    noisy.decide("d1", "unsure")
    assert not set(WRONG) & found(noisy)
    noisy.undo()
    for action, label in (("keep", None), ("label", "card")):
        noisy.decide("d1", action, label)
        assert set(WRONG) & found(noisy) == {"d1"}
        noisy.undo()
        assert not set(WRONG) & found(noisy)
    noisy.relabel({"d20": "loan"})
    assert set(WRONG) & found(noisy) == {"d20"}
    assert noisy.info().set_aside == 2
    noisy.decide("d1", "delete")
    noisy.undo()
    assert set(WRONG) & found(noisy) == {"d20"}


def test_what_was_decided_before_is_not_set_aside(noisy, least, tmp_path):
    noisy.decide("d1", "keep")
    noisy.relabel({"d20": "loan"})
    noisy.decide("d40", "unsure")
    noisy.refit(tmp_path / "new", set_aside=least)
    assert set(WRONG) & found(noisy) == {"d1", "d20"}


def test_set_aside_items_outlast_reopening_migrating_and_copying(tmp_path, encoder, other_encoder, rows):
    labels = [WRONG.get(user_id, label) for user_id, label in zip(rows["ids"], rows["labels"], strict=True)]
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(**{**rows, "labels": labels})
        index.score_labels()
        first, second = index.review(kind="contradicted", limit=4)[2:]
        index.refit(tmp_path / "new", set_aside=(first.score + second.score) / 2)
    with ConfidenceIndex(tmp_path / "index") as index:
        assert not set(WRONG) & found(index)
        index.copy_to(tmp_path / "copy")
        index.migrate(other_encoder)
        assert not set(WRONG) & found(index)
    with ConfidenceIndex(tmp_path / "copy", tmp_path / "new") as copy:
        assert copy.info().set_aside == 3
        assert not set(WRONG) & found(copy)


def test_a_refit_that_sets_nothing_aside_brings_all_back(noisy, least, rows, tmp_path):
    noisy.refit(tmp_path / "new", set_aside=least)
    noisy.refit(tmp_path / "newer")
    assert found(noisy) == set(rows["ids"])
    assert noisy.info().set_aside == 0


def test_what_is_set_aside_stays_listed_and_is_set_aside_again(noisy, least, rows, tmp_path):
    before = {item.id: item for item in noisy.review(kind="contradicted", limit=48)}
    noisy.refit(tmp_path / "new", set_aside=least)
    after = {item.id: item for item in noisy.review(kind="contradicted", limit=48)}
    assert after.keys() == before.keys()
    for user_id, item in after.items():
        assert item.score == pytest.approx(before[user_id].score)
        assert item.suggested_label == before[user_id].suggested_label
    noisy.decide("d1", "keep")
    noisy.refit(tmp_path / "newer", set_aside=least)
    assert set(WRONG) & found(noisy) == {"d1"}
    assert noisy.info().set_aside == 2
    noisy.score_labels()
    noisy.refit(tmp_path / "newest", set_aside=1.0)
    assert found(noisy) == set(rows["ids"])


def add_again(index, rows, user_id, **changes):
    """Add an item as the user has it, with another payload."""
    i = rows["ids"].index(user_id)
    row = {"texts": rows["texts"][i], "labels": WRONG.get(user_id, rows["labels"][i]), "payloads": {"price": 9}}
    report = index.add(**{key: [value] for key, value in {**row, **changes}.items()}, ids=[user_id])
    assert report.written == 1


def test_another_payload_leaves_an_item_set_aside_and_another_label_does_not(noisy, least, rows, tmp_path, points_of):
    noisy.refit(tmp_path / "new", set_aside=least)
    add_again(noisy, rows, "d1")
    assert points_of(noisy)["d1"].payload["price"] == 9
    assert not set(WRONG) & found(noisy)
    assert noisy.info().set_aside == 3
    noisy.decide("d1", "keep")
    add_again(noisy, rows, "d1", payloads={"price": 10})
    assert set(WRONG) & found(noisy) == {"d1"}
    noisy.undo()
    assert not set(WRONG) & found(noisy)
    add_again(noisy, rows, "d20", labels="loan")
    add_again(noisy, rows, "d40", texts="another card")
    assert set(WRONG) & found(noisy) == {"d20", "d40"}


def test_a_correction_that_its_owner_adopts_keeps_the_item_back(noisy, least, rows, tmp_path, points_of):
    noisy.refit(tmp_path / "new", set_aside=least)
    noisy.relabel({"d20": "loan"})
    add_again(noisy, rows, "d20")
    assert points_of(noisy)["d20"].payload["fg"]["label"] == "loan"
    assert set(WRONG) & found(noisy) == {"d20"}
    add_again(noisy, rows, "d20", labels="loan")
    assert "given_label" not in points_of(noisy)["d20"].payload["fg"]
    assert set(WRONG) & found(noisy) == {"d20"}


def test_what_an_interrupted_refit_set_aside_is_not_set_aside_by_another_operation(noisy, least, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(noisy.client, "update_collection_aliases", fail)
        with pytest.raises(OSError, match="no room"):
            noisy.refit(tmp_path / "new", set_aside=least)
    noisy.migrate(tmp_path / "new")
    assert set(WRONG) <= found(noisy)
    noisy.refit(tmp_path / "newer", set_aside=least)
    assert not set(WRONG) & found(noisy)


def test_what_cannot_be_set_aside_is_refused_before_anything_is_done(local, rows, tmp_path):
    local.add(**rows)
    with pytest.raises(NotScoredError, match="score_labels"):
        local.refit(tmp_path / "new", set_aside=0.9)
    with pytest.raises(ValueError, match="set_aside"):
        local.refit(tmp_path / "new", set_aside=1.5)
    assert not (tmp_path / "new").exists()


def test_each_tenants_doubtful_items_are_set_aside(tmp_path, encoder, rows):
    labels = [WRONG.get(user_id, label) for user_id, label in zip(rows["ids"], rows["labels"], strict=True)]
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="owner")) as index:
        one, two = index.tenant("one"), index.tenant("two")
        one.add(**{**rows, "labels": labels})
        two.add(**rows)
        one.score_labels()
        first, second = one.review(kind="contradicted", limit=4)[2:]
        index.refit(tmp_path / "new", set_aside=(first.score + second.score) / 2)
        assert not set(WRONG) & found(one)
        assert set(WRONG) <= found(two)

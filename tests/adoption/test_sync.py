"""What others write to an adopted collection is found at once by its base vector, and brought up to date by sync."""

import numpy as np
import pytest
from adoption_data import VECTOR, check_same, made, point, state_of
from qdrant_client import models

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.errors import ModelMismatchError, UnsupportedError
from fg_search.index.adoption import renewing


@pytest.fixture
def adopted(shop, how):
    with ConfidenceIndex.adopt(shop, **how) as index:
        yield index


def test_a_new_point_is_found_by_its_base_vector_and_counted_until_it_is_synced(adopted, shop, rows):
    texts, _labels, vectors = rows
    shop.upsert("shop", [point(100, vectors[3], {"title": "brand new", "info": {"kind": "x"}})])
    known, new = adopted.search(texts[3], rank_by="base", limit=2).hits
    assert {known.id, new.id} == {3, 100}
    assert known.confidence == pytest.approx(new.confidence, abs=1e-5)
    assert {known.text, new.text} == {texts[3], "brand new"}
    assert 100 in [hit.id for hit in adopted.search(texts[3], rank_by="both", limit=49).hits]
    assert 100 not in [hit.id for hit in adopted.search(texts[3], min_confidence=0.1, limit=49).hits]
    assert (adopted.info().points, adopted.info().unsynced) == (49, 1)
    adopted.sync()
    assert 100 in [hit.id for hit in adopted.search(texts[3], min_confidence=0.1, limit=49).hits]
    assert adopted.info().unsynced == 0
    assert adopted.labels_of([100]) == {100: "x"}


def test_what_has_changed_is_computed_again_and_the_rest_left_alone(edge, rows, how):
    made(edge, rows)
    _texts, _labels, vectors = rows
    with ConfidenceIndex.adopt(edge, **how) as index:
        index.relabel({2: "corrected", 3: "corrected", 4: "corrected"})
        edge.update_vectors("shop", [models.PointVectors(id=1, vector={VECTOR: vectors[20].tolist()})])
        edge.set_payload("shop", {"kind": "theirs"}, points=[2], key="info")
        edge.set_payload("shop", {"title": "another title"}, points=[3])
        edge.set_payload("shop", {"price": 3}, points=[4])
        edge.delete("shop", models.PointIdsList(points=[5]))
        assert index.sync().written == 3
        assert index.sync().written == 0
        # a correction holds as long as the data carry the label that was wrong
        assert index.labels_of([2, 3, 4]) == {2: "theirs", 3: "corrected", 4: "corrected"}
        moved, twin = edge.retrieve("shop", [1, 20], with_vectors=True)
        assert moved.vector["features"].indices == twin.vector["features"].indices
        assert moved.vector["features"].values == pytest.approx(twin.vector["features"].values, abs=1e-5)
        assert moved.payload["fg"]["codes"] == twin.payload["fg"]["codes"]


def test_a_point_that_loses_its_vector_is_no_item_any_more(adopted, shop, rows):
    texts, *_ = rows
    shop.delete_vectors("shop", [VECTOR], [3])
    assert adopted.score_items().items == 47
    assert adopted.sync().skipped == 1
    stored = shop.retrieve("shop", [3], with_vectors=True)[0]
    assert (sorted(stored.vector), sorted(stored.payload)) == (["image"], ["info", "title"])
    assert 3 not in [hit.id for hit in adopted.search(texts[3], limit=48).hits]


def test_people_may_work_on_points_that_are_not_synced(adopted, shop, rows):
    _, _, vectors = rows
    shop.upsert(
        "shop",
        [point(i, vectors[i % 48], {"title": f"new {i}", "info": {"kind": "raw"}}) for i in range(100, 104)],
    )
    adopted.relabel({100: "right"})
    adopted.score_items()
    assert adopted.labels_of([100, 101]) == {100: "right", 101: "raw"}
    assert adopted.info().unsynced == 4
    adopted.sync()
    assert adopted.labels_of([100, 101, 102]) == {100: "right", 101: "raw", 102: "raw"}
    shop.set_payload("shop", {"kind": "right"}, points=[100], key="info")  # the owner adopts the correction
    adopted.sync()
    assert adopted.labels_of([100]) == {100: "right"}
    assert adopted.info().corrected == 0
    before = state_of(shop)
    ConfidenceIndex.undo_adoption(shop, collection="shop")
    assert all("fg" not in payload for _, payload, _ in state_of(shop)[0])
    assert len(before[0]) == 52


def test_a_point_that_was_replaced_as_a_whole_loses_nothing_of_its_owner(adopted, shop, rows):
    _, _, vectors = rows
    adopted.relabel({7: "corrected"})
    shop.upsert("shop", [point(7, vectors[8], {"title": "replaced", "info": {"kind": "food"}})])
    adopted.sync()
    assert adopted.labels_of([7]) == {7: "food"}  # whoever replaces a point removes what was decided about it
    stored = shop.retrieve("shop", [7], with_vectors=True)[0]
    assert stored.vector["image"] == [8.0, 2.0]
    assert stored.payload["title"] == "replaced"


def test_a_key_that_is_somebody_elses_is_left_alone(adopted, shop, rows, caplog):
    _, _, vectors = rows
    theirs = {"title": "new", "fg": "somebody else's"}
    shop.upsert("shop", [point(number, vectors[0], theirs) for number in (100, 101)])
    assert adopted.sync().skipped == 2
    assert shop.retrieve("shop", [100])[0].payload["fg"] == "somebody else's"
    warnings = [record.getMessage() for record in caplog.records if "not the index's" in record.getMessage()]
    assert len(warnings) == 1  # and not one for each point
    assert "are left alone: 2, such as 100" in warnings[0]
    assert adopted.search("card", rank_by="base", limit=100).hits


def test_items_are_written_by_their_owner_and_removed_from_here(adopted, shop, how, rows):
    with pytest.raises(UnsupportedError, match="with your own client"):
        adopted.add(["a text"])
    assert adopted.delete([1, 2]) == 2
    assert len(adopted) == 46
    with ConfidenceIndex(":memory:", how["encoder"]) as own, pytest.raises(UnsupportedError, match="nothing has to be"):
        own.sync()


def test_another_head_takes_over_in_place(shop, rows, how, tiny_model, tmp_path):
    texts, labels, vectors = rows
    before = state_of(shop)
    with ConfidenceIndex.adopt(shop, **how) as index, ConfidenceIndex(shop, collection="shop") as other:
        other.search(texts[0], embeddings=how["encoder"].encode([texts[0]]))
        index.relabel({5: "new label", 6: "new label"})
        shop.upsert("shop", [point(100, vectors[3], {"title": "new", "info": {"kind": "card"}})])
        shop.upsert("shop", [point(101, 0 * vectors[3], {"title": "zeros alone", "info": {"kind": "card"}})])
        fitted = index.refit(tmp_path / "refitted")
        assert index.metadata.fingerprint == fitted.fingerprint
        assert index.labels_of([5, 100]) == {5: "new label", 100: "card"}
        assert index.info().unsynced == 0
        assert index.search(texts[3], limit=1).hits[0].label == labels[3]
        # an open handle follows
        assert other.search(texts[3], limit=1).hits[0].label == labels[3]
        assert other.metadata.fingerprint == fitted.fingerprint
        sparse = shop.get_collection("shop").config.params.sparse_vectors
        assert list(sparse) == [index.metadata.source.features]
        model = other_model(tiny_model)
        elsewhere = FeatureGroupEncoder(model).fit(texts, labels=labels, groups=2, codes=3, hidden=8, steps=2)
        with pytest.raises(UnsupportedError, match="its owner's"):
            index.migrate(elsewhere)
    ConfidenceIndex.undo_adoption(shop, collection="shop")
    shop.delete("shop", models.PointIdsList(points=[100, 101]))
    check_same(shop, state_of(shop), before)


def other_model(tiny_model):
    import copy

    model = copy.deepcopy(tiny_model)
    weights = model[0].embedding.weight
    weights.data += 1
    return model


def test_a_renewal_that_was_interrupted_is_finished_by_sync(edge, rows, how, tiny_model, monkeypatch):
    made(edge, rows)
    texts, labels, _ = rows
    another = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=20)
    with ConfidenceIndex.adopt(edge, **how) as index:
        monkeypatch.setattr(EdgeClient, "batch_update_points", dying_after(EdgeClient.batch_update_points, 1))
        with pytest.raises(KeyboardInterrupt):
            index.migrate(another)  # dies after the switch, before the payload follows
        monkeypatch.undo()
    with ConfidenceIndex(edge, another, collection="shop") as index:
        found = index.search(texts[3], limit=48).hits
        assert found[0].label == labels[3]
        expected = another.encode([texts[3]]).confidence[0]
        assert next(hit for hit in found if hit.id == 3).confidence == pytest.approx(expected, abs=1e-5)
        assert index.info().unsynced == 48
        index.sync()
        assert index.info().unsynced == 0
        assert index.metadata.source.former is None
        assert len(edge.get_collection("shop").config.params.sparse_vectors) == 1


def test_of_two_renewals_at_once_the_later_holds(edge, rows, how, tiny_model, monkeypatch):
    made(edge, rows)
    texts, labels, _ = rows
    first, second = (
        FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=steps)
        for steps in (10, 20)
    )
    theirs = renewing.sync
    with ConfidenceIndex.adopt(edge, **how) as index, ConfidenceIndex(edge, collection="shop") as other:

        async def overtaken(*arguments, **options):
            monkeypatch.undo()
            other.migrate(second)
            return await theirs(*arguments, **options)

        monkeypatch.setattr(renewing, "sync", overtaken)
        with pytest.raises(ModelMismatchError, match="open it again"):
            index.migrate(first)
    with ConfidenceIndex(edge, second, collection="shop") as index:
        index.sync()
        assert index.info().unsynced == 0
        assert index.search(texts[3], limit=1).hits[0].label == labels[3]
        assert list(edge.get_collection("shop").config.params.sparse_vectors) == [index.metadata.source.features]


def dying_after(method, calls):
    """A method of a client that is interrupted after so many calls."""
    left = [calls]

    def call(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return method(self, *args, **kwargs)

    return call


def test_familiarity_and_groups_of_points_that_are_not_synced(adopted, shop, rows):
    texts, _, vectors = rows
    shop.upsert("shop", [point(100, vectors[3], {"title": "new", "info": {"kind": "card"}})])
    found = adopted.search_groups(texts[3], group_by="title", limit=49, rank_by="base")
    assert "new" in [group.value for group in found.groups]
    weighted = adopted.search(texts[3], rank_by="base", confidence_weight=1.0, familiarity_weight=1.0, limit=49)
    assert 100 in [hit.id for hit in weighted.hits]
    assert np.isfinite([hit.ranking_score for hit in weighted.hits]).all()

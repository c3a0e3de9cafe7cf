"""Refitting: a new head on the current items, and the index moved to it."""

import numpy as np
import pytest

from fg_search import ConfidenceIndex, FeatureGroupEncoder, IndexSettings
from fg_search.errors import NotScoredError
from fg_search.layout.payloads import are_same
from fg_search.model import base_embeddings


@pytest.fixture
def full(local, rows):
    local.add(**rows)
    return local


def test_a_refit_learns_the_corrections_without_encoding_a_text(full, rows, encoded, tmp_path, points_of, monkeypatch):
    before = full.metadata.fingerprint
    food = [f"d{i}" for i, label in enumerate(rows["labels"]) if label == "food"]
    for user_id in food:
        full.decide(user_id, "label", "drinks")
    _ = full.encoder
    with monkeypatch.context() as patch:
        encode = base_embeddings.encode_rows
        ran = []
        patch.setattr(
            base_embeddings,
            "encode_rows",
            lambda source, rows, *size, **options: ran.extend(rows) or encode(source, rows, *size, **options),
        )
        encoder = full.refit(tmp_path / "new")
    assert ran == []
    assert full.metadata.fingerprint == encoder.fingerprint != before
    assert set(encoder.codebook.labels) == {"card", "loan", "travel", "drinks"}
    assert (encoder.groups, encoder.supervision) == (4, "labels")
    assert full.search("pizza oven").hits[0].label == "drinks"
    points = points_of(full)
    assert all(points[user_id].payload["fg"]["given_label"] == "food" for user_id in food)
    assert all(points[user_id].payload["fg"]["reviewed"]["action"] == "label" for user_id in food)
    assert len(full.decisions()) == len(food)
    fresh = encoder.encode(rows["texts"])
    stored = np.array([points[user_id].payload["fg"]["confidence"] for user_id in rows["ids"]])
    np.testing.assert_allclose(stored, fresh.confidence, atol=1e-4)


def test_what_a_server_gives_in_slices_is_learned_in_the_same_order(encoder, rows, fake_server, tmp_path, monkeypatch):
    monkeypatch.setattr("fg_search.index.corpus.ITEMS_PER_WRITE", 8)
    fake_server.version = "1.19.0"
    learned = []
    for location in (fake_server.url, ":memory:"):
        with ConfidenceIndex(location, encoder) as index:
            index.add(**rows)
            learned.append(index.refit(tmp_path / str(len(learned))).fingerprint)
    assert any(b'"slice"' in body for body in fake_server.bodies)
    assert learned[0] == learned[1]


def test_undo_works_across_a_refit(full, tmp_path, points_of):
    full.decide("d0", "label", "food")
    full.decide("d1", "delete")
    full.refit(tmp_path / "new")
    full.undo()
    full.undo()
    points = points_of(full)
    assert points["d0"].payload["fg"]["label"] == "card"
    assert points["d1"].payload["fg"]["model"] == full.metadata.fingerprint


def test_lists_and_marks_stay_where_they_were(full, rows, tmp_path, points_of):
    full.add([rows["texts"][0]], ids=["twin"], labels=["loan"])
    full.score_labels()
    full.score_items()
    kinds = ("contradicted", "conflicting", "duplicate", "outlier")
    before = {kind: [item.id for item in full.review(kind=kind, limit=48)] for kind in kinds}
    review = {user_id: point.payload["fg"].get("review") for user_id, point in points_of(full).items()}
    confused = full.confused_labels()
    assert before["conflicting"]
    assert before["duplicate"]
    full.refit(tmp_path / "new")
    assert {kind: [item.id for item in full.review(kind=kind, limit=48)] for kind in kinds} == before
    assert full.confused_labels() == confused
    after = {user_id: point.payload["fg"].get("review") for user_id, point in points_of(full).items()}
    assert after.keys() == review.keys()
    for user_id, marks in review.items():
        assert are_same(after[user_id], marks), user_id


def test_an_index_that_was_never_scored_is_not_said_to_be(full, tmp_path):
    full.refit(tmp_path / "new")
    for kind in ("contradicted", "outlier"):
        with pytest.raises(NotScoredError):
            full.review(kind=kind)


def test_the_new_head_has_the_sizes_of_the_old_one(full, encoder, tmp_path):
    fitted = full.refit(tmp_path / "new")
    sizes = ("in_features", "groups", "codes_per_group", "hidden_features", "trunks")
    assert {key: getattr(fitted.head, key) for key in sizes} == {key: getattr(encoder.head, key) for key in sizes}


def test_without_a_label_nothing_is_learned(local, rows, tmp_path):
    local.add(rows["texts"])
    before = local.metadata.fingerprint
    with pytest.raises(ValueError, match="no label left"):
        local.refit(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert local.metadata.fingerprint == before


def test_the_folder_of_the_encoder_in_use_is_refused(tmp_path, encoder, rows):
    FeatureGroupEncoder.load(encoder.folder).save(tmp_path / "encoder")
    (tmp_path / "link").symlink_to(tmp_path / "encoder")
    with ConfidenceIndex(tmp_path / "index", tmp_path / "encoder") as index:
        index.add(**rows)
        index.relabel({"d0": "food"})
        for folder in (tmp_path / "encoder", tmp_path / "link"):
            with pytest.raises(ValueError, match="choose another folder"):
                index.refit(folder)
    with ConfidenceIndex(tmp_path / "index", tmp_path / "encoder") as index:
        assert index.search("my card").hits
        index.refit(tmp_path / "new")
    with ConfidenceIndex(tmp_path / "index") as index:
        assert index.search("my card").hits


def test_without_stored_base_vectors_texts_are_encoded(tmp_path, encoder, rows, encoded):
    settings = IndexSettings(base_vectors="none")
    with ConfidenceIndex(tmp_path / "index", encoder, settings=settings) as index:
        index.add(**rows)
        encoded.clear()
        index.refit(tmp_path / "new")
        assert sorted(encoded) == sorted(rows["texts"])


def test_what_corrected_labels_do_not_change_is_refused(tmp_path, tiny_model, corpus):
    texts, _ = corpus
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, groups=2, codes=3, hidden=8, steps=10)
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(texts)
        with pytest.raises(ValueError, match="learned from clusters"):
            index.refit(tmp_path / "new")


def test_attributes_are_learned_again_from_the_payload(tmp_path, tiny_model, corpus):
    texts, labels = corpus
    kind = ["money" if label in ("card", "loan") else "leisure" for label in labels]
    encoder = FeatureGroupEncoder(tiny_model).fit(
        texts, labels=labels, attributes={"kind": kind}, groups=3, codes=4, hidden=8, steps=20
    )
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(texts, labels=labels, payloads=[{"kind": value} for value in kind])
        assert index.refit(tmp_path / "new").attributes == ("kind",)
        index.add([f"please help {i}" for i in range(4)], payloads=[{"kind": f"new {i}"} for i in range(4)])
        grown = index.refit(tmp_path / "newer")
        assert (grown.groups, grown.codes_per_group) == (3, 6)  # an attribute has a code for each value


def test_a_tenant_cannot_refit_for_all(tmp_path, encoder, rows):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="owner")) as index:
        index.tenant("one").add(**rows)
        with pytest.raises(ValueError, match="all tenants"):
            index.tenant("one").refit(tmp_path / "new")
        index.refit(tmp_path / "new")
        assert len(index.tenant("one")) == len(rows["texts"])


def test_codes_grow_with_labels_that_had_one_each(tiny_model, corpus):
    texts, labels = corpus
    few = ["card" if label == "loan" else label for label in labels]
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, labels=few, groups=2, hidden=8, steps=5)
    assert encoder.codes_per_group == 3
    assert encoder.refitted(texts, labels).codes_per_group == 4
    chosen = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=3, hidden=8, steps=5)
    assert chosen.refitted(texts, labels).codes_per_group == 3  # fewer codes than labels were wanted

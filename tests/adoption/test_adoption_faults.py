"""Adoptions that are interrupted anywhere and gone on with, or undone; and others who write at the same time."""

import numpy as np
import pytest
from adoption_data import VECTOR, made, point, state_of
from qdrant_client import models

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.errors import EncoderNotFoundError, ModelMismatchError, StorageError
from fg_search.index.adoption import sync

WRITES = [
    "update_collection",
    "create_vector_name",
    "create_payload_index",
    "batch_update_points",
    "delete_payload",
    "delete_vector_name",
    "delete_payload_index",
    "delete_collection",
]


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch):
    monkeypatch.setattr(sync, "_POINTS_PER_WRITE", 16)


class Dying:
    """Interrupts a client at one of its writes, before or after it is carried out."""

    def __init__(self, monkeypatch, at, *, carried_out, writes=WRITES):
        self.writes = 0
        self.at = at
        for name in writes:
            monkeypatch.setattr(EdgeClient, name, self._wrapped(getattr(EdgeClient, name), carried_out))

    def _wrapped(self, method, carried_out):
        def call(client, *args, **kwargs):
            self.writes += 1
            if self.writes == self.at and not carried_out:
                raise KeyboardInterrupt
            result = method(client, *args, **kwargs)
            if self.writes == self.at:
                raise KeyboardInterrupt
            return result

        return call


def interrupted(monkeypatch, act, at, *, carried_out, writes=WRITES):
    """Number of writes until it was interrupted: at the ``at``-th, or ``None`` for nowhere."""
    with monkeypatch.context() as patch:
        dying = Dying(patch, at, carried_out=carried_out, writes=writes)
        if dying.at is None:
            act()
            return dying.writes
        with pytest.raises(KeyboardInterrupt):
            act()
        return dying.writes


def interrupted_after_a_slice(monkeypatch, act):
    interrupted(monkeypatch, act, 1, carried_out=True, writes=["batch_update_points"])


def consistent(client, encoder):
    """Whether the features of all points are those of their vectors."""
    records, _ = client.scroll("shop", limit=1000, with_vectors=True)
    features = encoder.features(np.array([one.vector[VECTOR] for one in records], dtype=np.float32))
    for record, confidence, codes in zip(records, features.confidence, features.codes, strict=True):
        own = record.payload["fg"]
        assert own["confidence"] == pytest.approx(confidence, abs=1e-5)
        assert own["codes"] == " ".join(map(str, codes))
        assert len(record.vector["features"].indices)
    return len(records)


def test_interrupted_anywhere_it_goes_on_or_is_undone(edge, rows, how, monkeypatch):
    made(edge, rows)
    before = state_of(edge)

    def adopt():
        ConfidenceIndex.adopt(edge, **how).close()

    def undo():
        ConfidenceIndex.undo_adoption(edge, collection="shop")

    total = interrupted(monkeypatch, adopt, None, carried_out=False)
    whole = state_of(edge)
    undoing = interrupted(monkeypatch, undo, None, carried_out=False)
    assert state_of(edge) == before
    assert total > 14  # those in between make payload indexes
    for at, carried_out in [(1, False), (1, True), (2, True), (total - 3, False), (total - 2, True), (total, False)]:
        interrupted(monkeypatch, adopt, at, carried_out=carried_out)
        found = edge.query_points("shop", query=rows[2][3].tolist(), using=VECTOR, limit=1).points[0]
        assert found.id == 3
        adopt()
        assert state_of(edge) == whole
        undo()
        assert state_of(edge) == before
    for at, carried_out in [(1, True), (2, False), (undoing - 1, True)]:
        adopt()
        interrupted(monkeypatch, undo, at, carried_out=carried_out)
        undo()
        assert state_of(edge) == before


def test_what_was_begun_with_one_encoder_is_not_finished_with_another(edge, rows, how, monkeypatch, tiny_model):
    made(edge, rows)
    interrupted_after_a_slice(monkeypatch, lambda: ConfidenceIndex.adopt(edge, **how))
    texts, labels, _ = rows
    another = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=3, hidden=16, steps=5)
    with pytest.raises(ModelMismatchError, match="go on with that encoder"):
        ConfidenceIndex.adopt(edge, **{**how, "encoder": another})
    with ConfidenceIndex(edge, collection="shop") as index:  # what is there answers, the rest by its base vectors
        assert index.info().unsynced == 32
        assert len(index.search(texts[3], rank_by="base", limit=48).hits) == 48
    # the encoder of the fixture was saved, so that it need not be given again
    with ConfidenceIndex.adopt(edge, **{**how, "encoder": None}) as index:
        assert index.info().unsynced == 0
    assert consistent(edge, how["encoder"]) == 48


def test_an_encoder_that_was_never_saved_is_asked_for(edge, rows, how, monkeypatch, tiny_model):
    made(edge, rows)
    texts, labels, _ = rows
    unsaved = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=3, hidden=16, steps=5)
    interrupted_after_a_slice(monkeypatch, lambda: ConfidenceIndex.adopt(edge, **{**how, "encoder": unsaved}))
    with pytest.raises(EncoderNotFoundError, match="never saved"):
        ConfidenceIndex.adopt(edge, **{**how, "encoder": None})
    ConfidenceIndex.adopt(edge, **{**how, "encoder": unsaved}).close()


def test_an_adoption_that_is_being_undone_is_not_gone_on_with(edge, rows, how, monkeypatch):
    made(edge, rows)
    ConfidenceIndex.adopt(edge, **how).close()
    interrupted(monkeypatch, lambda: ConfidenceIndex.undo_adoption(edge, collection="shop"), 2, carried_out=True)
    with pytest.raises(StorageError, match="being undone"):
        ConfidenceIndex.adopt(edge, **how)
    ConfidenceIndex.undo_adoption(edge, collection="shop")


def upserted(client, vectors):
    client.upsert("shop", [point(3, vectors[20], {"title": "moved", "info": {"kind": "x"}})])


def upserted_alike(client, vectors):
    client.upsert("shop", [point(3, vectors[3], {"title": "the same vector", "info": {"kind": "x"}})])


def moved(client, vectors):
    client.update_vectors("shop", [models.PointVectors(id=3, vector={VECTOR: vectors[20].tolist()})])


def renamed(client, _):
    client.set_payload("shop", {"title": "renamed"}, points=[3])


def relabelled(client, _):
    client.set_payload("shop", {"kind": "x"}, points=[3], key="info")


def removed(client, _):
    client.delete("shop", models.PointIdsList(points=[3]))


def added(client, vectors):
    client.upsert("shop", [point(1, vectors[20], {"title": "replaced"}), point(60, vectors[20], {"title": "added"})])


@pytest.mark.parametrize(
    ("write", "when"),
    [
        *((write, when) for write in (upserted, moved, removed) for when in ("before", "between", "after")),
        (upserted_alike, "between"),
        (renamed, "before"),
        (relabelled, "before"),
        (added, "between"),
    ],
)
def test_others_write_at_the_same_time(edge, rows, how, monkeypatch, write, when):
    made(edge, rows)
    _, _, vectors = rows
    theirs = EdgeClient.batch_update_points
    calls = []

    def batch(client, name, update_operations, **kwargs):
        calls.append(len(update_operations))
        if len(calls) > 1:
            return theirs(client, name, update_operations, **kwargs)
        if when == "before":
            write(client, vectors)
        try:
            first = theirs(client, name, update_operations[:1], **kwargs)
            if when == "between":
                write(client, vectors)
            return theirs(client, name, update_operations[1:], **kwargs) or first
        finally:
            if when == "after":
                write(client, vectors)

    monkeypatch.setattr(EdgeClient, "batch_update_points", batch)
    with ConfidenceIndex.adopt(edge, **how) as index:
        assert len(calls) >= 3
        index.sync()
        assert index.info().unsynced == 0
        assert consistent(edge, how["encoder"]) == len(index)
        source = index.metadata.source
        for record in edge.scroll("shop", limit=100)[0]:
            assert record.payload["fg"].get("label") == source.label_of(record.payload)
    monkeypatch.undo()
    ConfidenceIndex.undo_adoption(edge, collection="shop")
    assert all("fg" not in payload for _, payload, _ in state_of(edge)[0])


def test_a_correction_in_the_same_moment_is_not_overwritten(edge, rows, how, monkeypatch):
    made(edge, rows)
    _, _, vectors = rows
    theirs = EdgeClient.batch_update_points
    with ConfidenceIndex.adopt(edge, **how) as index:
        edge.upsert("shop", [point(60, vectors[3], {"title": "new", "info": {"kind": "raw"}})])
        done = []

        def batch(client, name, update_operations, **kwargs):
            if not done:
                done.append(True)
                index.relabel({60: "right"})
            return theirs(client, name, update_operations, **kwargs)

        monkeypatch.setattr(EdgeClient, "batch_update_points", batch)
        index.sync()
        assert index.labels_of([60]) == {60: "right"}
        assert consistent(edge, how["encoder"]) == 49


def test_the_client_of_others_is_never_blocked_by_a_collection_that_is_half_adopted(edge, rows, how, monkeypatch):
    made(edge, rows)
    interrupted_after_a_slice(monkeypatch, lambda: ConfidenceIndex.adopt(edge, **how))
    edge.upsert("shop", [point(70, rows[2][0], {"title": "written meanwhile"})])
    assert edge.count("shop").count == 49
    with ConfidenceIndex.adopt(edge, **how) as index:
        assert index.info().unsynced == 0
        assert len(index) == 49

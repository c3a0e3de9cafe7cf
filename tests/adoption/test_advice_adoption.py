"""Advice about adopted collections."""

import io
from contextlib import closing

import numpy as np
import pytest
from adoption_data import VECTOR, made, point, state_of
from advising import Advice
from qdrant_client import QdrantClient, models
from rich.console import Console

from fg_search import BroughtVectors, ConfidenceIndex, EdgeClient, FeatureGroupEncoder, display
from fg_search.errors import (
    EmptyIndexError,
    EncoderNotFoundError,
    IndexNotFoundError,
    ModelMismatchError,
    UnsupportedError,
)
from fg_search.layout.source import Source


@pytest.fixture
def local(rows):
    return made(QdrantClient(":memory:"), rows)


def of_vectors(rows, name, **params):
    """A collection with one vector of some kind."""
    client = QdrantClient(":memory:")
    options = {"size": 24, "distance": models.Distance.COSINE, **params}
    client.create_collection(name, vectors_config={VECTOR: models.VectorParams(**options)})
    return client


def index_of_its_own(rows, encoder):
    """What is advised where a collection cannot be adopted."""
    texts, labels, _ = rows
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(texts, labels=labels)
        assert index.search(texts[3], limit=1).hits[0].text == texts[3]


def test_an_index_is_opened(rows, how):
    client = QdrantClient(":memory:")
    ConfidenceIndex(client, how["encoder"], collection="shop").close()
    with Advice("the collection … is an index already; open it, there is nothing to adopt").raised(ValueError):
        ConfidenceIndex.adopt(client, **how)
    ConfidenceIndex(client, collection="shop").close()


def test_another_way_to_read_is_for_a_new_adoption(local, how):
    ConfidenceIndex.adopt(local, **how).close()
    advice = Advice(
        "the collection … was adopted with …, not with …; leave it so, or take the adoption back with "
        "`fg-search adopt … --undo` and adopt it anew"
    )
    with advice.raised(ValueError):
        ConfidenceIndex.adopt(local, **{**how, "text": ["title", "info.kind"]})
    ConfidenceIndex.undo_adoption(local, collection="shop")
    ConfidenceIndex.adopt(local, **{**how, "text": ["title", "info.kind"]}).close()


def test_an_encoder_that_is_there_is_passed_or_left_alone(local, how, rows, tmp_path):
    other = FeatureGroupEncoder(BroughtVectors(24, "other")).fit(vectors=rows[2], labels=rows[1], steps=5)
    other.save(tmp_path / "head")
    advice = Advice(
        "… has another encoder already, which is not overwritten; choose another folder, or pass that one: encoder=…"
    )
    with advice.raised(FileExistsError):
        ConfidenceIndex.adopt(local, folder=tmp_path / "head", **how)
    with ConfidenceIndex.adopt(local, folder=tmp_path / "head", **{**how, "encoder": tmp_path / "head"}) as index:
        assert index.encoder.fingerprint == other.fingerprint
    ConfidenceIndex.undo_adoption(local, collection="shop")
    with ConfidenceIndex.adopt(local, folder=tmp_path / "head", **{**how, "encoder": None}) as index:
        assert index.encoder.fingerprint == other.fingerprint
    ConfidenceIndex.undo_adoption(local, collection="shop")
    given = FeatureGroupEncoder.load(how["encoder"].folder)
    with ConfidenceIndex.adopt(local, folder=tmp_path / "another", **{**how, "encoder": given}) as index:
        assert index.metadata.encoder == str((tmp_path / "another").resolve())


def test_an_adoption_goes_on_with_its_encoder_or_is_undone(local, how, tiny_model, rows):
    texts, labels, _ = rows
    unsaved = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=3, hidden=16, steps=5)
    ConfidenceIndex.adopt(local, **{**how, "encoder": unsaved}).close()
    other = Advice(
        "the collection … was adopted with the encoder … (saved in …), this one is …; go on with that encoder, or "
        "take the adoption back with `fg-search adopt … --undo` and adopt it anew"
    )
    with other.raised(ModelMismatchError):
        ConfidenceIndex.adopt(local, **how)
    lost = Advice(
        "the adoption of … was begun with an encoder that was never saved; pass it as encoder=…, or take the adoption "
        "back with `fg-search adopt … --undo`"
    )
    with lost.raised(EncoderNotFoundError):
        ConfidenceIndex.adopt(local, **{**how, "encoder": None})
    ConfidenceIndex.adopt(local, **{**how, "encoder": unsaved}).close()
    ConfidenceIndex.undo_adoption(local, collection="shop")
    ConfidenceIndex.adopt(local, **how).close()


@pytest.mark.parametrize(
    ("advice", "params"),
    [
        (
            Advice(
                "the vector … of … is compared by …, and an index needs a cosine; add its items to an index of their "
                "own with index.add(…)"
            ),
            {"distance": models.Distance.EUCLID},
        ),
        (
            Advice("the vector … of … is a list of vectors for each point; choose another"),
            {"multivector_config": models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)},
        ),
    ],
)
def test_a_vector_that_cannot_be_built_on(rows, how, advice, params):
    client = of_vectors(rows, "shop", **params)
    with advice.raised(UnsupportedError):
        ConfidenceIndex.adopt(client, **how)
    index_of_its_own(rows, how["encoder"])


def test_dot_products_are_cosines_of_unit_vectors(rows, how):
    texts, _, vectors = rows
    advice = Advice(
        "the vectors of … are compared by dot product and have lengths from … to …, so that this is no cosine; add its "
        "items to an index of their own with index.add(…)"
    )
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for scale in (2, 1):
        client = of_vectors(rows, "shop", distance=models.Distance.DOT)
        client.upsert(
            "shop",
            [
                models.PointStruct(id=i, vector={VECTOR: (scale * unit[i]).tolist()}, payload={"title": texts[i]})
                for i in range(48)
            ],
        )
        if scale == 2:
            with advice.raised(UnsupportedError):
                ConfidenceIndex.adopt(client, **how)
        else:
            ConfidenceIndex.adopt(client, **how).close()


def test_a_collection_of_an_old_server_is_copied_or_the_server_updated(fake_server, rows, how, tmp_path):
    made(fake_server.client, rows)
    fake_server.version = "1.17.4"
    advice = Advice(
        "the server is Qdrant …, and a collection that is there gets another vector from 1.18 on: update it, or copy "
        "the collection to a newer server or a folder (QdrantClient(…).migrate(…)) and adopt it there"
    )
    with advice.raised(UnsupportedError):
        ConfidenceIndex.adopt(fake_server.url, **how)
    with (
        EdgeClient(tmp_path / "copy") as copy,
        closing(QdrantClient(url=fake_server.url, check_compatibility=False)) as old,
    ):
        old.migrate(copy, ["shop"])
        with ConfidenceIndex.adopt(copy, **how) as index:
            assert index.search(rows[0][3], limit=1).hits[0].id == 3
    fake_server.version = "1.18.0"
    before = state_of(fake_server.client)
    with ConfidenceIndex.adopt(fake_server.url, **how) as index:
        assert index.search(rows[0][3], limit=1).hits[0].id == 3
        assert index.info().unsynced == 0
    ConfidenceIndex.undo_adoption(fake_server.url, collection="shop")
    after = state_of(fake_server.client)
    assert [(key, payload) for key, payload, _ in after[0]] == [(key, payload) for key, payload, _ in before[0]]
    assert after[1:] == before[1:]


def test_shards_with_keys_are_not_adopted(local, how, rows, monkeypatch):
    info = local.get_collection("shop")
    info.config.params.sharding_method = models.ShardingMethod.CUSTOM
    monkeypatch.setattr(local, "get_collection", lambda *_, **__: info)
    advice = Advice(
        "the collection … has shards with keys, which cannot be adopted; add its items to an index of their own with "
        "index.add(…)"
    )
    with advice.raised(UnsupportedError):
        ConfidenceIndex.adopt(local, **how)
    index_of_its_own(rows, how["encoder"])


def test_names_that_are_taken_are_renamed(local, how, rows):
    local.upsert("shop", [point(60, rows[2][0], {"title": "theirs", "fg": {"of": "somebody else"}})])
    payload = Advice(
        "… points of the collection … have a payload key … of somebody else's, which is the index's own; rename that "
        "key"
    )
    with payload.raised(ValueError):
        ConfidenceIndex.adopt(local, **how)
    local.overwrite_payload("shop", {"title": "theirs", "fg": None}, points=[60])  # which undoing could not bring back
    with payload.raised(ValueError):
        ConfidenceIndex.adopt(local, **how)
    local.overwrite_payload("shop", {"title": "theirs", "renamed": {"of": "somebody else"}}, points=[60])
    local.update_collection("shop", metadata={"review": "weekly"})
    metadata = Advice(
        "the metadata of the collection … have … of somebody else's, which is the index's own; rename that key"
    )
    with metadata.raised(ValueError):
        ConfidenceIndex.adopt(local, **how)
    local.update_collection("shop", metadata={"review": None, "reviewed": "weekly"})
    config = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
    for name in ("features", "fg_features"):
        local.create_vector_name("shop", name, config)
    vectors = Advice(
        "the collection … has vectors … and …, so that there is no name left for that of the index; rename one of them"
    )
    with vectors.raised(ValueError):
        ConfidenceIndex.adopt(local, **how)
    local.delete_vector_name("shop", "fg_features")
    ConfidenceIndex.adopt(local, **how).close()


@pytest.mark.parametrize("log", ["shop.decisions", "shop.queries"])
def test_a_collection_with_the_name_of_a_log_is_somebody_elses(local, how, log):
    vectors = models.VectorParams(size=2, distance=models.Distance.COSINE)
    local.create_collection(log, vectors_config=vectors)
    advice = Advice(
        "there is a collection … already, which is the name of a log of the index …; give … an alias, and adopt it by "
        "that name"
    )
    with advice.raised(ValueError):
        ConfidenceIndex.adopt(local, **how)
    create = models.CreateAlias(collection_name="shop", alias_name="live")
    local.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    ConfidenceIndex.adopt(local, **{**how, "collection": "live"}).close()
    local.create_collection("live.queries", vectors_config=vectors)
    ConfidenceIndex.undo_adoption(local, collection="live")
    assert local.collection_exists(log)
    assert local.collection_exists("live.queries")


def test_the_model_that_made_the_vectors_is_given(local, how, rows):
    texts, labels, vectors = rows
    local.create_collection("small", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    local.upsert("small", [models.PointStruct(id=1, vector=[1.0, 0.0], payload={"title": "a"})])
    size = Advice("the vectors of … have … numbers, those of … …; give the model that made them")
    with size.raised(ModelMismatchError):
        ConfidenceIndex.adopt(local, **{**how, "collection": "small", "vector": ""})
    shuffled = texts, labels, np.roll(vectors, 1, axis=1)
    other = Advice("… …: their cosine is …, not 1; give the model that made them")
    with other.raised(ModelMismatchError):
        ConfidenceIndex.adopt(made(QdrantClient(":memory:"), shuffled), **how)
    ConfidenceIndex.adopt(local, **how).close()


def test_owners_write_and_sync(local, how, rows):
    with ConfidenceIndex.adopt(local, **how) as index:
        advice = Advice(
            "… is an adopted collection, whose points are its owner's to write: write them with your own client, as "
            "before, and call index.sync() or `fg-search sync`"
        )
        with advice.raised(UnsupportedError):
            index.add(["one more"])
        local.upsert("shop", [point(60, rows[2][0], {"title": "one more"})])
        printed = io.StringIO()
        display.info(Console(file=printed, width=200), index.info())
        assert Advice("… points that others have written; `fg-search sync` computes their features").is_in(
            printed.getvalue()
        )
        index.sync()
        assert index.info().unsynced == 0


def test_a_collection_of_few_points(rows, how):
    client = of_vectors(rows, "shop")
    few = Advice(
        "… has … points with the vector …, and a head learns from at least two; add some with your client, or pass an "
        "encoder that was fitted on others: encoder=…"
    )
    without = {**how, "encoder": None}
    for adopt in (ConfidenceIndex.plan_adoption, ConfidenceIndex.adopt):
        with few.raised(ValueError):
            adopt(client, **without)
    with ConfidenceIndex.adopt(client, **how) as index:
        advice = Advice(" is empty; write points with your own client, and call index.sync()")
        with advice.raised(EmptyIndexError):
            index.search(rows[0][0])
        written = [point(i, rows[2][i], {"title": rows[0][i], "info": {"kind": rows[1][i]}}) for i in range(40)]
        client.upsert("shop", [one.model_copy(update={"vector": {VECTOR: one.vector[VECTOR]}}) for one in written])
        index.sync()
        assert index.search(rows[0][0], limit=1).hits[0].id == 0
    ConfidenceIndex.undo_adoption(client, collection="shop")
    ConfidenceIndex.adopt(client, **without).close()


def test_what_is_not_there_is_not_adopted_or_undone(tmp_path, local, how):
    with pytest.raises(IndexNotFoundError, match="there is no collection 'other'"):
        ConfidenceIndex.adopt(local, **{**how, "collection": "other"})
    with pytest.raises(IndexNotFoundError, match="no adopted collection"):
        ConfidenceIndex.undo_adoption(local, collection="shop")
    with pytest.raises(ValueError, match=r"no dense vector 'other'; it has: 'text-embedding', 'image'"):
        ConfidenceIndex.adopt(local, **{**how, "vector": "other"})
    EdgeClient(tmp_path).close()


@pytest.mark.parametrize(
    ("text", "label", "message"), [((), None, "at least one"), (("a b",), None, "no path"), (("t",), "fg.x", "own")]
)
def test_paths_of_text_and_label(text, label, message):
    with pytest.raises(ValueError, match=message):
        Source("", text, label)

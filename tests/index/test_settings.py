import numpy as np
import pytest
from qdrant_client import models

from fg_search import ConfidenceIndex
from fg_search.layout.settings import IndexSettings

QUESTION = "please help my card is stolen"


def open_with(location, encoder, **settings):
    return ConfidenceIndex(location, encoder, settings=IndexSettings(**settings))


@pytest.mark.parametrize(
    "chosen",
    [
        {"base_vectors": "float16"},
        {"quantization": "scalar"},
        {"quantization": "binary"},
        {"on_disk": True},
        {"feature_vectors": "float16"},
        {"feature_vectors": "uint8", "features_on_disk": True},
        {"base_vectors": "float16", "quantization": "scalar", "on_disk": True},
        {"tenant_key": "owner"},
    ],
)
@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_an_index_of_any_settings_finds_the_same(kind, tmp_path, encoder, corpus, chosen):
    texts, labels = corpus
    with ConfidenceIndex(":memory:", encoder) as plain:
        plain.add(texts, labels=labels)
        expected = {by: plain.search(QUESTION, limit=48, rank_by=by).hits for by in ("features", "base")}
    with open_with(tmp_path / "i" if kind == "edge" else ":memory:", encoder, **chosen) as index:
        used = index.tenant("one") if "tenant_key" in chosen else index
        used.add(texts, labels=labels)
        assert used.add(texts, labels=labels).unchanged == 48
        for rank_by, hits in expected.items():
            found = used.search(QUESTION, limit=48, rank_by=rank_by).hits
            np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in hits], atol=2e-3)
    if kind == "edge":
        with ConfidenceIndex(tmp_path / "i", encoder) as index:
            assert index.metadata.settings == IndexSettings(**chosen)


@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_without_base_vectors_only_features_rank(kind, tmp_path, encoder, corpus, points_of, questions):
    texts, labels = corpus
    with open_with(tmp_path / "i" if kind == "edge" else ":memory:", encoder, base_vectors="none") as index:
        index.add(texts, labels=labels)
        assert {tuple(point.vector) for point in points_of(index).values()} == {("features",)}
        assert index.search(QUESTION).hits == index.search(QUESTION, rank_by="features").hits
        for rank_by in ("base", "both"):
            with pytest.raises(ValueError, match="made without base vectors"):
                index.search(QUESTION, rank_by=rank_by)
        index.calibrate(*questions(100, 0))
        assert index.search(QUESTION).confidence is not None
        assert index.relabel({next(iter(points_of(index))): "x"}) == 1


def test_an_unsupervised_head_ranks_by_features_where_there_is_nothing_else(tiny_model, corpus):
    from fg_search import FeatureGroupEncoder

    texts, _ = corpus
    unsupervised = FeatureGroupEncoder(tiny_model).fit(texts, groups=4, codes=3, hidden=16, steps=10)
    with open_with(":memory:", unsupervised, base_vectors="none") as index:
        index.add(texts)
        assert index.search(texts[0], limit=5).hits


@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_other_settings_than_those_it_was_made_with_are_refused(kind, tmp_path, encoder):
    from qdrant_client import QdrantClient

    from fg_search import EdgeClient

    client = EdgeClient(tmp_path / "i") if kind == "edge" else QdrantClient(":memory:")
    first = open_with(client, encoder, base_vectors="float16")
    first.add(["my card"])
    for other in ({}, {"base_vectors": "none"}, {"base_vectors": "float16", "tenant_key": "owner"}):
        with pytest.raises(ValueError, match=r"was made with IndexSettings.*leave the settings out"):
            open_with(client, encoder, **other)
    assert len(open_with(client, encoder, base_vectors="float16")) == 1
    assert ConfidenceIndex(client, encoder).metadata.settings == IndexSettings(base_vectors="float16")
    client.close()


def test_refused_settings_leave_the_folder_free(tmp_path, encoder):
    ConfidenceIndex(tmp_path / "i", encoder).close()
    with pytest.raises(ValueError, match="was made with"):
        open_with(tmp_path / "i", encoder, on_disk=True)
    ConfidenceIndex(tmp_path / "i", encoder).close()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"base_vectors": "float64"}, "base_vectors must be one of 'float32', 'float16', 'none'"),
        ({"feature_vectors": "int8"}, "feature_vectors must be one of 'float32', 'float16', 'uint8'"),
        ({"quantization": "int4"}, "quantization must be one of"),
        ({"base_vectors": "none", "quantization": "scalar"}, "leaves out"),
        ({"base_vectors": "none", "on_disk": True}, "leaves out"),
        ({"tenant_key": "fg"}, "tenant_key"),
        ({"tenant_key": ""}, "tenant_key"),
        ({"tenant_key": "a.b"}, "tenant_key"),
        ({"shards": 0}, "shards"),
        ({"replicas": True}, "replicas"),
        ({"write_consistency": 1.5}, "write_consistency"),
    ],
)
def test_settings_that_make_no_sense_are_refused(chosen, message):
    with pytest.raises(ValueError, match=message):
        IndexSettings(**chosen)


def test_settings_reach_the_engine(tmp_path, encoder):
    with open_with(tmp_path / "i", encoder, base_vectors="float16", quantization="scalar", on_disk=True) as index:
        base = index.client.get_collection(index.collection).config.params.vectors["base"]
        assert base.datatype == models.Datatype.FLOAT16
        assert base.on_disk
        assert base.quantization_config.scalar.type == models.ScalarType.INT8
    with open_with(tmp_path / "j", encoder, feature_vectors="uint8", features_on_disk=True) as index:
        features = index.client.get_collection(index.collection).config.params.sparse_vectors["features"]
        assert (features.index.datatype, features.index.on_disk) == (models.Datatype.UINT8, True)


@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_an_optimized_index_finds_the_same(kind, tmp_path, encoder, corpus):
    texts, labels = corpus
    with open_with(tmp_path / "i" if kind == "edge" else ":memory:", encoder, feature_vectors="uint8") as index:
        index.add(texts, labels=labels)
        index.client.update_collection(
            index.collection, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1)
        )
        before = index.search(QUESTION, limit=48).hits
        assert index.optimize() is (kind == "edge")
        assert index.optimize() is False  # nothing is left to do
        after = {hit.id: hit for hit in index.search(QUESTION, limit=48).hits}
        np.testing.assert_allclose([after[hit.id].score for hit in before], [hit.score for hit in before], atol=0.01)
        index.add(["a new card was stolen"], ids=["new"], labels=["card"])
        assert index.search("a new card was stolen").hits[0].id == "new"

"""Functions, classes of one's own, and the packages fastembed and model2vec, which stand-ins play here."""

import sys
import types

import numpy as np
import pytest

from fg_search import (
    CallableEmbedder,
    ConfidenceIndex,
    Embedded,
    Embedder,
    FastEmbedEmbedder,
    FeatureGroupEncoder,
    Model2VecEmbedder,
    SentenceTransformerEmbedder,
)
from fg_search.errors import EncoderNotFoundError, ModelMismatchError, NoEmbedderError, UnsupportedError
from fg_search.model.reading import Reading

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 40}


def test_a_function_embeds(tiny_model, corpus, tmp_path):
    embedder = CallableEmbedder(tiny_model.encode, 24, name="ours", version="7")
    encoder = FeatureGroupEncoder(embedder).fit(corpus[0], labels=corpus[1], **SIZES)
    of_model = FeatureGroupEncoder(tiny_model).fit(corpus[0], labels=corpus[1], **SIZES)
    texts = ["my card", "pizza"]
    np.testing.assert_allclose(encoder.encode(texts).base, of_model.encode(texts).base, atol=1e-6)
    encoder.save(tmp_path / "encoder")
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        expected = index.search("my card").hits
        vector = encoder.embed(["my card"])[0]
    with ConfidenceIndex(tmp_path / "index") as index:
        assert index.search(vector=vector).hits == expected, "vectors need no function"
        with pytest.raises(NoEmbedderError, match="vectors of 'ours' are brought along"):
            index.search("my card")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder", embedder=embedder)
    with ConfidenceIndex(tmp_path / "index", loaded) as index:
        assert index.search("my card").hits == expected
    with pytest.raises(ModelMismatchError, match="embedder 'ours'"):
        FeatureGroupEncoder.load(tmp_path / "encoder", embedder=CallableEmbedder(tiny_model.encode, 24, version="8"))
    absent = FeatureGroupEncoder.load(tmp_path / "encoder")
    absent.save(tmp_path / "again")
    assert FeatureGroupEncoder.load(tmp_path / "again", embedder=embedder).fingerprint == encoder.fingerprint


def test_two_functions_embed_queries_and_documents(tiny_model, corpus):
    embedder = CallableEmbedder(
        dimension=24, queries=lambda texts: -tiny_model.encode(texts), documents=tiny_model.encode
    )
    assert not embedder.is_symmetric
    encoder = FeatureGroupEncoder(embedder).fit(corpus[0], labels=corpus[1], **SIZES)
    np.testing.assert_array_equal(encoder.embed(corpus[0], role="query"), -encoder.embed(corpus[0]))
    assert encoder.encode_query(corpus[0]).familiarity.mean() > 0.4
    for wrong in ({}, {"queries": len}, {"function": len, "queries": len, "documents": len}):
        with pytest.raises(TypeError, match=r"give one function for all texts, or queries=… and documents=…"):
            CallableEmbedder(dimension=3, **wrong)


def test_a_function_gives_one_vector_for_each_text():
    embedder = CallableEmbedder(lambda texts: np.ones((len(texts), 3)), 4, name="ours")
    with pytest.raises(ValueError, match=r"'ours' gave an array of shape \(2, 3\) for 2 texts, not \(2, 4\)"):
        embedder.embed_queries(["a", "b"])
    assert embedder.embed_queries([]).vectors.shape == (0, 4)


@pytest.mark.parametrize("given", [None, [[1.0, 2.0], [1.0]], [1.0, 2.0], ["a", "b"]])
def test_what_a_function_gives_is_looked_at(given):
    embedder = CallableEmbedder(lambda texts: given, 2, name="ours")
    with pytest.raises(ValueError, match="the function of 'ours' gave no vectors: what it gave") as caught:
        embedder.embed_queries(["a", "b"])
    assert str(caught.value).endswith("; let it return one vector for each text")


def test_a_function_may_give_tensors():
    import torch

    weights = torch.ones(2, 2, requires_grad=True)
    for given in (weights, list(weights), weights.bfloat16()):
        embedder = CallableEmbedder(lambda texts, given=given: given, 2)
        np.testing.assert_array_equal(embedder.embed_queries(["a", "b"]).vectors, np.ones((2, 2)))


def test_whatever_has_the_members_is_an_embedder(tiny_model, corpus):
    class Ours:
        name, dimension, fingerprint, is_symmetric = "ours", 24, "0123456789abcdef", True

        def embed_documents(self, texts):
            unread = np.array([text.startswith("???") for text in texts], dtype=np.float32)
            reading = Reading(np.ones(len(texts), dtype=np.int64), unread, unread > 2, 12)
            return Embedded(tiny_model.encode(texts), reading)

        embed_queries = embed_documents

    assert isinstance(Ours(), Embedder)
    assert isinstance(SentenceTransformerEmbedder(tiny_model), Embedder)
    encoder = FeatureGroupEncoder(Ours()).fit(corpus[0], labels=corpus[1], **SIZES)
    found = encoder.encode(["my card", "??? card"], batch_size=1)
    assert found.reading.unread.tolist() == [0, 1]
    assert found.familiarity[1] == 0
    Ours.embed_documents = lambda self, texts: Embedded(np.ones((1, 24)))
    with pytest.raises(ValueError, match=r"'ours' must give vectors of shape \(2, 24\), it gave \(1, 24\)"):
        encoder.embed(["my card", "my pin"])


class TextEmbedding:
    """As fastembed has it; queries of the model "apart" are embedded in another way."""

    model = None

    def __init__(self, model_name, threads=None):
        if model_name not in ("alike", "apart"):
            raise ValueError(f"Model {model_name} is not supported in TextEmbedding.")
        self.name = model_name

    def passage_embed(self, texts):
        yield from self.model.encode(list(texts)).astype(np.float64)

    def query_embed(self, texts):
        yield from (-1 if self.name == "apart" else 1) * self.model.encode(list(texts))


@pytest.fixture
def fastembed(monkeypatch, tiny_model):
    monkeypatch.setattr(TextEmbedding, "model", tiny_model)
    monkeypatch.setitem(sys.modules, "fastembed", types.SimpleNamespace(TextEmbedding=TextEmbedding))


@pytest.mark.parametrize("name", ["alike", "apart"])
def test_models_of_fastembed(fastembed, name, tiny_model, corpus, tmp_path):
    embedder = FastEmbedEmbedder(name, threads=1)
    assert (embedder.dimension, embedder.is_symmetric) == (24, name == "alike")
    sign = 1 if name == "alike" else -1
    np.testing.assert_array_equal(embedder.embed_queries(corpus[0]).vectors, sign * tiny_model.encode(corpus[0]))
    assert embedder.embed_documents([]).vectors.shape == (0, 24)
    encoder = FeatureGroupEncoder(embedder).fit(corpus[0], labels=corpus[1], **SIZES)
    encoder.save(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder")
    assert loaded.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(loaded.encode_query(["my card"]).base, encoder.encode_query(["my card"]).base)
    assert FastEmbedEmbedder(name, query_prefix="please ").fingerprint != embedder.fingerprint
    with pytest.raises(EncoderNotFoundError, match=r"fastembed cannot load the model 'none'"):
        _ = FastEmbedEmbedder("none").dimension


class StaticModel:
    """As model2vec has it."""

    folder, base_model_name, weights, token_mapping, normalize, max_length, unk_token_id = *[None] * 4, False, 512, 0

    def __init__(self, model):
        self.tokenizer, self.embedding = model[0].tokenizer, model[0].embedding.weight.detach().numpy()
        self.model = model

    @property
    def dim(self):
        return self.embedding.shape[1]

    @classmethod
    def from_pretrained(cls, path, force_download):
        if path != "static":
            raise FileNotFoundError(path)
        return cls(cls.folder)

    def encode(self, texts, use_multiprocessing):
        return self.model.encode(texts)


@pytest.fixture
def model2vec(monkeypatch, tiny_model):
    monkeypatch.setattr(StaticModel, "folder", tiny_model)
    monkeypatch.setitem(sys.modules, "model2vec", types.SimpleNamespace(StaticModel=StaticModel))


def test_models_of_model2vec(model2vec, tiny_model, corpus, tmp_path):
    embedder = Model2VecEmbedder("static")
    assert (embedder.dimension, embedder.is_symmetric) == (24, True)
    found = embedder.embed_queries(["my card", "my zebra", "\u200b"])
    assert found.reading.unread.tolist() == [0, 0.5, 1]
    assert not found.reading.cut.any()
    assert embedder.embed_documents([]).vectors.shape == (0, 24)
    encoder = FeatureGroupEncoder(embedder).fit(corpus[0], labels=corpus[1], **SIZES)
    encoder.save(tmp_path / "encoder")
    assert FeatureGroupEncoder.load(tmp_path / "encoder").fingerprint == encoder.fingerprint
    ready = Model2VecEmbedder(StaticModel(tiny_model))
    assert ready.fingerprint == embedder.fingerprint
    FeatureGroupEncoder(ready).fit(corpus[0], labels=corpus[1], **SIZES).save(tmp_path / "ready")
    with pytest.raises(NoEmbedderError):
        FeatureGroupEncoder.load(tmp_path / "ready").encode(["my card"])
    assert len(FeatureGroupEncoder.load(tmp_path / "ready", embedder=embedder).encode(["my card"])) == 1
    with pytest.raises(EncoderNotFoundError, match="model2vec cannot load the model 'none'"):
        _ = Model2VecEmbedder("none").dimension


@pytest.mark.parametrize(("kind", "package"), [(FastEmbedEmbedder, "fastembed"), (Model2VecEmbedder, "model2vec")])
def test_missing_packages_are_named(monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedError, match=f"pip install {package}"):
        kind("a")

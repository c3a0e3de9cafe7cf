"""Advice about embedders and vectors that are brought along."""

import builtins
import sys
import types

import httpx
import numpy as np
import pytest
from advising import Advice

from fg_search import (
    BroughtVectors,
    ConfidenceIndex,
    FastEmbedEmbedder,
    FeatureGroupEncoder,
    HttpEmbedder,
    Model2VecEmbedder,
    SentenceTransformerEmbedder,
)
from fg_search.errors import EncoderNotFoundError, ModelMismatchError, NoEmbedderError, ServerError, UnsupportedError

_TEXTS = ["my card pin", "stolen card", "pizza oven", "cheese pizza"]
_LABELS = ["card", "card", "food", "food"]
_SIZES = {"groups": 2, "codes": 2, "hidden": 8, "steps": 5}


@pytest.fixture(scope="module")
def vectors(tiny_model):
    return FeatureGroupEncoder(tiny_model).embed(_TEXTS)


@pytest.fixture(scope="module")
def brought(vectors):
    return FeatureGroupEncoder(BroughtVectors(24)).fit(vectors=vectors, labels=_LABELS, **_SIZES)


@pytest.fixture
def index(brought, vectors):
    with ConfidenceIndex(":memory:", brought) as index:
        index.add(_TEXTS, labels=_LABELS, vectors=vectors)
        yield index


def test_texts_are_embedded_by_vectors_or_an_embedder(index, brought, vectors, tiny_model, tmp_path):
    advice = Advice(
        "nothing embeds texts here…: vectors of … are brought along; pass them (…; --vectors on the command line), or "
        "give the encoder an embedder of that model: FeatureGroupEncoder.load(folder, embedder=…)"
    )
    with advice.raised(NoEmbedderError):
        index.search("my card")
    assert index.search("my card", vector=vectors[0]).hits
    brought.save(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder", embedder=SentenceTransformerEmbedder(tiny_model))
    with ConfidenceIndex(index.client, loaded) as same:
        assert same.search("my card pin").hits == index.search(vector=vectors[0]).hits


def test_another_embedder_means_another_fit(brought, tiny_model, vectors, tmp_path):
    brought.save(tmp_path / "encoder")
    advice = Advice(
        "the encoder was fitted on vectors of the embedder … (…), this one is … (…); their vectors cannot be compared: "
        "pass that one, or fit the encoder again"
    )
    with advice.raised(ModelMismatchError):
        FeatureGroupEncoder.load(tmp_path / "encoder", embedder=BroughtVectors(24, "others"))
    other = SentenceTransformerEmbedder(tiny_model)
    assert FeatureGroupEncoder.load(tmp_path / "encoder", embedder=BroughtVectors(24)).is_fitted
    assert FeatureGroupEncoder(other).fit(_TEXTS, labels=_LABELS, **_SIZES).is_fitted


def test_settings_go_where_they_belong(brought, tiny_model, tmp_path):
    brought.save(tmp_path / "encoder")
    with Advice("a saved encoder has its settings; fit another one to change them").raised(ValueError):
        FeatureGroupEncoder(tmp_path / "encoder", query_prompt="query: ")
    with Advice("an embedder has settings of its own: give it there").raised(ValueError):
        FeatureGroupEncoder(SentenceTransformerEmbedder(tiny_model), query_prompt="query: ")
    assert FeatureGroupEncoder(SentenceTransformerEmbedder(tiny_model, query_prompt="my ")).dimension == 24
    with Advice("embedder is for a saved encoder; make a new one of it: FeatureGroupEncoder(embedder)").raised():
        FeatureGroupEncoder(tiny_model, embedder=BroughtVectors(24))
    assert FeatureGroupEncoder(BroughtVectors(24)).dimension == 24
    advice = Advice(
        "with symmetric=True queries and documents are embedded alike; give one prompt, query_prompt=… or "
        "document_prompt=…, or leave symmetric out"
    )
    prompts = {"query_prompt": "query: ", "document_prompt": "passage: "}
    with advice.raised(ValueError):
        FeatureGroupEncoder(tiny_model, symmetric=True, **prompts)
    assert FeatureGroupEncoder(tiny_model, symmetric=True, query_prompt="query: ").embedder.is_symmetric
    assert not FeatureGroupEncoder(tiny_model, **prompts).embedder.is_symmetric


def test_the_embedder_is_there_where_the_model_is_not(brought):
    with Advice("the base embeddings are those of …, which is no SentenceTransformer; use encoder.embedder").raised():
        _ = brought.model
    assert brought.embedder.name == "vectors of your own"
    advice = Advice('embeds queries as it embeds documents: there is one familiarity for both; leave role="query" out')
    with advice.raised(ValueError):
        brought.learn_familiarity(vectors=np.eye(24), role="query")
    assert brought.learn_familiarity(vectors=np.eye(24)).head.familiarity is not None


def test_the_packages_of_a_backend_are_named(transformer_folder, monkeypatch):
    original = builtins.__import__

    def without(name, *rest, **options):
        if name.startswith("optimum"):
            raise ImportError(name)
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with Advice("the backend … needs more packages (…): pip install 'sentence-transformers[…]'").raised(
        UnsupportedError
    ):
        FeatureGroupEncoder(transformer_folder, backend="onnx")
    assert FeatureGroupEncoder(transformer_folder, backend="torch").dimension == 16


def test_items_and_queries_have_texts_or_vectors(index, vectors):
    with Advice("there is nothing to add; give texts, or vectors=… and ids=…").raised(ValueError):
        index.add(labels=_LABELS)
    with Advice("vectors alone do not say what they are of; give texts, or ids=…").raised(ValueError):
        index.add(vectors=vectors)
    assert index.add(vectors=vectors, ids=range(4)).written == 4
    with Advice("there is nothing to search for; give a text, or …=…").raised(ValueError):
        index.search()
    assert index.search(vector=vectors[0]).hits
    advice = Advice("vector holds several vectors; give one for a query without texts, or search_many(vectors=…)")
    with advice.raised(ValueError):
        index.search(vector=vectors)
    assert len(index.search_many(vectors=vectors)) == 4
    known = index.encoder.features(vectors)
    with Advice("vectors and embeddings are two ways to say the same; give one of them").raised(ValueError):
        index.add(_TEXTS, vectors=vectors, embeddings=known)
    assert index.add(_TEXTS, labels=_LABELS, embeddings=known).unchanged == 4
    with Advice("… and embeddings are two ways to say the same; give one of them").raised(ValueError):
        index.search_many(_TEXTS, vectors=vectors, embeddings=known)
    assert len(index.search_many(_TEXTS, embeddings=known)) == 4


def test_embeddings_are_of_the_role_they_are_used_in(vectors):
    encoder = FeatureGroupEncoder(BroughtVectors(24, symmetric=False))
    encoder.fit(vectors=vectors, labels=_LABELS, query_vectors=vectors, **_SIZES)
    advice = Advice(
        "embeddings are those of a …, and the model embeds a … in another way; make them with encoder.encode_…(texts)"
    )
    with ConfidenceIndex(":memory:", encoder) as index:
        with advice.raised(ValueError):
            index.add(_TEXTS, embeddings=encoder.features(vectors, role="query"))
        index.add(_TEXTS, embeddings=encoder.features(vectors))
        with advice.raised(ValueError):
            index.search("my card", embeddings=encoder.features(vectors[:1]))
        assert index.search("my card", embeddings=encoder.features(vectors[:1], role="query")).hits


def test_vectors_are_whole(vectors):
    encoder = FeatureGroupEncoder(BroughtVectors(24))
    with Advice("… has … rows, … has … items; give one vector for each").raised(ValueError):
        encoder.fit(_TEXTS, vectors=vectors[:3], labels=_LABELS)
    with Advice(
        "…[…] holds zeros alone, which point nowhere (… such row(s) in all); leave such items out, or embed them again"
    ).raised(ValueError):
        encoder.fit(_TEXTS, vectors=vectors * [[1], [0], [1], [1]], labels=_LABELS)
    with Advice("… is missing (…); drop the item or give it a vector").raised(ValueError):
        encoder.fit(_TEXTS, vectors=[*vectors[:3], None], labels=_LABELS)
    assert encoder.fit(_TEXTS, vectors=vectors, labels=_LABELS, **_SIZES).is_fitted


def _endpoint(answer):
    return {"client": httpx.Client(transport=httpx.MockTransport(answer)), "url": "https://models.example/v1"}


def test_an_endpoint_is_asked_with_a_key_at_its_address(monkeypatch):
    def answer(request):
        if request.headers.get("authorization") != "Bearer right":
            return httpx.Response(401, text="who?")
        return httpx.Response(200, json={"data": [{"index": 0, "embedding": [1.0]}]})

    embedder = HttpEmbedder(model="a", dimension=1, **_endpoint(answer))
    with Advice("; put its key into the environment: export …=…").raised(ServerError):
        embedder.embed_queries(["a"])
    monkeypatch.setenv("FG_SEARCH_EMBEDDER_KEY", "ri\nght")
    wrong = Advice("the key in … holds characters that no header can; put it into the environment again: export …=…")
    with wrong.raised(ValueError):
        embedder.embed_queries(["a"])
    monkeypatch.setenv("FG_SEARCH_EMBEDDER_KEY", "right")
    assert len(embedder.embed_queries(["a"]).vectors) == 1
    advice = Advice(
        "the address of an embedder is saved with the encoder, so it holds no password and no query; put a key into "
        "the environment: …"
    )
    with advice.raised(ValueError):
        HttpEmbedder("https://models.example/v1?key=right", "a")
    with Advice("… is no address of an embedder; write one like https://api.openai.com/v1").raised(ValueError):
        HttpEmbedder("models.example", "a")
    assert HttpEmbedder("https://api.openai.com/v1", "a", 1).dimension == 1


def test_a_busy_endpoint_is_given_time():
    answers = [503] * 3

    def answer(request):
        return httpx.Response(answers.pop() if answers else 200, json={"data": [{"index": 0, "embedding": [1.0]}]})

    advice = Advice(
        "… did not embed within … s: …; ask again later, or give it more time (retry_for=…) and fewer texts at once "
        "(batch_size=…)"
    )
    with advice.raised(ServerError):
        HttpEmbedder(model="a", dimension=1, retry_for=0, **_endpoint(answer)).embed_queries(["a"])
    patient = HttpEmbedder(model="a", dimension=1, retry_for=60, batch_size=1, **_endpoint(answer))
    patient._sleep = lambda _: None
    assert len(patient.embed_queries(["a"]).vectors) == 1


def test_packages_and_models_of_others_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastembed", None)
    monkeypatch.setitem(sys.modules, "model2vec", None)
    with Advice("models of fastembed need it installed (…): pip install fastembed").raised(UnsupportedError):
        FastEmbedEmbedder("a")
    with Advice("static models need model2vec (…): pip install model2vec").raised(UnsupportedError):
        Model2VecEmbedder("a")

    class StaticModel:
        dim = 3

        @classmethod
        def from_pretrained(cls, path, force_download):
            if path != "there":
                raise FileNotFoundError(path)
            return cls()

    monkeypatch.setitem(sys.modules, "model2vec", types.SimpleNamespace(StaticModel=StaticModel))
    advice = Advice("model2vec cannot load the model …: …; give the name or folder of a static model")
    with advice.raised(EncoderNotFoundError):
        _ = Model2VecEmbedder("not there").dimension
    assert Model2VecEmbedder("there").dimension == 3

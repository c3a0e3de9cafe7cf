"""Queries and documents go into a model in different ways where it has some."""

import json

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Module
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from fg_search import FeatureGroupEncoder, SentenceTransformerEmbedder
from fg_search.model.fingerprint import base_fingerprint

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 40}
TEXTS = ["my card pin", "stolen card", "pizza oven and cheese", "a zebra"]


def made_with(model, **options):
    return SentenceTransformer(modules=list(model), device="cpu", **options)


class Tasks(Module):
    """Multiplies embeddings of queries, as adapters of tasks do something to them."""

    config_keys: list[str] = []  # noqa: RUF012

    def forward(self, features, task=None, **_):
        features["sentence_embedding"] = features["sentence_embedding"] * {"query": 3, "document": 2}.get(task, 1)
        return features

    def save(self, *_, **__):
        pass

    def get_embedding_dimension(self):
        return 24


@pytest.fixture(scope="module")
def prompted(prompted_model, corpus):
    return FeatureGroupEncoder(prompted_model).fit(corpus[0], labels=corpus[1], **SIZES)


def test_prompts_of_the_model_stand_before_queries_and_documents(prompted_model):
    encoder = FeatureGroupEncoder(prompted_model)
    assert not encoder.embedder.is_symmetric
    np.testing.assert_array_equal(encoder.embed(TEXTS, role="query"), prompted_model.encode_query(TEXTS))
    passages = prompted_model.encode(TEXTS, prompt_name="passage")
    np.testing.assert_array_equal(encoder.embed(TEXTS), passages)
    np.testing.assert_array_equal(encoder.embedder.embed_documents(TEXTS).vectors, passages)
    queries = encoder.embedder.embed_queries(TEXTS)
    np.testing.assert_array_equal(queries.vectors, prompted_model.encode_query(TEXTS))
    assert queries.reading.unread.tolist() == pytest.approx([0, 0, 0.25, 1])  # the prompt does not count
    assert np.abs(encoder.embed(TEXTS) - encoder.embed(TEXTS, role="query")).max() > 1


def test_a_model_with_a_prompt_for_queries_alone_takes_documents_as_they_are(tiny_model):
    model = made_with(tiny_model, prompts={"query": "please "}, default_prompt_name="query")
    encoder = FeatureGroupEncoder(model)
    np.testing.assert_array_equal(encoder.embed(TEXTS), tiny_model.encode(TEXTS))
    np.testing.assert_array_equal(encoder.embed(TEXTS, role="query"), model.encode_query(TEXTS))


def test_prompts_may_be_given_as_texts_or_by_name(tiny_model):
    model = made_with(tiny_model, prompts={"search": "help with ", "cluster": "the "})
    encoder = FeatureGroupEncoder(model, query_prompt="search", document_prompt="my ")
    np.testing.assert_array_equal(encoder.embed(TEXTS, role="query"), model.encode(TEXTS, prompt_name="search"))
    np.testing.assert_array_equal(encoder.embed(TEXTS), model.encode(TEXTS, prompt="my "))
    alone = FeatureGroupEncoder(model, query_prompt="search")
    np.testing.assert_array_equal(alone.embed(TEXTS), model.encode(TEXTS))


def test_symmetric_texts_are_embedded_alike(prompted_model):
    encoder = FeatureGroupEncoder(prompted_model, symmetric=True)
    assert encoder.embedder.is_symmetric
    for role in ("query", "document"):
        np.testing.assert_array_equal(encoder.embed(TEXTS, role=role), prompted_model.encode(TEXTS))
    with_prompt = FeatureGroupEncoder(prompted_model, symmetric=True, query_prompt="query")
    for role in ("query", "document"):
        np.testing.assert_array_equal(with_prompt.embed(TEXTS, role=role), prompted_model.encode_query(TEXTS))


def test_routes_are_taken(routed_model, corpus, tmp_path):
    encoder = FeatureGroupEncoder(routed_model)
    np.testing.assert_array_equal(encoder.embed(TEXTS, role="query"), routed_model.encode_query(TEXTS))
    np.testing.assert_array_equal(encoder.embed(TEXTS), routed_model.encode_document(TEXTS))
    encoder.fit(corpus[0], labels=corpus[1], **SIZES).save(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder", device="cpu")
    assert loaded.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(loaded.embed(TEXTS, role="query"), routed_model.encode_query(TEXTS))
    reading = loaded.encode_query(["cheese pizza", "oven pizza"]).reading
    assert reading.unread.tolist() == [0.5, 0.5]  # the words that only documents have


def test_a_route_of_queries_is_a_part_of_the_fingerprint(routed_model):
    before = FeatureGroupEncoder(routed_model).base_fingerprint
    alike = FeatureGroupEncoder(routed_model, symmetric=True).base_fingerprint
    assert before != alike == base_fingerprint(routed_model, "")


def test_modules_are_told_the_task(tiny_model):
    model = made_with([*tiny_model, Tasks()])
    assert FeatureGroupEncoder(model).embedder.is_symmetric
    model.module_kwargs = {"1": ["task"]}
    encoder = FeatureGroupEncoder(model)
    plain = tiny_model.encode(TEXTS)
    np.testing.assert_array_equal(encoder.embed(TEXTS, role="query"), 3 * plain)
    np.testing.assert_array_equal(encoder.embed(TEXTS), 2 * plain)
    model.truncate_dim = 8
    shorter = FeatureGroupEncoder(model)
    np.testing.assert_array_equal(shorter.embed(TEXTS), 2 * plain[:, :8])


def test_a_model_of_its_own_way_of_encoding_is_asked_by_role(prompted_model):
    class Louder(SentenceTransformer):
        def encode(self, inputs, **options):
            return 2 * super().encode(inputs, **options)

    model = Louder(modules=list(prompted_model), prompts=prompted_model.prompts, device="cpu")
    encoder = FeatureGroupEncoder(model)
    np.testing.assert_array_equal(encoder.embed(TEXTS, role="query"), 2 * prompted_model.encode_query(TEXTS))


def test_without_prompts_nothing_changes(tiny_model, transformer, encoder):
    for model in (tiny_model, transformer()):
        if model.prompts.get("document"):
            continue
        plain = FeatureGroupEncoder(model)
        assert plain.embedder.is_symmetric
        assert set(plain.embedder.parts) == {"weights", "tokenizer", "modules", "prompts", "max_seq_length"}
        assert plain.base_fingerprint == FeatureGroupEncoder(model, symmetric=True).base_fingerprint
        assert plain.base_fingerprint == base_fingerprint(model, "")
        np.testing.assert_array_equal(plain.embed(TEXTS, role="query"), plain.embed(TEXTS))
    found = encoder.encode_query(TEXTS)
    assert found.role is None
    assert encoder.head.query_familiarity is None
    np.testing.assert_array_equal(found.probabilities, encoder.encode_document(TEXTS).probabilities)
    np.testing.assert_array_equal(found.familiarity, encoder.encode(TEXTS).familiarity)


def test_prompts_are_saved_and_a_part_of_the_fingerprint(prompted_model, corpus, tmp_path):
    known = set()
    for number, options in enumerate(
        ({}, {"query_prompt": "my "}, {"document_prompt": "my "}, {"symmetric": True}, {"query_prompt": "query"})
    ):
        encoder = FeatureGroupEncoder(prompted_model, **options).fit(corpus[0], labels=corpus[1], **SIZES)
        encoder.save(tmp_path / str(number))
        loaded = FeatureGroupEncoder.load(tmp_path / str(number), device="cpu")
        assert loaded.fingerprint == encoder.fingerprint
        assert loaded.has_fingerprint(encoder.fingerprint)
        assert loaded.embedder.roles.route(loaded.model, "query") == encoder.embedder.roles.route(
            prompted_model, "query"
        )
        np.testing.assert_array_equal(loaded.embed(TEXTS, role="query"), encoder.embed(TEXTS, role="query"))
        np.testing.assert_array_equal(loaded.encode_query(TEXTS).familiarity, encoder.encode_query(TEXTS).familiarity)
        known.add(encoder.base_fingerprint)
    assert len(known) == 4  # "query" is the prompt that is taken anyway


def test_an_encoder_of_before_takes_all_texts_alike(prompted_model, corpus, tmp_path):
    FeatureGroupEncoder(prompted_model, symmetric=True).fit(corpus[0], labels=corpus[1], **SIZES).save(tmp_path / "e")
    config = json.loads((tmp_path / "e/fg_search.json").read_text())
    assert config["format"] == 3  # as the releases before wrote it, which read it
    assert "roles" not in config
    loaded = FeatureGroupEncoder.load(tmp_path / "e", device="cpu")
    np.testing.assert_array_equal(loaded.embed(TEXTS, role="query"), prompted_model.encode(TEXTS))
    other = FeatureGroupEncoder(prompted_model).fit(corpus[0], labels=corpus[1], **SIZES)
    other.save(tmp_path / "e")
    assert json.loads((tmp_path / "e/fg_search.json").read_text())["format"] == 4


def test_queries_are_familiar_by_themselves(prompted, corpus):
    queries, documents = prompted.encode_query(corpus[0]), prompted.encode_document(corpus[0])
    assert (queries.role, documents.role) == ("query", "document")
    assert queries.familiarity.mean() > 0.4
    assert documents.familiarity.mean() > 0.4
    assert prompted.features(queries.base).familiarity.mean() < 0.05
    assert prompted.head.familiarity is not None
    again = prompted.refitted(*corpus)
    assert again.encode_query(corpus[0]).familiarity.mean() > 0.4


def test_queries_of_pairs_are_queries(prompted_model, monkeypatch):
    asked = []
    source = SentenceTransformerEmbedder.source

    def spy(self, texts, role):
        asked.append((role, list(texts)))
        return source(self, texts, role)

    monkeypatch.setattr(SentenceTransformerEmbedder, "source", spy)
    pairs = [("my card", "card stolen"), ("my pizza", "pizza oven"), ("flight", "passport hotel")]
    encoder = FeatureGroupEncoder(prompted_model).fit(["the loan"], pairs=pairs, groups=4, codes=2, hidden=8, steps=5)
    assert asked == [
        ("document", ["the loan"]),
        ("document", ["card stolen", "pizza oven", "passport hotel"]),
        ("query", ["my card", "my pizza", "flight"]),
    ]
    assert len(encoder.head.query_familiarity.prototypes) == 3


def test_roles_have_caches_of_their_own(prompted_model, tiny_model, tmp_path):
    encoder = FeatureGroupEncoder(prompted_model, cache_folder=tmp_path)
    for role in ("query", "document", "query"):
        np.testing.assert_array_equal(
            encoder.embed(TEXTS, role=role), FeatureGroupEncoder(prompted_model).embed(TEXTS, role=role)
        )
    names = {path.name for path in tmp_path.glob("*.sqlite")}
    assert names == {f"{encoder.base_fingerprint}-{role}.sqlite" for role in ("query", "document")}


def test_half_precision_is_a_setting_that_is_saved(transformer_folder, corpus, tmp_path):
    encoder = FeatureGroupEncoder(transformer_folder, dtype="bfloat16", device="cpu", symmetric=True)
    full = FeatureGroupEncoder(transformer_folder, device="cpu", symmetric=True)
    assert encoder.base_fingerprint != full.base_fingerprint
    encoder.fit(corpus[0], labels=corpus[1], **SIZES).save(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder", device="cpu")
    assert {str(weight.dtype) for weight in loaded.model.parameters()} == {"torch.bfloat16"}
    assert loaded.fingerprint == encoder.fingerprint
    with pytest.raises(ValueError, match="dtype must be a floating type of torch such as 'float16'"):
        FeatureGroupEncoder(transformer_folder, dtype="int8")
    with pytest.raises(ValueError, match="backend must be one of torch, onnx, openvino, got 'tf'"):
        FeatureGroupEncoder(transformer_folder, backend="tf")
    with pytest.raises(ValueError, match="dtype is for a model that is given by its name"):
        FeatureGroupEncoder(
            SentenceTransformer(modules=[StaticEmbedding(encoder.model.tokenizer, embedding_dim=4)]), dtype="float16"
        )

"""Encoders on vectors that somebody brings along."""

import json
import logging

import numpy as np
import pytest
import torch

from fg_search import BroughtVectors, FeatureGroupEncoder
from fg_search.errors import ModelMismatchError, NoEmbedderError, UnsupportedError
from fg_search.validation import check_brought

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 60}


@pytest.fixture(scope="module")
def vectors(encoder, corpus):
    return encoder.embed(corpus[0])


@pytest.fixture(scope="module")
def fitted(vectors, corpus):
    return FeatureGroupEncoder(BroughtVectors(24, "words")).fit(vectors=vectors, labels=corpus[1], **SIZES)


@pytest.mark.skipif(torch.cuda.is_available(), reason="vectors alone train on a GPU, whose random numbers are its own")
def test_a_head_is_that_of_the_same_vectors_from_texts(tiny_model, fitted, vectors, corpus):
    of_texts = FeatureGroupEncoder(tiny_model).fit(corpus[0], labels=corpus[1], **SIZES)
    both = FeatureGroupEncoder(BroughtVectors(24, "words")).fit(corpus[0], vectors=vectors, labels=corpus[1], **SIZES)
    expected = of_texts.features(vectors).probabilities
    assert np.array_equal(fitted.features(vectors).probabilities, expected)
    assert np.array_equal(both.features(vectors).probabilities, expected)
    assert both.learned.among(corpus[0]).all()
    assert not fitted.learned.among(corpus[0]).any()
    assert fitted.learned.among_vectors(vectors).all()
    assert not of_texts.learned.among_vectors(vectors).any()


def test_it_is_saved_without_a_model_and_loaded_as_it_was(fitted, vectors, tmp_path):
    fitted.save(tmp_path / "encoder")
    config = json.loads((tmp_path / "encoder/fg_search.json").read_text())
    assert config["embedder"]["settings"] == {"dimension": 24, "name": "words", "symmetric": True}
    assert {path.name for path in (tmp_path / "encoder").iterdir()} == {"fg_search.json", "head", "learned_texts.bin"}
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder")
    assert loaded.fingerprint == fitted.fingerprint
    assert loaded.base_fingerprint == fitted.base_fingerprint
    assert loaded.model_name == "words"
    assert loaded.norms == fitted.norms
    assert loaded.folder == (tmp_path / "encoder").resolve()
    assert np.array_equal(loaded.features(vectors).probabilities, fitted.features(vectors).probabilities)
    assert np.array_equal(loaded.features(vectors).familiarity, fitted.features(vectors).familiarity)
    with pytest.raises(ModelMismatchError, match=r"embedder 'words' \(\w+\), this one is 'others'"):
        FeatureGroupEncoder.load(tmp_path / "encoder", embedder=BroughtVectors(24, "others"))
    (tmp_path / "encoder/head/model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="is missing"):
        FeatureGroupEncoder.load(tmp_path / "encoder")


def test_the_name_and_the_dimension_tell_vectors_apart():
    known = {BroughtVectors(d, name).fingerprint for d in (3, 4) for name in ("a", "b")}
    assert len(known) == 4
    assert all(len(one) == 16 and int(one, 16) for one in known)


@pytest.mark.parametrize(
    "ask",
    [
        lambda encoder: encoder.encode(["my card"]),
        lambda encoder: encoder.embed(["my card"], role="query"),
        lambda encoder: FeatureGroupEncoder(encoder.embedder).fit(["my card", "a loan"], labels=["a", "b"]),
        lambda encoder: encoder.describe(["my card"]),
    ],
)
def test_a_text_cannot_be_embedded(fitted, ask):
    with pytest.raises(NoEmbedderError, match=r"nothing embeds texts here, such as 'my card': vectors of 'words'"):
        ask(fitted)


def test_there_is_no_sentence_transformer(fitted):
    with pytest.raises(UnsupportedError, match=r"'words', which is no SentenceTransformer; use encoder\.embedder"):
        _ = fitted.model
    assert fitted.embedder.dimension == 24


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((4, 5)), "vectors has vectors of dimension 5, the model needs 24"),
        (np.ones((4, 24)) * [[1], [1], [np.nan], [1]], r"vectors\[2\] holds NaN or infinite"),
        (np.ones((4, 24)) * [[1], [1e300], [1], [1]], r"vectors\[1\] holds NaN or infinite"),
        (np.ones((4, 24)) * [[1], [1], [1], [0]], r"vectors\[3\] holds zeros alone, which point nowhere \(1 such"),
        ([[1.0] * 24, [1.0] * 24, [1.0] * 7], r"vectors\[2\] has 7 numbers, those before it 24"),
        ([[1.0] * 24, None], r"vectors\[1\] is missing \(None\)"),
        ([[1.0] * 24, "text"], r"vectors\[1\] is no vector of numbers"),
        ([[1.0] * 24, [[1.0] * 24]], r"vectors\[1\] is no vector of numbers, it has the shape \(1, 24\)"),
        (np.ones(24), r"must be a matrix of shape \(n, d\), got shape \(24,\)"),
        (np.full((4, 24), "x"), "vectors must hold numbers"),
        (np.ones((3, 24)), "labels has 4 items, texts has 3"),
    ],
)
def test_wrong_vectors_are_named_by_their_row(vectors, message):
    with pytest.raises(ValueError, match=message):
        FeatureGroupEncoder(BroughtVectors(24)).fit(vectors=vectors, labels=list("abab"))


def test_an_embedder_is_no_name_of_a_model(fitted, tmp_path):
    fitted.save(tmp_path / "encoder")
    with pytest.raises(TypeError, match="embedder must be an embedder, got str; an embedder has name, dimension"):
        FeatureGroupEncoder.load(tmp_path / "encoder", embedder="a-model")


def test_vectors_come_as_arrays_lists_and_tensors(fitted, vectors, corpus):
    import pandas as pd
    import torch

    tensor = torch.from_numpy(vectors).requires_grad_()
    lists = vectors.tolist(), list(vectors.astype(np.float64)), list(tensor), iter(vectors)
    for given in (*lists, tensor, pd.Series(list(vectors)), pd.DataFrame(vectors)):
        assert np.array_equal(check_brought(given, dimension=24), vectors)
    again = FeatureGroupEncoder(BroughtVectors(24, "words")).fit(vectors=list(tensor), labels=corpus[1], **SIZES)
    assert again.fingerprint == fitted.fingerprint


def test_texts_beside_vectors_may_be_generated(fitted, vectors, corpus):
    given = iter(corpus[0])
    again = FeatureGroupEncoder(BroughtVectors(24, "words")).fit(given, vectors=vectors, labels=corpus[1], **SIZES)
    assert again.fingerprint == fitted.fingerprint


def test_held_out_vectors_validate(vectors, corpus):
    labels = corpus[1]
    encoder = FeatureGroupEncoder(BroughtVectors(24))
    encoder.fit(vectors=vectors[::2], labels=labels[::2], validation=(vectors[1::2], labels[1::2]), **SIZES)
    assert encoder.head.history.held_out == 24
    with pytest.raises(ValueError, match=r"validation vectors\[0\] holds zeros"):
        encoder.fit(vectors=vectors, labels=labels, validation=(np.zeros((2, 24)), ["card", "card"]), **SIZES)


def test_queries_that_are_embedded_otherwise_have_a_familiarity_of_their_own(vectors, corpus, tmp_path):
    turned = vectors[:, ::-1]
    brought = BroughtVectors(24, "words", symmetric=False)
    encoder = FeatureGroupEncoder(brought).fit(vectors=vectors, labels=corpus[1], query_vectors=turned, **SIZES)
    assert encoder.features(turned, role="query").familiarity.mean() > 0.4
    assert encoder.features(turned).familiarity.mean() < 0.2
    encoder.save(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder")
    assert not loaded.embedder.is_symmetric
    found = loaded.features(turned, role="query")
    assert found.role == "query"
    assert np.array_equal(found.familiarity, encoder.features(turned, role="query").familiarity)
    again = encoder.refitted(corpus[0], corpus[1], vectors=vectors)
    assert np.array_equal(again.features(turned, role="query").familiarity, found.familiarity)
    later = FeatureGroupEncoder(brought).fit(vectors=vectors, labels=corpus[1], **SIZES)
    assert later.head.query_familiarity is None
    before = later.fingerprint
    later.learn_familiarity(vectors=turned, role="query")
    assert later.fingerprint != before
    assert np.array_equal(later.features(turned, role="query").familiarity, found.familiarity)


def test_roles_that_are_alike_have_one_familiarity(fitted, vectors):
    assert fitted.features(vectors, role="query").role is None
    with pytest.raises(ValueError, match="there is one familiarity for both"):
        fitted.learn_familiarity(vectors=vectors, role="query")
    with pytest.raises(ValueError, match="role must be 'query' or 'document', got 'passage'"):
        fitted.features(vectors, role="passage")


def test_only_vectors_of_another_model_are_foreign(fitted, vectors, questions):
    rng = np.random.default_rng(0)
    turned = vectors @ np.linalg.qr(rng.standard_normal((24, 24)))[0]
    assert fitted.foreign_vectors(vectors) is None
    assert fitted.foreign_vectors(turned[:19]) is None, "so few tell nothing"
    odd = fitted.foreign_vectors(5 * turned)
    assert odd.unfamiliar >= 0.9
    assert odd.similarity <= 1.2 * odd.chance
    assert odd.norms.median == pytest.approx(5 * fitted.norms.median, rel=0.01)
    assert "are like nothing that the head has learned from" in str(odd)


def test_lengths_alone_tell_unless_one_of_the_two_is_scaled_to_one(fitted, vectors, corpus):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    of_unit = FeatureGroupEncoder(BroughtVectors(24)).fit(vectors=unit, labels=corpus[1], **SIZES)
    assert fitted.foreign_vectors(unit) is None
    assert of_unit.foreign_vectors(vectors) is None
    odd = fitted.foreign_vectors(100 * vectors)
    assert odd.unfamiliar < 0.9
    assert f"of those learned from {fitted.norms.low:.3g}" in str(odd)


def test_the_old_name_of_vectors_still_works(vectors, corpus):
    encoder = FeatureGroupEncoder(BroughtVectors(24, "words"))
    with pytest.warns(DeprecationWarning, match=r"fit\(embeddings=…\) is now FeatureGroupEncoder\.fit\(vectors=…\)"):
        encoder.fit(embeddings=vectors, labels=corpus[1], **SIZES)
    with pytest.warns(DeprecationWarning, match=r"features\(vectors=…\)"):
        encoder.features(embeddings=vectors)


def test_options_of_a_model_are_refused_for_an_embedder(tmp_path):
    with pytest.raises(ValueError, match=r"truncate_dim, symmetric cannot be given here: an embedder has settings"):
        FeatureGroupEncoder(BroughtVectors(24), truncate_dim=3, symmetric=True)
    with pytest.raises(TypeError, match="got dict; an embedder has name, dimension, fingerprint"):
        FeatureGroupEncoder({})
    with pytest.raises(ValueError, match=r"make a new one of it: FeatureGroupEncoder\(embedder\)"):
        FeatureGroupEncoder("no-such-model", embedder=BroughtVectors(24))
    assert logging.getLogger("fg_search") is not None

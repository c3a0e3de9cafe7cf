import json
import subprocess
import sys

import numpy as np
import pytest

from fg_search import FeatureGroupEncoder
from fg_search.errors import EncoderNotFoundError, FormatVersionError, NotFittedError
from fg_search.model.fingerprint import base_fingerprint

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 30}


def test_encode_gives_base_and_features_of_the_documented_shapes(encoder, corpus):
    texts, _ = corpus
    out = encoder.encode(texts)
    assert out.base.shape == (len(texts), 24)
    assert out.base.dtype == np.float32
    assert out.probabilities.shape == (len(texts), 4, 3)
    assert out.probabilities.dtype == np.float32
    assert out.codes.shape == out.group_confidence.shape == (len(texts), 4)
    assert out.confidence.shape == (len(texts),)
    np.testing.assert_allclose(out.probabilities.sum(-1), 1, atol=1e-5)


def test_it_is_less_confident_of_what_it_never_saw(encoder, corpus):
    texts, _ = corpus
    assert encoder.encode(["zzz yyy"]).confidence[0] < np.percentile(encoder.encode(texts).confidence, 5)


def test_features_of_precomputed_embeddings_are_those_of_encode(encoder, corpus):
    texts, _ = corpus
    whole = encoder.encode(texts)
    np.testing.assert_array_equal(encoder.features(encoder.embed(texts)).probabilities, whole.probabilities)


def test_no_texts_give_empty_embeddings(encoder):
    assert encoder.encode([]).probabilities.shape == (0, 4, 3)


def test_fitting_again_with_the_same_seed_gives_the_same_fingerprint(tiny_model, corpus):
    texts, labels = corpus
    first, again, other = (
        FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, seed=seed, **SIZES).fingerprint for seed in (0, 0, 1)
    )
    assert first == again != other


def test_cached_embeddings_give_the_same_head(tiny_model, corpus):
    texts, labels = corpus
    encoder = FeatureGroupEncoder(tiny_model)
    whole = encoder.fit(texts, labels=labels, **SIZES).fingerprint
    assert encoder.fit(texts, labels=labels, vectors=encoder.embed(texts), **SIZES).fingerprint == whole


def test_the_fingerprint_sees_settings_that_are_no_weights(tiny_model, encoder):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    normalized = SentenceTransformer(modules=[*tiny_model, Normalize()], device="cpu")
    assert base_fingerprint(normalized, "tiny") != base_fingerprint(tiny_model, "tiny")


def test_the_fingerprint_sees_the_base_model(tiny_model, saved_encoder):
    import copy

    encoder = FeatureGroupEncoder.load(saved_encoder, device="cpu")
    before = encoder.fingerprint
    changed = FeatureGroupEncoder.load(saved_encoder, device="cpu")
    changed.model = copy.deepcopy(encoder.model)
    changed.model[0].embedding.weight.data[0, 0] += 1
    assert changed.fingerprint != before


def test_without_labels_it_learns_clusters(tiny_model, corpus):
    texts, _ = corpus
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, **SIZES)
    assert encoder.supervision == "clusters"
    assert encoder.encode(texts).confidence.mean() > 0.5


def test_a_refitted_encoder_has_the_sizes_of_the_old_one_and_needs_labels(encoder, corpus):
    texts, labels = corpus
    other = encoder.refitted(texts, [*labels[1:], "new"])
    assert "new" in other.codebook.labels
    assert other.head.get_config_dict() | {"temperature": 1} == encoder.head.get_config_dict() | {"temperature": 1}
    with pytest.raises(ValueError, match="no label left"):
        encoder.refitted(texts, [None] * len(texts))


def test_saving_and_loading_is_the_identity(saved_encoder, corpus, tmp_path):
    texts, _ = corpus
    encoder = FeatureGroupEncoder.load(saved_encoder, device="cpu")
    encoder.save(tmp_path / "copy")
    loaded = FeatureGroupEncoder(tmp_path / "copy", device="cpu")
    np.testing.assert_array_equal(loaded.encode(texts).probabilities, encoder.encode(texts).probabilities)
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.codebook.labels == encoder.codebook.labels
    assert loaded.model_name == encoder.model_name


def test_saving_over_a_saved_encoder_replaces_it_whole(tiny_model, corpus, tmp_path):
    texts, labels = corpus
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, **SIZES)
    encoder.save(tmp_path / "e")
    encoder.fit(texts, labels=labels, **{**SIZES, "groups": 2}).save(tmp_path / "e")
    assert FeatureGroupEncoder.load(tmp_path / "e", device="cpu").groups == 2
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_a_folder_of_something_else_is_not_overwritten(encoder, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not a saved encoder"):
        encoder.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_sentence_transformers_loads_the_folder_with_nothing_of_ours_imported(saved_encoder, encoder):
    script = (
        "import sys, json; from sentence_transformers import SentenceTransformer;"
        "model = SentenceTransformer(sys.argv[1], trust_remote_code=True, device='cpu');"
        "out = model.encode(['my card', 'pizza oven']);"
        "print(json.dumps([out.tolist(), model.similarity(out, out).tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(saved_encoder)], capture_output=True, text=True, check=True
    )
    vectors, similarity = (np.array(part) for part in json.loads(done.stdout))
    expected = encoder.encode(["my card", "pizza oven"])
    np.testing.assert_allclose(vectors.reshape(2, 4, 3), expected.probabilities, atol=1e-5)
    sparse = expected.sparse(threshold=0)
    np.testing.assert_allclose(similarity / 4, (sparse @ sparse.T).toarray(), atol=1e-5)  # dot counts agreeing groups


def test_a_folder_that_names_foreign_code_is_refused(saved_encoder, tmp_path):
    import shutil

    shutil.copytree(saved_encoder, tmp_path / "e")
    modules = json.loads((tmp_path / "e" / "modules.json").read_text())
    modules[0]["type"] = "os.path.join"
    (tmp_path / "e" / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ValueError, match="not part of sentence-transformers"):
        FeatureGroupEncoder.load(tmp_path / "e")


def test_a_newer_format_is_refused(saved_encoder, tmp_path):
    import shutil

    shutil.copytree(saved_encoder, tmp_path / "e")
    config = json.loads((tmp_path / "e" / "fg_search.json").read_text())
    (tmp_path / "e" / "fg_search.json").write_text(json.dumps({**config, "format": 99}))
    with pytest.raises(FormatVersionError, match="upgrade"):
        FeatureGroupEncoder.load(tmp_path / "e")


def test_an_unfitted_encoder_says_what_to_do(tiny_model, tmp_path):
    encoder = FeatureGroupEncoder(tiny_model)
    for use in (lambda: encoder.encode(["a"]), lambda: encoder.save(tmp_path / "e"), lambda: encoder.fingerprint):
        with pytest.raises(NotFittedError, match="fit"):
            use()
    assert "not fitted" in repr(encoder)


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_an_encoder_is_named(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderNotFoundError, match=folder):
        FeatureGroupEncoder.load(tmp_path / folder)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, r"texts\[1\] is empty"),
        (" \n", ValueError, r"texts\[1\] is empty"),
        (None, TypeError, r"texts\[1\] is missing"),
        (3.5, TypeError, r"texts\[1\] is float"),
    ],
)
def test_a_bad_text_is_named_by_its_position(encoder, tiny_model, text, error, message):
    with pytest.raises(error, match=message):
        encoder.encode(["fine", text])
    with pytest.raises(error, match=message):
        FeatureGroupEncoder(tiny_model).fit(["fine", text], labels=["a", "b"])


def test_one_string_is_not_a_list_of_texts(encoder):
    with pytest.raises(TypeError, match="wrap it"):
        encoder.encode("my card")


def test_bad_labels_and_embeddings_are_refused(tiny_model, encoder):
    new = FeatureGroupEncoder(tiny_model)
    with pytest.raises(ValueError, match="at least 2 distinct labels"):
        new.fit(["a", "b"], labels=["x", "x"])
    with pytest.raises(ValueError, match="labels has 1 items, texts has 2"):
        new.fit(["a", "b"], labels=["x"])
    with pytest.raises(TypeError, match=r"labels\[1\] is float"):
        new.fit(["a", "b"], labels=["x", 7.5])
    with pytest.raises(ValueError, match=r"labels\[0\] is empty"):
        new.fit(["a", "b"], labels=["", "x"])
    with pytest.raises(ValueError, match="dimension 5, the model needs 24"):
        new.fit(["a", "b"], labels=["x", "y"], vectors=np.zeros((2, 5)))
    with pytest.raises(ValueError, match="vectors has 3 rows, texts has 2"):
        new.fit(["a", "b"], labels=["x", "y"], vectors=np.ones((3, 24)))
    with pytest.raises(ValueError, match="dimension 5, the model needs 24"):
        encoder.features(np.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"vectors\[0\] holds NaN"):
        encoder.features(np.full((1, 24), np.nan))
    assert not new.is_fitted


def test_nan_is_no_label_and_no_value_of_an_attribute(tiny_model, corpus):
    texts, labels = corpus
    gaps = [float("nan") if i % 5 == 0 else label for i, label in enumerate(labels)]
    encoder = FeatureGroupEncoder(tiny_model).fit(
        texts, labels=gaps, attributes={"kind": gaps}, validation=(texts[:8], gaps[:8]), **{**SIZES, "codes": 4}
    )
    assert encoder.codebook.labels == tuple(sorted(set(labels)))
    assert encoder.codebook.attributes["kind"] == tuple(sorted(set(labels)))
    assert "nan" not in str(encoder.describe(texts, gaps, attributes={"kind": gaps}).to_dict())


@pytest.mark.parametrize("cached", [False, True])
def test_a_text_the_model_fails_on_is_named_as_the_caller_knows_it(tiny_model, tmp_path, monkeypatch, cached):
    encoder = FeatureGroupEncoder(tiny_model, cache_folder=tmp_path if cached else None)
    whole = tiny_model.encode

    def failing(texts, **options):
        rows = np.array(whole(texts, **options))
        rows[[text == "broken" for text in texts]] = np.nan
        return rows

    monkeypatch.setitem(vars(tiny_model), "encode", failing)
    with pytest.raises(ValueError, match=r"texts\[1\], 'broken'"):
        encoder.embed(["a", "broken", "a longer text that is encoded first"])
    pairs = [("a question", "an answer"), ("broken", "another answer")]
    with pytest.raises(ValueError, match=r"texts of pairs\[3\], 'broken'"):
        encoder.fit(["own"], pairs=pairs, **SIZES)


def test_validation_labels_are_checked_before_anything_is_encoded(tiny_model, corpus, monkeypatch):
    texts, labels = corpus
    encoder = FeatureGroupEncoder(tiny_model)
    monkeypatch.setitem(vars(tiny_model), "encode", lambda *_, **__: pytest.fail("encoded"))
    with pytest.raises(ValueError, match="no validation example has a label that the head learns"):
        encoder.fit(texts, labels=labels, validation=(["a text"], ["never seen"]))
    with pytest.raises(TypeError, match=r"validation labels\[0\] is float"):
        encoder.fit(texts, labels=labels, validation=(["a text"], [3.5]))

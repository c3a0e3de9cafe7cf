"""The encoder that is loaded is the encoder that was saved, or there is an error."""

import errno
import json
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Module
from torch import nn

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.errors import EncoderNotFoundError, StorageError, UntrustedCodeError
from fg_search.model import saved_encoder as saved_encoder_module

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 20}


@pytest.fixture
def fit(corpus):
    texts, labels = corpus
    return lambda model, **options: FeatureGroupEncoder(model, **options).fit(texts, labels=labels, **SIZES)


@pytest.fixture
def folder(fit, transformer, tmp_path):
    """Folder of an encoder on a transformer."""
    fit(transformer()).save(tmp_path / "encoder")
    return tmp_path / "encoder"


def as_of_0_1(folder):
    """Let a folder say what release 0.1 wrote into it."""
    encoder = FeatureGroupEncoder.load(folder, device="cpu")
    config = json.loads((folder / "fg_search.json").read_text())
    known = {name: config[name] for name in ("format", "model_name", "codebook")}
    former = encoder._fingerprints.former(encoder.model, encoder.model_name, encoder.head, encoder.codebook)
    (folder / "fg_search.json").write_text(json.dumps({**known, "fingerprint": former}))
    return former


def edited(folder, name, **changes):
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_base_model_in_half_precision_is_the_same_after_loading(fit, transformer, corpus, tmp_path, dtype):
    texts, labels = corpus
    encoder = fit(transformer(model_kwargs={"dtype": dtype}))
    encoder.save(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder", device="cpu")
    assert loaded.model.dtype == getattr(torch, dtype)
    assert loaded.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(loaded.encode(texts).probabilities, encoder.encode(texts).probabilities)
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(texts, labels=labels)
    with ConfidenceIndex(tmp_path / "index") as index:
        assert index.search(texts[0]).hits
        index.refit(tmp_path / "refitted")
        assert index.search(texts[0]).hits
    with ConfidenceIndex(tmp_path / "index", tmp_path / "refitted") as index:
        assert index.search(texts[0]).hits


@pytest.mark.parametrize("former", [False, True])
def test_a_folder_without_its_vocabulary_is_refused(folder, former):
    if former:
        as_of_0_1(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderNotFoundError, match=r"tokenizer\.json' is missing"):
        FeatureGroupEncoder.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: edited(folder, "config_sentence_transformers.json", default_prompt_name="query"), "prompts"),
        (lambda folder: edited(folder, "1_Pooling/config.json", pooling_mode="cls"), "modules or their settings"),
        (lambda folder: edited(folder, "tokenizer_config.json", model_max_length=6), "max_seq_length"),
        (lambda folder: edited(folder, "config.json", hidden_act="relu"), "modules or their settings"),
        (lambda folder: edited(folder, "config.json", dtype="float16"), None),  # the encoder knows its type
        (lambda folder: edited(folder, "fg_search.json", fingerprint="0" * 16), None),  # for people to read
    ],
)
def test_a_changed_setting_is_refused_by_its_name(folder, change, message):
    change(folder)
    if message is None:
        FeatureGroupEncoder.load(folder)
        return
    with pytest.raises(EncoderNotFoundError, match=f"another {message}"):
        FeatureGroupEncoder.load(folder)


def test_other_words_in_the_tokenizer_are_refused(folder):
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"card"', '"bard"'))
    with pytest.raises(EncoderNotFoundError, match="another tokenizer"):
        FeatureGroupEncoder.load(folder)


def test_weights_of_another_model_are_refused(folder, fit, transformer, tmp_path):
    other = transformer()
    with torch.no_grad():
        other[0].model.embeddings.word_embeddings.weight[20, 3] += 0.01
    fit(other).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(EncoderNotFoundError, match="another weights of the base model"):
        FeatureGroupEncoder.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "modules.json", "2_FeatureGroupHead/config.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"a": '])
def test_a_damaged_file_is_an_error_that_says_so(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(EncoderNotFoundError, match="copy the whole folder again"):
        FeatureGroupEncoder.load(folder)


def test_a_folder_of_0_1_is_compared_with_the_fingerprint_of_that_time(folder):
    as_of_0_1(folder)
    encoder = FeatureGroupEncoder.load(folder)
    assert encoder.folder == folder.resolve()
    edited(folder, "1_Pooling/config.json", pooling_mode="cls")
    with pytest.raises(EncoderNotFoundError, match="another base model or head"):
        FeatureGroupEncoder.load(folder)


def test_an_index_that_0_1_filled_stays_what_it_is(folder, corpus, tmp_path, monkeypatch):
    texts, labels = corpus
    former = as_of_0_1(folder)
    encoder = FeatureGroupEncoder.load(folder, device="cpu")
    former_base = encoder._fingerprints.former_base(encoder.model, encoder.model_name)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureGroupEncoder, "fingerprint", former)
        patch.setattr(FeatureGroupEncoder, "base_fingerprint", former_base)
        with ConfidenceIndex(tmp_path / "index", FeatureGroupEncoder.load(folder, device="cpu")) as index:
            index.add(texts, labels=labels)
            assert index.metadata.fingerprint == former
            index.score_labels()
    with ConfidenceIndex(tmp_path / "index") as index:
        assert index.encoder.fingerprint != former
        assert index.search(texts[0]).hits
        assert index.add(["my passport"], embeddings=encoder.encode(["my passport"])).written == 1
        assert index.search_many(texts[:2], embeddings=encoder.encode(texts[:2]))[0].hits
        encoded = []
        monkeypatch.setitem(vars(encoder.model), "encode", lambda texts, **_: encoded.extend(texts))
        index.migrate(encoder)
        assert index.metadata.fingerprint == former  # nothing to do
        assert not encoded
    other = FeatureGroupEncoder.load(folder, device="cpu").fit(texts, labels=labels, **SIZES, seed=7)
    with ConfidenceIndex(tmp_path / "index") as index:
        monkeypatch.setitem(vars(other.model), "encode", lambda *_, **__: pytest.fail("encoded again"))
        index.migrate(other)  # another head on the same base model: its vectors are used
        assert index.metadata.fingerprint == other.fingerprint


def test_an_index_of_0_1_refuses_another_encoder(folder, fit, transformer, tmp_path, monkeypatch, corpus):
    former = as_of_0_1(folder)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureGroupEncoder, "fingerprint", former)
        with ConfidenceIndex(tmp_path / "index", FeatureGroupEncoder.load(folder, device="cpu")) as index:
            index.add(corpus[0])
    other = transformer()
    other.max_seq_length = 8
    with pytest.raises(ValueError, match="was filled by the encoder"):
        ConfidenceIndex(tmp_path / "index", fit(other))


def test_a_setting_that_was_changed_is_saved_and_loaded(folder, tmp_path):
    encoder = FeatureGroupEncoder.load(folder, device="cpu")
    before = encoder.fingerprint
    encoder.model.max_seq_length = 8
    assert encoder.folder is None  # the folder holds another encoder by now
    encoder.save(tmp_path / "changed")
    loaded = FeatureGroupEncoder.load(tmp_path / "changed", device="cpu")
    assert loaded.model.max_seq_length == 8
    assert loaded.fingerprint == encoder.fingerprint != before


def test_an_index_notices_a_setting_that_was_changed_meanwhile(folder, corpus, tmp_path):
    with ConfidenceIndex(tmp_path / "index", folder) as index:
        index.add(corpus[0])
        index.encoder.model.max_seq_length = 4
        for use in (lambda: index.search("my card"), lambda: index.add(["my new card"])):
            with pytest.raises(ValueError, match="settings as they are now"):
                use()
        index.encoder.model.max_seq_length = 12
        assert index.search("my card").hits


def test_the_cache_does_not_mix_settings(transformer, tmp_path):
    text = "please help my card the pin blocked stolen"
    encoder = FeatureGroupEncoder(transformer(), cache_folder=tmp_path)
    long = encoder.embed([text])
    encoder.model.max_seq_length = 5
    short = encoder.embed([text])
    assert not np.allclose(long, short)
    np.testing.assert_allclose(short, encoder.model.encode([text]), atol=1e-6)


class Forgetful(Module):
    """A module that does not save its setting."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([factor]))

    def forward(self, features, **_):
        features["sentence_embedding"] = features["sentence_embedding"] * self.weight
        return features

    def save(self, output_path, *_, **__):
        self.save_config(output_path)


def test_what_does_not_load_as_it_is_is_not_saved(fit, tiny_model, tmp_path):
    encoder = fit(SentenceTransformer(modules=[*tiny_model, Forgetful(3.0)], device="cpu"))
    with pytest.raises(StorageError, match="loads as another encoder, with another weights"):
        encoder.save(tmp_path / "encoder")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_says_where(encoder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saved_encoder_module, "_write_all", full)
    with pytest.raises(StorageError, match=r"cannot be saved in .*new': .*No space left"):
        encoder.save(tmp_path / "new")


def test_a_module_that_no_other_process_finds_is_not_saved(fit, tiny_model, tmp_path):
    class Local(Forgetful):
        pass

    here = types.ModuleType("__main__")
    monkey = type("Script", (Forgetful,), {"__module__": here.__name__})
    for module, where in ((Local(), "inside a function"), (monkey(), "in the script or notebook")):
        encoder = fit(SentenceTransformer(modules=[*tiny_model, module], device="cpu"))
        with pytest.raises(ValueError, match=f"defined {where}"):
            encoder.save(tmp_path / "encoder")


def test_code_of_a_model_is_run_only_if_it_is_trusted_each_time(fit, model_with_code, corpus, tmp_path):
    texts, labels = corpus
    with pytest.raises(UntrustedCodeError, match="trust_remote_code=True"):
        FeatureGroupEncoder(model_with_code)
    encoder = fit(str(model_with_code), trust_remote_code=True)
    encoder.save(tmp_path / "encoder")
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(texts, labels=labels)
        best = index.search(texts[0]).hits[0].text
    script = f"""
import logging, sys
from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.errors import UntrustedCodeError
folder, place = {str(tmp_path / "encoder")!r}, {str(tmp_path / "index")!r}
for use in (lambda: FeatureGroupEncoder.load(folder), lambda: FeatureGroupEncoder(folder)):
    try:
        use()
    except UntrustedCodeError as error:
        assert "FeatureGroupEncoder.load(…)" in str(error)
    else:
        raise AssertionError("nobody was asked")
with ConfidenceIndex(place) as index:
    try:
        index.search("my card")
    except UntrustedCodeError as error:
        assert "hand that encoder to ConfidenceIndex" in str(error)
trusted = FeatureGroupEncoder.load(folder, trust_remote_code=True)
with ConfidenceIndex(place, trusted) as index:
    print(index.search({texts[0]!r}).hits[0].text, trusted.fingerprint)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == f"{best} {encoder.fingerprint}"


def test_a_transformer_with_its_own_class_is_not_loaded_as_another(fit, transformer_with_code, corpus, tmp_path):
    encoder = fit(str(transformer_with_code), trust_remote_code=True, device="cpu")
    encoder.save(tmp_path / "encoder")
    with pytest.raises(UntrustedCodeError, match="code of its own"):
        FeatureGroupEncoder.load(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder", trust_remote_code=True, device="cpu")
    assert loaded.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(loaded.embed(corpus[0]), encoder.embed(corpus[0]))


def test_code_that_is_not_what_was_saved_is_not_run(fit, model_with_code, tmp_path):
    fit(str(model_with_code), trust_remote_code=True).save(tmp_path / "encoder")
    for file in (tmp_path / "encoder").rglob("doubling.py"):
        file.write_text(file.read_text() + "\nraise SystemExit('run')\n")
    with pytest.raises(EncoderNotFoundError, match=r"doubling.py' is not the code that was saved"):
        FeatureGroupEncoder.load(tmp_path / "encoder", trust_remote_code=True)


def test_an_activation_of_somebody_else_needs_trust(fit, tiny_model, tmp_path, monkeypatch):
    class Swish(nn.SiLU):
        pass

    module = types.ModuleType("somebodys_activations")
    Swish.__module__, Swish.__qualname__, module.Swish = module.__name__, "Swish", Swish
    monkeypatch.setitem(sys.modules, module.__name__, module)
    dense = Dense(24, 24, activation_function=Swish())
    encoder = fit(SentenceTransformer(modules=[*tiny_model, dense], device="cpu"))
    encoder.save(tmp_path / "encoder")
    with pytest.raises(UntrustedCodeError, match="code of its own"):
        FeatureGroupEncoder.load(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder", trust_remote_code=True)
    assert loaded.fingerprint == encoder.fingerprint


def test_a_truncated_base_embedding_is_saved_truncated(transformer_folder, transformer, corpus, tmp_path):
    texts, labels = corpus
    whole = transformer().encode(texts)
    by_name = FeatureGroupEncoder(transformer_folder, truncate_dim=6)
    ready = FeatureGroupEncoder(transformer(truncate_dim=6))
    for number, encoder in enumerate((by_name, ready)):
        assert encoder.dimension == 6
        np.testing.assert_allclose(encoder.embed(texts), whole[:, :6], atol=1e-6)
        encoder.fit(texts, labels=labels, **SIZES).save(tmp_path / str(number))
        loaded = FeatureGroupEncoder.load(tmp_path / str(number), device="cpu")
        assert loaded.fingerprint == encoder.fingerprint
        np.testing.assert_allclose(loaded.encode(texts).base, whole[:, :6], atol=1e-6)
    with pytest.raises(ValueError, match="truncate_dim cannot be given here"):
        FeatureGroupEncoder(tmp_path / "0", truncate_dim=3)
    with pytest.raises(ValueError, match="truncate_dim must be an integer of at least 1"):
        FeatureGroupEncoder(transformer_folder, truncate_dim=0)
    assert FeatureGroupEncoder(transformer_folder, truncate_dim=99).dimension == 16

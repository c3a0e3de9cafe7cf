"""Advice about encoders: fitting, saving, loading, caching, and what a model cannot read."""

import json
import logging
import shutil

import numpy as np
import pytest
from advising import Advice
from sentence_transformers import SentenceTransformer

from fg_search import Codebook, ConfidenceIndex, FeatureGroupEncoder, FeatureGroupHead, FeatureGroupLoss, fit_head
from fg_search.errors import EncoderNotFoundError, FormatVersionError, NotFittedError, StorageError, UntrustedCodeError
from fg_search.model.pipeline import with_head

_SIZES = {"groups": 2, "codes": 2, "hidden": 8, "steps": 5}
_TEXTS = ["my card pin", "stolen card", "pizza oven", "cheese pizza"]
_LABELS = ["card", "card", "food", "food"]


@pytest.fixture
def unfitted(tiny_model):
    return FeatureGroupEncoder(tiny_model)


@pytest.fixture
def fitted(unfitted):
    return unfitted.fit(_TEXTS, labels=_LABELS, **_SIZES)


@pytest.mark.parametrize(
    ("advice", "wrong", "right"),
    [
        (
            Advice("… has … rows, … has … items; give one vector for each"),
            {"vectors": np.ones((3, 24))},
            {"vectors": np.random.default_rng(0).standard_normal((4, 24))},
        ),
        (
            Advice("validation holds labels, but the head does not learn from labels; leave it out"),
            {"labels": None, "validation": (["my pin"], ["card"])},
            {"labels": None},
        ),
        (
            Advice("pairs is empty; leave it out to learn clusters"),
            {"labels": None, "pairs": []},
            {"labels": None},
        ),
        (
            Advice("the attribute … has … values, a group has … codes; pass codes=…"),
            {"attributes": {"colour": ["a", "b", "c", "d"]}},
            {"attributes": {"colour": ["a", "b", "c", "d"]}, "codes": 4},
        ),
        (
            Advice("have fewer than 2 complete combinations; give labels, or groups=…"),
            {
                "labels": None,
                "attributes": {"colour": ["a", "b", None, None], "size": [None, None, "s", "m"]},
                "groups": 4,
            },
            {"attributes": {"colour": ["a", "b", None, None], "size": [None, None, "s", "m"]}, "groups": 4},
        ),
        (
            Advice("complete combinations; give labels, or groups=…"),
            {
                "labels": None,
                "attributes": {"colour": ["a", "b", None, None], "size": [None, None, "s", "m"]},
                "groups": 4,
            },
            {
                "labels": None,
                "attributes": {"colour": ["a", "b", None, None], "size": [None, None, "s", "m"]},
                "groups": 2,
            },
        ),
    ],
)
def test_an_encoder_is_fitted_as_the_message_says(unfitted, advice, wrong, right):
    options = {"labels": _LABELS, **_SIZES}
    with advice.raised():
        unfitted.fit(_TEXTS, **{**options, **wrong})
    assert unfitted.fit(_TEXTS, **{**options, **right}).is_fitted


def test_a_head_without_labels_left_gets_labels_or_another_encoder_takes_its_place(fitted, unfitted):
    with Advice("there is no label left to learn from; give labels, or fit an encoder without them").raised():
        fitted.refitted(_TEXTS, [None] * 4)
    assert fitted.refitted(_TEXTS, _LABELS).is_fitted
    assert FeatureGroupEncoder(unfitted.model).fit(_TEXTS, **_SIZES).supervision == "clusters"


def test_an_encoder_without_a_head_is_fitted_or_a_saved_one_is_loaded(unfitted, saved_encoder):
    advice = Advice("this encoder has no trained head yet; call encoder.fit(texts, labels=…) or load a saved one")
    with advice.raised(NotFittedError):
        unfitted.encode(_TEXTS)
    unfitted.fit(_TEXTS, labels=_LABELS, **_SIZES).encode(_TEXTS)
    FeatureGroupEncoder.load(saved_encoder).encode(_TEXTS)


def test_a_codebook_of_labels_decodes_labels():
    labels = Codebook.from_labels(_LABELS, groups=2, codes=2)
    attributes = Codebook.from_attributes({"colour": ["a", "b", "a", "b"]}, groups=1, codes=2)
    probabilities = np.full((1, 2, 2), 0.5)
    with Advice("a codebook made from … has no labels to decode; use Codebook.from_labels").raised():
        attributes.decode(probabilities[:, :1])
    assert labels.decode(probabilities).shape == (1, 2)


def test_a_codebook_is_made_from_the_examples_to_train_on():
    vectors = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    codebook = Codebook.from_labels(_LABELS, groups=2, codes=2)
    nothing = Codebook("labels", 2, np.full((4, 2), -1), codebook.labels, codebook.label_codes)
    with Advice("the codebook holds no targets: make it from the examples to train on").raised():
        fit_head(vectors, nothing, steps=2)
    fit_head(vectors, codebook, steps=2)


def test_a_model_that_ends_in_a_head_is_taken_as_such(fitted, saved_encoder):
    model = fitted.to_sentence_transformer()
    advice = Advice(
        "the model ends in a feature-group head already; use FeatureGroupEncoder.from_sentence_transformer(model, "
        "codebook), or, for a saved encoder, FeatureGroupEncoder.load(folder)"
    )
    with advice.raised(TypeError):
        FeatureGroupEncoder(model)
    again = FeatureGroupEncoder.from_sentence_transformer(model, fitted.codebook)
    assert np.allclose(again.encode(_TEXTS).base, fitted.encode(_TEXTS).base)
    FeatureGroupEncoder.load(saved_encoder)


def test_a_loss_gets_a_model_with_a_head(tiny_model):
    head = FeatureGroupHead(24, groups=2, codes=2)
    advice = Advice(
        "the model's last module must be a FeatureGroupHead, it is …; append one: "
        "SentenceTransformer(modules=[*model, head])"
    )
    with advice.raised(TypeError):
        FeatureGroupLoss(tiny_model)
    FeatureGroupLoss(SentenceTransformer(modules=[*tiny_model, head], device="cpu"))


def test_a_head_is_saved_and_used_whole(tiny_model, tmp_path):
    head = FeatureGroupHead(24, groups=2, codes=2)
    with Advice("a feature-group head is saved as safetensors only; leave safe_serialization=False out").raised():
        head.save(str(tmp_path), safe_serialization=False)
    head.save(str(tmp_path))
    model = with_head(tiny_model, head)
    advice = Advice("numbers are whole groups; leave truncate_dim out, or train a head with fewer groups or codes")
    with advice.raised():
        model.encode(_TEXTS, truncate_dim=2)
    assert model.encode(_TEXTS).shape == (4, 4)
    assert with_head(tiny_model, FeatureGroupHead(24, groups=1, codes=2)).encode(_TEXTS).shape == (4, 2)


def test_a_folder_that_is_no_encoder_gets_one_or_another_is_passed(fitted, tmp_path):
    advice = Advice(
        "the folder … …; save one with encoder.save(folder) or `fg-search fit`, or, if it was moved, pass its new"
    )
    with advice.raised(EncoderNotFoundError):
        FeatureGroupEncoder.load(tmp_path / "e")
    fitted.save(tmp_path / "e")
    FeatureGroupEncoder.load(tmp_path / "e")
    (tmp_path / "e").rename(tmp_path / "moved")
    with advice.raised(EncoderNotFoundError):
        FeatureGroupEncoder.load(tmp_path / "e")
    FeatureGroupEncoder.load(tmp_path / "moved")


def test_an_encoder_is_saved_into_a_folder_of_its_own(fitted, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear")
    with Advice("… exists and is not a saved encoder; choose another folder").raised(FileExistsError):
        fitted.save(tmp_path / "full")
    fitted.save(tmp_path / "another")
    (tmp_path / "file").write_text("")
    with Advice("the encoder cannot be saved in …: …; check free space and permissions").raised(StorageError):
        fitted.save(tmp_path / "file" / "below")
    (tmp_path / "file").unlink()
    fitted.save(tmp_path / "file" / "below")


@pytest.mark.parametrize("again", ["copied", "fitted"])
def test_a_damaged_encoder_is_copied_or_fitted_again(saved_encoder, tmp_path, fitted, again):
    folder = shutil.copytree(saved_encoder, tmp_path / "e")
    next(folder.rglob("*.safetensors")).unlink()
    advice = Advice("the saved encoder in … is damaged: …; copy the whole folder again, or fit the encoder again")
    with advice.raised(EncoderNotFoundError):
        FeatureGroupEncoder.load(folder)
    if again == "copied":
        shutil.rmtree(folder)
        shutil.copytree(saved_encoder, folder)
    else:
        fitted.save(folder)
    FeatureGroupEncoder.load(folder)


@pytest.mark.parametrize(
    ("advice", "format_"),
    [
        (Advice("… has format …, this release reads …; upgrade fg_search"), 99),
        (Advice("… has format … of a development version, this release reads …; fit the encoder again"), 0),
    ],
)
def test_a_folder_of_another_format_is_read_by_its_release_or_made_again(
    saved_encoder, tmp_path, fitted, advice, format_
):
    folder = shutil.copytree(saved_encoder, tmp_path / "e")
    config = json.loads((folder / "fg_search.json").read_text())
    (folder / "fg_search.json").write_text(json.dumps({**config, "format": format_}))
    with advice.raised(FormatVersionError):
        FeatureGroupEncoder.load(folder)
    fitted.save(folder)
    FeatureGroupEncoder.load(folder)


def test_code_that_is_trusted_is_run_also_for_an_index(model_with_code, tmp_path):
    encoder = FeatureGroupEncoder(str(model_with_code), device="cpu", trust_remote_code=True)
    encoder.fit(_TEXTS, labels=_LABELS, **_SIZES).save(tmp_path / "e")
    advice = Advice(
        "If you trust its author, pass trust_remote_code=True to FeatureGroupEncoder(…) or "
        "FeatureGroupEncoder.load(…), and hand that encoder to ConfidenceIndex"
    )
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(_TEXTS)
    with ConfidenceIndex(tmp_path / "i") as index, advice.raised(UntrustedCodeError):
        index.search(_TEXTS[0])
    trusted = FeatureGroupEncoder.load(tmp_path / "e", trust_remote_code=True)
    with ConfidenceIndex(tmp_path / "i", trusted) as index:
        assert index.search(_TEXTS[0]).hits


def test_a_class_is_moved_to_a_file_and_imported_from_there(tiny_model, tmp_path, monkeypatch):
    code = (
        "import torch\n\n\nclass Doubling(torch.nn.Module):\n    def forward(self, features):\n"
        "        features['sentence_embedding'] = 2 * features['sentence_embedding']\n        return features\n\n"
        "    def save(self, path, *_, **__):\n        pass\n\n    @classmethod\n    def load(cls, *_, **__):\n"
        "        return cls()\n\n    def get_embedding_dimension(self):\n        return 24\n"
    )
    (tmp_path / "my_doubling.py").write_text(code)
    scope: dict = {"__name__": "__main__"}
    exec(code, scope)  # as a script or notebook does

    def fit(kind):
        model = SentenceTransformer(modules=[*tiny_model, kind()], device="cpu")
        return FeatureGroupEncoder(model).fit(_TEXTS, labels=_LABELS, **_SIZES)

    advice = Advice("move the class to the top level of a Python file, import it from there, and fit again")
    with advice.raised():
        fit(scope["Doubling"]).save(tmp_path / "e")
    monkeypatch.syspath_prepend(tmp_path)
    from my_doubling import Doubling

    fit(Doubling).save(tmp_path / "e")
    FeatureGroupEncoder.load(tmp_path / "e", trust_remote_code=True)


def test_a_cache_that_cannot_be_used_is_deleted_replaced_or_done_without(tiny_model, tmp_path, caplog):
    def warned(folder):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="fg_search"):
            FeatureGroupEncoder(tiny_model, cache_folder=folder).embed(_TEXTS)
        return caplog.text

    assert warned(tmp_path / "cache") == ""
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(b"no database" * 1000)
    advice = Advice(
        "the embedding cache … cannot be used (…); delete it, or choose another folder (cache_folder=…, --cache, "
        "$FG_SEARCH_CACHE), or do without a cache (cache_folder=None, --no-cache)"
    )
    assert advice.is_in(warned(tmp_path / "cache"))
    assert warned(tmp_path / "another") == ""
    assert warned(None) == ""
    file.unlink()
    assert warned(tmp_path / "cache") == ""


def test_a_text_of_which_a_model_makes_no_number_is_dropped(tiny_model, unfitted, monkeypatch):
    model = unfitted.model
    encode = model.encode

    def half(texts, **options):  # float16 overflows for some texts
        found = np.array(encode(texts, **options))
        found[[i for i, text in enumerate(texts) if "pizza" in text]] = np.nan
        return found

    advice = Advice("the model gives NaN or infinite numbers for …[…], … (… such text(s)); drop the text, or run the")
    with monkeypatch.context() as patch:
        patch.setitem(vars(model), "encode", half)
        with advice.raised():
            unfitted.embed(_TEXTS)
        assert unfitted.embed([text for text in _TEXTS if "pizza" not in text]).shape == (2, 24)
    assert np.isfinite(unfitted.embed(_TEXTS)).all()  # the model in float32


def test_an_encoder_that_does_not_know_its_examples_learns_them_or_is_fitted_again(fitted, tmp_path, caplog):
    advice = Advice(
        "it was trained end to end. Call encoder.learn_familiarity(texts) with the texts it was trained on, and save "
        "it, or fit it again"
    )
    fitted.head.familiarity = None
    fitted.save(tmp_path / "encoder")
    encoder = FeatureGroupEncoder.load(tmp_path / "encoder")
    assert advice.is_in(caplog.text)
    assert encoder.encode(_TEXTS).familiarity is None
    caplog.clear()
    encoder.learn_familiarity(_TEXTS).save(tmp_path / "encoder")
    FeatureGroupEncoder.load(tmp_path / "encoder")
    fitted.fit(_TEXTS, labels=_LABELS, **_SIZES).save(tmp_path / "again")
    assert FeatureGroupEncoder.load(tmp_path / "again").encode(_TEXTS).familiarity is not None
    assert not advice.is_in(caplog.text)


def test_long_texts_are_split_or_read_by_a_model_that_reads_more(transformer, caplog):
    long = " ".join(["my", "card", "pin", "stolen"] * 5)
    encoder = FeatureGroupEncoder(transformer()).fit(_TEXTS, labels=_LABELS, **_SIZES)

    def warned(by, texts):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="fg_search"):
            by.encode(texts)
        return caplog.text

    advice = Advice("with the same beginning are the same to it. Split them, or use a model that reads more: …")
    assert advice.is_in(warned(encoder, [long]))
    words = long.split()
    assert warned(encoder, [" ".join(words[i : i + 5]) for i in range(0, 20, 5)]) == ""
    model = transformer()
    model.max_seq_length = 30
    more = FeatureGroupEncoder(model).fit(_TEXTS, labels=_LABELS, **_SIZES)
    assert warned(more, [long]) == ""

    strange = ["ein Brief", "noch einer", "und weiter"]
    advice = Advice("(another script, emoji)…. Use a model that was trained on such texts: …")
    assert advice.is_in(warned(encoder, strange))
    assert warned(encoder, _TEXTS) == ""

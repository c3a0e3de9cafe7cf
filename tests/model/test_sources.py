"""Whatever a model is made of, its texts get the vectors of its own ``encode``, by the fastest way that is exact."""

import threading

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, InputModule, Normalize, Router
from sentence_transformers.sentence_transformer.modules import BoW, Pooling, StaticEmbedding, WordEmbeddings
from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer
from words import FILLERS, WORDS

from fg_search import FeatureGroupEncoder
from fg_search.model import sources
from fg_search.model.sources import EncodedTexts, PreprocessedTexts, TokenizedTexts, source_of
from fg_search.model.text_tokenizer import KnownTokenizer

KNOWN = [*FILLERS, *(word for words in WORDS.values() for word in words)]
LONG = "please help with my card the pin blocked stolen magnetic loan mortgage"  # the model reads 12 tokens
TEXTS = [
    "my card", "My CARD is stolen", LONG, "the " * 5000, "pizza [SEP] oven [UNK] [CLS][MASK]x[PAD]", " \t\n pin ",
    "\ufffd", "naïve 👍 日本語", "loan", "a", "x" * 400, "my card",
]  # fmt: skip


def the_way(model):
    return type(source_of(model, TEXTS, KnownTokenizer(), tf32=False))


def with_pooling(mode, **options):
    return lambda transformer: SentenceTransformer(
        modules=[transformer()[0], Pooling(16, mode, **options)],
        prompts={"document": "the pin: "},
        default_prompt_name="document" if options else None,
        device="cpu",
    )


def padded_left(transformer):
    model = with_pooling("lasttoken")(transformer)
    model.tokenizer.padding_side = model.tokenizer.truncation_side = "left"
    with torch.no_grad():  # otherwise padding would shift the positions, and encode depend on the other texts
        model[0].model.embeddings.position_embeddings.weight.zero_()
    return model


def without_types(transformer):
    model = transformer()
    model.tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return model


def with_dense_and_norm(transformer):
    return SentenceTransformer(modules=[*transformer(), Dense(16, 8), Normalize()], device="cpu")


def truncated(transformer):
    model = transformer()
    model.truncate_dim = 5
    return model


def static_with_prompt(static):
    return SentenceTransformer(
        modules=list(static), prompts={"document": "the pin "}, default_prompt_name="document", device="cpu"
    )


def with_settings(**settings):
    def build(transformer):
        model = transformer()
        model[0].processing_kwargs = {"text": settings}
        return model

    return build


def word_embeddings(_):
    weights = np.random.default_rng(0).standard_normal((len(KNOWN), 6)).astype(np.float32)
    first = WordEmbeddings(WhitespaceTokenizer(KNOWN, stop_words=set(), do_lower_case=True), weights)
    return SentenceTransformer(modules=[first, Pooling(6)], device="cpu")


def bag_of_words(_):
    return SentenceTransformer(modules=[BoW(KNOWN), Dense(len(KNOWN), 4)], device="cpu")


def routed(transformer):
    routes = {"query": [*transformer()], "document": [*transformer()]}
    return SentenceTransformer(modules=[Router(routes, default_route="document")], device="cpu")


class Letters(InputModule):
    """Counts letters; knows of no prompt and of no tokens."""

    def preprocess(self, inputs):
        counts = [[text.count(letter) for letter in "aeiou"] for text in inputs]
        return {"counts": torch.tensor(counts, dtype=torch.float32)}

    def forward(self, features):
        features["sentence_embedding"] = features["counts"]
        return features

    def save(self, *_, **__):
        pass

    def get_embedding_dimension(self):
        return 5


class Louder(SentenceTransformer):
    def encode(self, inputs, **options):
        return 2 * super().encode(inputs, **options)


TOKENIZER = {
    "mean": with_pooling("mean"),
    "cls": with_pooling("cls"),
    "max": with_pooling("max"),
    "weighted mean": with_pooling("weightedmean"),
    "prompt": with_pooling("mean", include_prompt=True),
    "prompt left out": with_pooling("mean", include_prompt=False),
    "padded left": padded_left,
    "no token types": without_types,
    "dense and norm": with_dense_and_norm,
    "truncated": truncated,
}
PREPROCESS = {
    "fewer tokens": with_settings(max_length=6),
    "padded to sixes": with_settings(pad_to_multiple_of=6),
    "no special tokens": with_settings(add_special_tokens=False),
    "word embeddings": word_embeddings,
    "bag of words": bag_of_words,
    "routes": routed,
}
ENCODE = {
    "own module": lambda _: SentenceTransformer(modules=[Letters()], device="cpu"),
    "own class": lambda transformer: Louder(modules=[*transformer()], device="cpu"),
}


@pytest.mark.parametrize(
    ("build", "way"),
    [
        pytest.param(build, way, id=name)
        for kinds, way in ((TOKENIZER, TokenizedTexts), (PREPROCESS, PreprocessedTexts), (ENCODE, EncodedTexts))
        for name, build in kinds.items()
    ],
)
def test_the_vectors_of_encode(transformer, build, way):
    model = build(transformer)
    assert the_way(model) is way
    encoder = FeatureGroupEncoder(model, symmetric=True)
    for batch_size in (3, None):
        np.testing.assert_allclose(encoder.embed(TEXTS, batch_size=batch_size), model.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("build", [list, static_with_prompt])
def test_static_embeddings_are_those_of_encode(tiny_model, build):
    model = tiny_model if build is list else build(tiny_model)
    assert the_way(model) is TokenizedTexts
    np.testing.assert_allclose(FeatureGroupEncoder(model).embed(TEXTS, batch_size=5), model.encode(TEXTS), atol=1e-5)


def test_a_static_tokenizer_that_pads_is_left_to_preprocess(tiny_model):
    padding = SentenceTransformer(modules=[StaticEmbedding(tiny_model.tokenizer, embedding_dim=3)], device="cpu")
    padding.tokenizer.enable_padding(length=4)
    try:
        assert the_way(padding) is PreprocessedTexts
    finally:
        padding.tokenizer.no_padding()


def test_a_tokenizer_that_does_more_than_the_one_in_rust_is_left_to_preprocess(transformer):
    model = transformer()

    class Shouting(type(model.tokenizer)):
        def _encode_plus(self, text, **options):
            return super()._encode_plus([one.replace("!", "please") for one in text], **options)

    model.tokenizer.__class__ = Shouting
    assert the_way(model) is PreprocessedTexts


def test_what_does_not_read_texts_alone_is_left_to_encode(transformer, monkeypatch):
    model = transformer()
    monkeypatch.setitem(model[0].modality_config, "image", model[0].modality_config["text"])
    assert the_way(model) is EncodedTexts


def test_a_model_on_two_devices_is_left_to_encode(transformer):
    model = transformer()
    model.append(Dense(16, 4).to("meta"))
    assert the_way(model) is EncodedTexts


def test_what_is_set_at_the_model_counts_at_once(transformer):
    model = transformer()
    encoder = FeatureGroupEncoder(model, symmetric=True)

    def is_as_encode():
        np.testing.assert_allclose(encoder.embed(TEXTS), model.encode(TEXTS), atol=1e-5)
        return True

    assert is_as_encode()
    model.max_seq_length = 6
    assert is_as_encode()
    model.prompts["query"], model.default_prompt_name = "my pin ", "query"
    assert is_as_encode()
    model.tokenizer.add_tokens(["mycard"])
    model[0].model.resize_token_embeddings(len(model.tokenizer))
    assert is_as_encode()
    model[0].processing_kwargs = {"text": {"max_length": 5}}
    assert is_as_encode()
    model.train()
    assert is_as_encode()


def test_the_tokenizer_is_left_as_it_was(transformer, corpus):
    model = transformer()
    backend = model.tokenizer.backend_tokenizer
    backend.enable_truncation(7, stride=2)
    backend.enable_padding(length=9)
    before = backend.to_str()
    encoder = FeatureGroupEncoder(model).fit(corpus[0], labels=corpus[1], groups=2, codes=4, hidden=8, steps=1)
    assert encoder.encode(TEXTS).fingerprint == encoder.fingerprint
    assert backend.to_str() == before


def test_threads_share_an_encoder(transformer, corpus):
    model = transformer()
    encoder = FeatureGroupEncoder(model).fit(corpus[0], labels=corpus[1], groups=2, codes=4, hidden=8, steps=1)
    texts = TEXTS * 5
    expected = model.encode(texts)
    found, start = {}, threading.Barrier(4)

    def encode(number):
        start.wait()
        for turn in range(3):
            rows = np.random.default_rng([number, turn]).permutation(len(texts))
            embedded = encoder.encode([texts[row] for row in rows], batch_size=4 + number, warn=False)
            found[number, turn] = np.abs(embedded.base - expected[rows]).max()

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert max(found.values()) < 1e-5


def test_an_error_in_preprocess_ends_the_call(transformer, monkeypatch):
    model = word_embeddings(transformer)
    preprocess = model[0].preprocess
    calls = []

    def failing(texts, **options):
        calls.append(texts)
        if len(calls) == 3:
            raise ValueError("no such text")
        return preprocess(texts, **options)

    monkeypatch.setattr(model[0], "preprocess", failing)
    with pytest.raises(ValueError, match="no such text"):
        FeatureGroupEncoder(model).embed(TEXTS, batch_size=2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("preprocess")]


@pytest.mark.parametrize("wanted", [False, True])
def test_tf32_is_on_while_a_cuda_device_computes(transformer, monkeypatch, wanted):
    matmul = torch.backends.cuda.matmul
    before, seen = matmul.allow_tf32, []
    products = sources.products
    monkeypatch.setattr(sources, "products", lambda _, tf32: products(torch.device("cuda"), tf32=tf32))
    monkeypatch.setattr(sources, "has_plain_encode", lambda _: False)
    model = transformer()
    monkeypatch.setattr(
        model[1], "forward", lambda features: seen.append(matmul.allow_tf32) or Pooling.forward(model[1], features)
    )
    encoder = FeatureGroupEncoder(model, tf32=wanted)
    encoder.embed(["my card"])
    assert seen == [wanted]
    assert matmul.allow_tf32 == before

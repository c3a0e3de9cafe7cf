import string

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fg_search import FeatureGroupEncoder
from fg_search.model import sources
from fg_search.model.batching import BatchSize
from fg_search.model.forward import is_out_of_memory
from fg_search.model.text_tokenizer import KnownTokenizer


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    """A BERT of random weights whose tokens are characters, and ``longword``."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    letters = string.ascii_lowercase
    pieces = [*letters, *(f"##{letter}" for letter in letters), "longword"]
    words = folder / "words.txt"
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]))
    tokenizer = BertTokenizerFast(vocab=str(words))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    module = Transformer(str(folder), max_seq_length=16)
    return SentenceTransformer(modules=[module, Pooling(module.get_embedding_dimension())], device="cpu")


texts_to_encode = st.lists(st.text(string.ascii_lowercase + " ", min_size=1, max_size=40), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def encoders(transformer, tiny_model):
    return [FeatureGroupEncoder(model) for model in (transformer, tiny_model)]


@given(texts=texts_to_encode, batch_size=st.integers(1, 5) | st.none())
def test_every_text_has_the_embedding_that_the_model_gives_it(encoders, texts, batch_size):
    texts = [text + "a" for text in texts]  # none of them empty
    for encoder in encoders:
        expected = np.stack([encoder.model.encode(text) for text in texts])
        found = encoder.embed(texts, batch_size=batch_size)
        assert found.dtype == np.float32
        assert np.allclose(found, expected, atol=1e-5)


def test_texts_of_like_numbers_of_tokens_are_encoded_together(transformer, monkeypatch):
    short, long = "longword longword", "a bc def ghi"  # by characters the first is the longer one
    widths = []
    forward = transformer[0].forward

    def noted(features, **options):
        widths.append(tuple(features["input_ids"].shape))
        return forward(features, **options)

    monkeypatch.setitem(vars(transformer[0]), "forward", noted)
    FeatureGroupEncoder(transformer).embed([short, long] * 2 + [short], batch_size=2)
    assert widths == [(2, 11), (2, 4), (1, 4)]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (BatchSize(2), [2, 2, 2, 1]),
        (BatchSize(100), [7]),
        (BatchSize(4, tokens=20), [1, 2, 4]),  # the first one is longer than that, and goes alone
        (BatchSize(3, tokens=1000), [3, 3, 1]),
    ],
)
def test_a_batch_has_so_many_texts_and_so_many_tokens_at_most(size, sizes):
    lengths = np.array([30, 10, 9, 5, 2, 0, 0])
    parts = size.cut(lengths)
    assert [len(lengths[part]) for part in parts] == sizes
    assert np.concatenate([lengths[part] for part in parts]).tolist() == lengths.tolist()


def test_the_default_batch_is_larger_on_a_gpu():
    cpu, gpu = (BatchSize.of(None, torch.device(name)) for name in ("cpu", "cuda"))
    assert gpu.texts > cpu.texts
    assert gpu.tokens is not None
    assert BatchSize.of(3, torch.device("cuda")) == BatchSize(3)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1, got 0"):
        BatchSize.of(0, torch.device("cpu"))


def test_a_bar_counts_the_texts(transformer, capsys):
    encoder = FeatureGroupEncoder(transformer)
    encoder.embed(["a", "bc", "d"], batch_size=2, show_progress=True)
    assert "/3 " in capsys.readouterr().err
    encoder.embed(["a", "bc", "d"], batch_size=2, show_progress=False)
    assert capsys.readouterr().err == ""


@pytest.fixture
def small_memory(transformer, monkeypatch):
    """Let the model run out of memory on more than so many tokens; the shapes that it was given are noted."""

    def limit(tokens, error=None):
        shapes = []
        forward = transformer[0].forward

        def limited(features, **options):
            rows, columns = features["input_ids"].shape
            shapes.append((rows, columns))
            if rows * columns > tokens:
                raise error or torch.cuda.OutOfMemoryError("CUDA out of memory")
            return forward(features, **options)

        monkeypatch.setitem(vars(transformer[0]), "forward", limited)
        return shapes

    return limit


@pytest.mark.parametrize("way", ["tokenizer", "preprocess", "encode"])
def test_a_batch_that_is_too_large_for_the_memory_is_halved(transformer, small_memory, monkeypatch, way):
    texts = ["abcdef"] * 5 + ["abc"] * 4 + ["a"] * 8
    expected = transformer.encode(texts)
    if way != "tokenizer":
        monkeypatch.setattr(KnownTokenizer, "of", lambda *_: None)
    if way == "encode":
        monkeypatch.setattr(sources, "has_plain_encode", lambda _: False)
    shapes = small_memory(17)
    found = FeatureGroupEncoder(transformer).embed(texts, batch_size=8)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    failed = [rows * columns for rows, columns in shapes if rows * columns > 17]
    assert len(failed) <= 3  # what has not fitted once is not tried again
    assert failed == sorted(failed, reverse=True)
    assert max(rows for rows, _ in shapes[2:]) > 1  # shorter texts go through together all the same


def test_what_is_too_large_by_itself_is_an_error(transformer, small_memory):
    shapes = small_memory(4)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        FeatureGroupEncoder(transformer).embed(["abcdef", "abcdef"], batch_size=2)
    assert shapes == [(2, 8), (1, 8)]


def test_other_errors_are_not_answered_by_smaller_batches(transformer, small_memory):
    shapes = small_memory(4, RuntimeError("the model is broken"))
    with pytest.raises(RuntimeError, match="broken"):
        FeatureGroupEncoder(transformer).embed(["abcdef", "abcdef"], batch_size=2)
    assert shapes == [(2, 8)]


@pytest.mark.parametrize("words", ["MPS backend out of memory", "not enough memory: you tried to allocate 9 bytes"])
def test_other_devices_say_it_in_other_words(words):
    assert is_out_of_memory(RuntimeError(words))

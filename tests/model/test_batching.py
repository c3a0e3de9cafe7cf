import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.model.batching import encode_by_tokens


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    """A BERT of random weights whose tokens are characters, and ``longword``."""
    import torch
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


@given(texts=texts_to_encode, batch_size=st.integers(1, 5))
def test_every_text_has_the_embedding_that_the_model_gives_it(transformer, tiny_model, texts, batch_size):
    for model in (transformer, tiny_model):
        expected = np.stack([model.encode(text) for text in texts])
        found = encode_by_tokens(model, texts, batch_size=batch_size, show_progress=False)
        assert found.dtype == np.float32
        assert np.allclose(found, expected, atol=1e-5)


def test_texts_of_like_numbers_of_tokens_are_encoded_together(transformer, monkeypatch):
    short, long = "longword longword", "a bc def ghi"  # by characters the first is the longer one
    widths = []
    forward = transformer[0].forward

    def noted(features, **options):
        widths.append(tuple(features["input_ids"].shape))
        return forward(features, **options)

    monkeypatch.setattr(transformer[0], "forward", noted)
    encode_by_tokens(transformer, [short, long] * 2 + [short], batch_size=2, show_progress=False)
    assert widths == [(2, 11), (2, 4), (1, 4)]


def test_a_bar_counts_the_texts(transformer, capsys):
    encode_by_tokens(transformer, ["a", "bc", "d"], batch_size=2, show_progress=True)
    assert "/3 " in capsys.readouterr().err
    encode_by_tokens(transformer, ["a", "bc", "d"], batch_size=2, show_progress=False)
    assert capsys.readouterr().err == ""

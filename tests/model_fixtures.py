"""Fixtures of base models: a small transformer with the words of the corpus, and a model with code of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from words import FILLERS, WORDS

_MODULE = """
from sentence_transformers.base.modules import Module


class Doubling(Module):
    def forward(self, features, **_):
        features["sentence_embedding"] = 2 * features["sentence_embedding"]
        return features

    def save(self, output_path, *_, **__):
        self.save_config(output_path)

    def get_embedding_dimension(self):
        return 24
"""

_TRANSFORMER = """
from transformers import BertModel


class DoubledBert(BertModel):
    def forward(self, *args, **options):
        found = super().forward(*args, **options)
        found.last_hidden_state = 2 * found.last_hidden_state
        return found
"""


@pytest.fixture(scope="session")
def transformer_folder(tmp_path_factory) -> Path:
    """Folder of a BERT of random weights that reads 12 tokens, words of the corpus or unknown."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    known = [*FILLERS, *(word for words in WORDS.values() for word in words)]
    (folder / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *known]))
    tokenizer = BertTokenizerFast(vocab=str(folder / "words.txt"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder / "raw")
    tokenizer.save_pretrained(folder / "raw")
    module = Transformer(str(folder / "raw"), max_seq_length=12)
    model = SentenceTransformer(modules=[module, Pooling(module.get_embedding_dimension())], device="cpu")
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture
def transformer(transformer_folder) -> Callable[..., Any]:
    """Load it, with arguments of ``SentenceTransformer``."""
    from sentence_transformers import SentenceTransformer

    return lambda **options: SentenceTransformer(str(transformer_folder), device="cpu", **options)


@pytest.fixture
def model_with_code(tiny_model, tmp_path) -> Path:
    """Folder of the tiny model with one module more, whose code comes with it."""
    import json

    folder = tmp_path / "with-code"
    tiny_model.save(str(folder), create_model_card=False)
    (folder / "doubling.py").write_text(_MODULE)
    (folder / "1_Doubling").mkdir()
    (folder / "1_Doubling" / "config.json").write_text("{}")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 1, "name": "1", "path": "1_Doubling", "type": "doubling.Doubling"})
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.fixture
def transformer_with_code(transformer_folder, tmp_path) -> Path:
    """Folder of a transformer whose own class comes with it; without that, the library has one that loads it."""
    import json
    import shutil

    folder = Path(shutil.copytree(transformer_folder, tmp_path / "transformer-with-code"))
    (folder / "doubled_bert.py").write_text(_TRANSFORMER)
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "doubled_bert.DoubledBert"}, "architectures": ["DoubledBert"]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _static(vocabulary: list[str], seed: int, **weights: float) -> Any:
    """Static embeddings of words, some of them with a weight."""
    import numpy as np
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.random.default_rng(seed).standard_normal((len(vocabulary), 24)).astype(np.float32)
    vectors *= np.array([weights.get(word, 1.0) for word in vocabulary], dtype=np.float32)[:, None]
    return StaticEmbedding(tokenizer, embedding_weights=vectors)


@pytest.fixture(scope="session")
def prompted_model() -> Any:
    """A bag of word vectors with prompts for queries and passages, whose words weigh more than those of a text."""
    from sentence_transformers import SentenceTransformer

    words = ["[UNK]", "query", "passage", ":", *FILLERS, *(word for known in WORDS.values() for word in known)]
    module = _static(words, 0, query=6.0, passage=6.0)
    return SentenceTransformer(modules=[module], prompts={"query": "query: ", "passage": "passage: "}, device="cpu")


@pytest.fixture(scope="session")
def routed_model() -> Any:
    """A router with other word vectors, and fewer words, for queries than for documents."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    words = ["[UNK]", *FILLERS, *(word for known in WORDS.values() for word in known)]
    router = Router.for_query_document([_static(words[:-3], 1)], [_static(words, 2)])
    return SentenceTransformer(modules=[router], device="cpu")

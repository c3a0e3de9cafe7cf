"""What the contestants of benchmarks/speed.py are given: an encoder, its base model, and texts of two lengths."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch.nn import Identity
from transformers import BertConfig, BertModel

from fg_search import FeatureGroupEncoder
from fg_search.model.pretrained import DEFAULT_MODEL, load_sentence_transformer

MODELS = ("tiny", "minilm")
WORDS = {"short": 12, "long": 120}  # of a text
_COUNTS = {  # texts a turn
    ("tiny", "cpu"): {"short": 8192, "long": 2048},
    ("minilm", "cpu"): {"short": 2048, "long": 256},
}
_ON_GPU = {"short": 40_960, "long": 16_384}
_LABELS = 64


@dataclass(frozen=True)
class Row:
    """Two contestants that do the same work.

    Attributes:
        what: What is compared.
        ours: Work of fg_search.
        theirs: The same by the other.
        count: How much of it is done, for rates.
        wanted: Least ratio of our rate to theirs that is wanted, if any.
    """

    what: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    count: int
    wanted: float | None = None


@dataclass(frozen=True)
class Data:
    """An encoder and texts.

    Attributes:
        model: Name of the base model, one of ``MODELS``.
        encoder: Fitted encoder with the default head.
        texts: Different texts by their length, ``"short"`` and ``"long"``.
    """

    model: str
    encoder: FeatureGroupEncoder
    texts: dict[str, list[str]]

    @property
    def device(self) -> torch.device:
        """Device of the base model."""
        return self.encoder.model.device

    @property
    def device_name(self) -> str:
        """Name of the card, or of the kind of device."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type


def data_of(device: str, name: str | None) -> Data:
    """Make everything, the same for the same arguments.

    Args:
        device: Device of the base model.
        name: One of ``MODELS``; by default the one that suits the device.
    """
    name = name or ("tiny" if device == "cpu" else "minilm")
    minilm = load_sentence_transformer(DEFAULT_MODEL, device)
    encoder = FeatureGroupEncoder(_tiny(minilm, device) if name == "tiny" else minilm)
    counts = _COUNTS.get((name, device), _ON_GPU)
    texts = {kind: _texts(WORDS[kind], count) for kind, count in counts.items()}
    examples = _texts(WORDS["short"], 20 * _LABELS)
    encoder.fit(examples, labels=[str(i % _LABELS) for i in range(len(examples))], steps=20, show_progress=False)
    return Data(name, encoder, texts)


def _tiny(minilm: SentenceTransformer, device: str) -> SentenceTransformer:
    """A BERT of random weights with the tokenizer of another model: one layer of 64, then 384 numbers."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(minilm.tokenizer),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=256,
    )
    with tempfile.TemporaryDirectory() as folder:
        BertModel(config).save_pretrained(folder)
        minilm.tokenizer.save_pretrained(folder)
        first = Transformer(folder, max_seq_length=minilm.max_seq_length)
    modules = [first, Pooling(64), Dense(64, 384, activation_function=Identity())]
    return SentenceTransformer(modules=modules, device=device)


def _texts(words: int, count: int) -> list[str]:
    """Random sequences of the words of the corpus that comes with the package."""
    corpus = files("fg_search.demo").joinpath("data", "corpus.jsonl").read_text(encoding="utf-8")
    known = sorted({word for line in corpus.splitlines() for word in json.loads(line)["text"].split()})
    rng = np.random.default_rng([words, count])
    return [" ".join(rng.choice(known, words)) for _ in range(count)]

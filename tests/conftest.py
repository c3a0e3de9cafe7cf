"""Shared fixtures: a tiny SentenceTransformer, a corpus it can learn, and each kind of engine."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fg_search import ConfidenceIndex, FeatureGroupEncoder

pytest_plugins = ["fake_server", "index_fixtures", "model_fixtures"]

WORDS = {
    "card": ["card", "blocked", "stolen", "pin", "magnetic"],
    "loan": ["loan", "mortgage", "interest", "borrow", "rate"],
    "travel": ["flight", "luggage", "passport", "hotel", "airport"],
    "food": ["pizza", "recipe", "oven", "cheese", "kitchen"],
}
FILLERS = ["my", "the", "please", "help", "with"]
DIMENSION = 24


@pytest.fixture(scope="session")
def tiny_model():
    """A bag of random word vectors: texts that share words are similar, nothing is downloaded."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    vocabulary = ["[UNK]", *FILLERS, *(word for words in WORDS.values() for word in words)]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(vocabulary), DIMENSION)).astype(np.float32)
    weights[0] *= 0.1
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


@pytest.fixture(scope="session")
def corpus() -> tuple[list[str], list[str]]:
    """48 different texts of four labels."""
    rng = np.random.default_rng(1)
    texts: dict[str, str] = {}
    for label, words in WORDS.items():
        while sum(known == label for known in texts.values()) < 12:
            chosen = [*rng.choice(words, 2, replace=False), *rng.choice(FILLERS, 2, replace=False)]
            texts[" ".join(chosen)] = label
    return list(texts), list(texts.values())


@pytest.fixture(scope="session")
def saved_encoder(tiny_model, corpus, tmp_path_factory) -> Path:
    """Folder of an encoder fitted on the corpus with labels."""
    texts, labels = corpus
    folder = tmp_path_factory.mktemp("encoder") / "support"
    FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=120).save(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(saved_encoder) -> FeatureGroupEncoder:
    """That encoder, loaded."""
    return FeatureGroupEncoder.load(saved_encoder, device="cpu")


@pytest.fixture(
    params=[
        pytest.param("edge", id="edge"),
        pytest.param("memory", id="memory"),
        pytest.param("server", id="server", marks=pytest.mark.server),
    ]
)
def index(request, tmp_path, encoder) -> Iterator[ConfidenceIndex]:
    """An empty index on each engine."""
    if request.param == "server":
        collection = f"fg_search_test_{uuid.uuid4().hex}"
        with ConfidenceIndex(
            os.environ["QDRANT_URL"], encoder, collection=collection, api_key=os.environ.get("QDRANT_API_KEY")
        ) as remote:
            yield remote
            remote.client.delete_collection(collection)
        return
    location = {"edge": tmp_path / "index", "memory": ":memory:"}[request.param]
    with ConfidenceIndex(location, encoder) as local:
        yield local


@pytest.fixture
def filled(index, corpus) -> ConfidenceIndex:
    """The corpus in an index on each engine, ids d0, d1, …; the payload tells even from odd."""
    texts, labels = corpus
    index.add(
        texts,
        ids=[f"d{i}" for i in range(len(texts))],
        labels=labels,
        payloads=[{"parity": i % 2} for i in range(len(texts))],
    )
    return index


@pytest.fixture(scope="session")
def questions() -> Callable[[int, int], tuple[list[str], list[str | None]]]:
    """Questions and the label of their answer: easy ones, torn ones, and ones that have no answer."""

    def draw(count: int, seed: int) -> tuple[list[str], list[str | None]]:
        rng = random.Random(seed)
        texts: list[str] = []
        labels: list[str | None] = []
        for _ in range(count):
            label, other = rng.sample(list(WORDS), 2)
            words = rng.sample(FILLERS, rng.randint(1, 4))
            kind = rng.random()
            if kind < 0.6:
                words += rng.sample(WORDS[label], rng.randint(1, 3))
            elif kind < 0.85:
                words += [rng.choice(WORDS[label]), rng.choice(WORDS[other])]
            rng.shuffle(words)
            texts.append(" ".join(words))
            labels.append(label if kind < 0.85 else None)
        return texts, labels

    return draw


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """The command line keeps embeddings on disk: not in the cache of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FG_SEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a server are skipped, visibly, where there is none."""
    if os.environ.get("QDRANT_URL"):
        return
    skip = pytest.mark.skip(reason="needs a Qdrant server: set QDRANT_URL")
    for item in items:
        if item.get_closest_marker("server"):
            item.add_marker(skip)


torch.set_num_threads(1)  # the models are tiny: more threads only wait for one another

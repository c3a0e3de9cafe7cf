"""Shared fixtures: a tiny SentenceTransformer, a corpus it can learn, and each kind of engine.

Nothing here imports numpy or torch before a fixture needs them: how many threads they have is set below, and
pytest-xdist reads this file in a process that runs no test.
"""

from __future__ import annotations

import gc
import math
import os
import random
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engines import ENGINES
from read_only import read_only
from words import FILLERS, WORDS

if TYPE_CHECKING:
    from fg_search import ConfidenceIndex, FeatureGroupEncoder

pytest_plugins = [
    "profiles",
    "fake_server",
    "fake_grpc_server",
    "index_fixtures",
    "made_once",
    "model_fixtures",
    "programs",
    "schedule_count",
]

# Read when numpy and torch are imported, here and in child processes: what the tests compute is small, and more threads
# than one a process only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")  # it would tell its makers about each test
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # so would Ray
os.environ.setdefault("RAY_worker_niceness", "0")  # its workers would give way to all other processes

# Whatever is imported while tests are collected stays to the end, and there is nothing to look for.
gc.disable()

DIMENSION = 24


@pytest.fixture(scope="session")
def tiny_model():
    """A bag of random word vectors: texts that share words are similar, nothing is downloaded."""
    import numpy as np
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
    import numpy as np

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
    from fg_search import FeatureGroupEncoder

    texts, labels = corpus
    folder = tmp_path_factory.mktemp("encoder") / "support"
    FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=120).save(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(saved_encoder) -> FeatureGroupEncoder:
    """That encoder, loaded."""
    from fg_search import FeatureGroupEncoder

    return FeatureGroupEncoder.load(saved_encoder, device="cpu")


@contextmanager
def opened(kind: str, folder: Path, encoder: FeatureGroupEncoder) -> Iterator[ConfidenceIndex]:
    """A new index on an engine of this kind."""
    from strict_mode import StrictClient

    from fg_search import ConfidenceIndex, IndexSettings

    if kind == "strict":
        client = StrictClient()
        with ConfidenceIndex(client, encoder, settings=IndexSettings(filterable={"parity": "integer"})) as strict:
            yield strict
        client.close()
        return
    if kind != "server":
        with ConfidenceIndex({"edge": folder, "memory": ":memory:"}[kind], encoder) as local:
            yield local
        return
    collection = f"fg_search_test_{uuid.uuid4().hex}"
    with ConfidenceIndex(
        os.environ["QDRANT_URL"], encoder, collection=collection, api_key=os.environ.get("QDRANT_API_KEY")
    ) as remote:
        yield remote
        type(remote.client).delete_collection(remote.client, collection)  # of the class: see read_only


def fill(index: ConfidenceIndex, corpus: tuple[list[str], list[str]]) -> ConfidenceIndex:
    """Add the corpus, ids d0, d1, …; the payload tells even from odd."""
    texts, labels = corpus
    numbers = range(len(texts))
    index.add(texts, ids=[f"d{i}" for i in numbers], labels=labels, payloads=[{"parity": i % 2} for i in numbers])
    return index


@pytest.fixture(params=ENGINES)
def index(request, tmp_path, encoder) -> Iterator[ConfidenceIndex]:
    """An empty index on each engine."""
    with opened(request.param, tmp_path / "index", encoder) as new:
        yield new


@pytest.fixture
def own(index, corpus) -> ConfidenceIndex:
    """The corpus in an index on each engine, for one test to change."""
    return fill(index, corpus)


@pytest.fixture(scope="module", params=ENGINES)
def filled(request, tmp_path_factory, encoder, corpus) -> Iterator[ConfidenceIndex]:
    """The corpus in an index on each engine, which the tests of a module share and none may change."""
    with opened(request.param, tmp_path_factory.mktemp("filled") / "index", encoder) as index:
        yield read_only(fill(index, corpus))


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory, encoder, corpus) -> Iterator[ConfidenceIndex]:
    """The same in memory alone, for what does not depend on the engine."""
    with opened("memory", tmp_path_factory.getbasetemp(), encoder) as index:
        yield read_only(fill(index, corpus))


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


@pytest.fixture(scope="session")
def other_questions(questions) -> list[str]:
    """200 questions of another kind: three at once."""
    texts = [text for text, label in zip(*questions(1000, 21), strict=True) if label]
    return [" ".join(texts[3 * i : 3 * i + 3]) for i in range(200)]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """The command line keeps embeddings on disk: not in the cache of whoever runs the tests.

    The processes of pytest-xdist share one, so that none encodes what another one has encoded.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FG_SEARCH_CACHE", str(shared / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _asked_when_told():
    """What others have calibrated is not looked for by the clock: tests count requests, and take their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fg_search.index.following.LOOK_EVERY", math.inf)
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Temporary folders are in memory where there is room: an engine that waits for the disk takes five times as long.

    PYTEST_DEBUG_TEMPROOT and --basetemp choose another place.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_finish() -> None:
    """Garbage is collected from now on, but not looked for among all that torch and pytest have made so far.

    What is left is so little that Python would go through all of it again and again: a third of the time of tests that
    make many hits.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a server are skipped, visibly, where there is none."""
    if os.environ.get("QDRANT_URL"):
        return
    skip = pytest.mark.skip(reason="needs a Qdrant server: set QDRANT_URL")
    for item in items:
        if item.get_closest_marker("server"):
            item.add_marker(skip)

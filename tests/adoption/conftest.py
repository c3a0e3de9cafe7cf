"""Fixtures: collections of others on each engine."""

import pytest
from adoption_data import VECTOR, made
from qdrant_client import QdrantClient

from fg_search import EdgeClient


@pytest.fixture(scope="session")
def rows(tiny_model, corpus):
    texts, labels = corpus
    return texts, labels, tiny_model.encode(texts)


@pytest.fixture(params=["edge", "memory"])
def client(request, tmp_path):
    opened = EdgeClient(tmp_path / "edge") if request.param == "edge" else QdrantClient(":memory:")
    yield opened
    opened.close()


@pytest.fixture
def edge(tmp_path):
    with EdgeClient(tmp_path / "edge") as opened:
        yield opened


@pytest.fixture
def shop(client, rows):
    """A collection of others, on each engine."""
    return made(client, rows)


@pytest.fixture
def how(encoder):
    """How it is adopted."""
    return {"collection": "shop", "vector": VECTOR, "text": "title", "label": "info.kind", "encoder": encoder}

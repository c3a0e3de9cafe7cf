"""Fixtures of tests on indexes: another encoder, a watch on encoding, the points as the engine has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fg_search import ConfidenceIndex, FeatureGroupEncoder


@pytest.fixture
def other_encoder(tiny_model, corpus) -> FeatureGroupEncoder:
    """An encoder of the same shape whose vectors are not comparable; never saved."""
    from fg_search import FeatureGroupEncoder

    texts, labels = corpus
    return FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=20, seed=9)


@pytest.fixture(params=["edge", "memory"])
def local(request, tmp_path, encoder) -> Iterator[ConfidenceIndex]:
    """An empty index on each engine that runs here."""
    from fg_search import ConfidenceIndex

    with ConfidenceIndex(tmp_path / "index" if request.param == "edge" else ":memory:", encoder) as index:
        yield index


@pytest.fixture
def rows(corpus) -> dict[str, Any]:
    """Arguments of ``add`` for the corpus, ids d0, d1, …; the payload tells even from odd."""
    texts, labels = corpus
    return {
        "texts": texts,
        "ids": [f"d{i}" for i in range(len(texts))],
        "labels": labels,
        "payloads": [{"parity": i % 2} for i in range(len(texts))],
    }


@pytest.fixture
def encoded(monkeypatch) -> list[str]:
    """Every text that an encoder embeds from now on."""
    from fg_search import FeatureGroupEncoder

    texts: list[str] = []
    encode = FeatureGroupEncoder.encode

    def spy(self: FeatureGroupEncoder, given: Any, **options: Any) -> Any:
        texts.extend(given)
        return encode(self, given, **options)

    monkeypatch.setattr(FeatureGroupEncoder, "encode", spy)
    return texts


@pytest.fixture(scope="session")
def points_of() -> Callable[[ConfidenceIndex], dict[Any, Any]]:
    """The points of an index as the engine has them, by the id their owner gave them."""

    def read(index: ConfidenceIndex) -> dict[Any, Any]:
        found, offset, is_first = {}, None, True
        while is_first or offset is not None:
            records, offset = index.client.scroll(
                index.collection, limit=100, offset=offset, with_payload=True, with_vectors=True
            )
            found |= {record.payload["fg"]["id"]: record for record in records}
            is_first = False
        return found

    return read


def without_history(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Payload of a point apart from the history of its changes."""
    return {**payload, "fg": {key: value for key, value in payload["fg"].items() if key != "history"}}

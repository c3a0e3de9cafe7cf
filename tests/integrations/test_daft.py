"""What daft-qdrant has written becomes an index, as docs/how-to/spark-daft.md has it, on a model of a server."""

from __future__ import annotations

import uuid

import pytest

pytest.importorskip("daft_qdrant", reason="needs daft and daft-qdrant (100 MB; nightly runs have them)")

import daft
from qdrant_client import QdrantClient, models

from fg_search import ConfidenceIndex


def test_a_collection_that_daft_writes_is_adopted_and_followed(fake_server, encoder, corpus, tmp_path):
    texts, labels = corpus
    size = models.VectorParams(size=encoder.dimension, distance=models.Distance.COSINE)
    QdrantClient(fake_server.url, check_compatibility=False).create_collection("questions", vectors_config=size)

    def write(first: int, last: int) -> None:
        columns = {
            "id": [str(uuid.uuid5(uuid.NAMESPACE_URL, text)) for text in texts[first:last]],
            "vector": encoder.embed(texts[first:last]).tolist(),
            "text": texts[first:last],
            "label": labels[first:last],
        }
        options = {"client_kwargs": {"check_compatibility": False}}
        daft.from_pydict(columns).write_qdrant("questions", url=fake_server.url, **options)

    write(0, 40)
    with ConfidenceIndex.adopt(
        fake_server.url,
        collection="questions",
        text="text",
        label="label",
        encoder=encoder,
        folder=tmp_path / "encoder",
    ) as index:
        assert len(index) == 40
        assert index.search(texts[0], limit=1).hits[0].label == labels[0]
        write(40, len(texts))
        assert index.info().unsynced == len(texts) - 40
        index.sync()
        assert (index.info().unsynced, len(index)) == (0, len(texts))
        assert index.search(texts[-1], limit=1).hits[0].text == texts[-1]

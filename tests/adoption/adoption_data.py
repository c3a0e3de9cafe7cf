"""Collections of others: made by qdrant-client's own calls, with another vector and payloads of odd shapes."""

from __future__ import annotations

import copy
from uuid import UUID

import pytest
from qdrant_client import QdrantClient, models

VECTOR = "text-embedding"
UUID_OF_LAST = str(UUID(int=48))


def point(number, vector, payload, name=VECTOR):
    vectors = {"image": [number + 1.0, 2.0]} if name else {}
    if vector is not None:
        vectors[name] = vector.tolist()
    return models.PointStruct(
        id=UUID_OF_LAST if number == 47 else number, vector=vectors if name else vectors[""], payload=payload
    )


def made(client, rows, name=VECTOR):
    texts, labels, vectors = rows
    dense = models.VectorParams(size=len(vectors[0]), distance=models.Distance.COSINE)
    other = {name: dense, "image": models.VectorParams(size=2, distance=models.Distance.EUCLID)}
    client.create_collection("shop", vectors_config=other if name else dense, metadata={"owner": {"team": 7}})
    client.upsert(
        "shop",
        [
            point(i, vectors[i], {"title": texts[i], "info": {"kind": labels[i], "n": [i, 0.5]}}, name)
            for i in range(len(texts))
        ],
    )
    return client


def state_of(client, name="shop"):
    """All that there is of a collection: points with vectors and payload, description, payload indexes, neighbours."""
    info = client.get_collection(name)
    config = info.config.model_dump()
    config["params"]["sparse_vectors"] = config["params"]["sparse_vectors"] or None  # an empty map says the same
    config["metadata"] = config["metadata"] or None
    points, _ = client.scroll(name, limit=100, with_payload=True, with_vectors=True)
    found = [(one.id, copy.deepcopy(one.payload), copy.deepcopy(one.vector)) for one in points]
    return found, config, dict(info.payload_schema or {}), sorted(c.name for c in client.get_collections().collections)


def check_same(client, after, before):
    """Check that a collection is what it was: byte for byte; in local mode, which scales vectors again whenever it is
    searched, but for their last digits."""
    if isinstance(client, QdrantClient):
        for (_, _, vectors), (_, _, known) in zip(after[0], before[0], strict=True):
            assert numbers_of(vectors) == pytest.approx(numbers_of(known), rel=1e-6, abs=1e-7)
        after, before = without_vectors(after), without_vectors(before)
    assert after == before


def without_vectors(state):
    return [(key, payload, vectors and sorted(vectors)) if isinstance(vectors, dict) else (key, payload)
            for key, payload, vectors in state[0]], *state[1:]  # fmt: skip


def numbers_of(vectors):
    named = vectors if isinstance(vectors, dict) else {"": vectors}
    dense = {name: one.values if isinstance(one, models.SparseVector) else one for name, one in named.items()}
    return [number for name in sorted(dense) for number in dense[name]]

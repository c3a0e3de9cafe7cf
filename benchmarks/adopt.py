"""Adoption of a collection that is there already: seconds and bytes a point, and whether undoing leaves it as it was.

A collection is made with qdrant-client's own calls, of synthetic texts and their vectors, with payloads of odd shapes
among them. It is adopted, searched with abstention, reviewed, synced, and the adoption undone. Points with vectors and
payload, the description of the collection and the payload indexes are compared with what they were. Qdrant's local mode
scales vectors to unit length again whenever it is searched, by itself: there numbers may differ in the last place.

Usage::

    python benchmarks/adopt.py [--points 100000] [--local-points 20000] [--dimension 384]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from machine import machine
from qdrant_client import QdrantClient, models
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder

COLLECTION, VECTOR = "products", "text-embedding"
LABELS, WORDS_PER_LABEL, FILLERS = 20, 12, 60
PAGE = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--points", type=int, default=100_000, help="points in a folder of Qdrant Edge")
    parser.add_argument("--local-points", type=int, default=20_000, help="points in qdrant-client's local mode")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--learned", type=int, default=20_000, help="points that the head learns from, at most")
    parser.add_argument("--queries", type=int, default=500, help="queries to calibrate with, and as many to answer")
    parser.add_argument("--local-queries", type=int, default=200, help="the same in local mode, which is slow")
    options = parser.parse_args()
    print(json.dumps(machine("qdrant-client", "qdrant-edge-py")))
    with TemporaryDirectory() as folder:
        if options.points > 0:
            run("Edge", EdgeClient(Path(folder) / "edge"), options.points, options, Path(folder) / "edge")
    if options.local_points > 0:
        run("local mode", QdrantClient(":memory:"), options.local_points, options, None)


def run(engine: str, client: Any, points: int, options: argparse.Namespace, folder: Path | None) -> None:
    """Adopt, use and undo on one engine, and print what it took."""
    print(f"\n{engine}, {points:,} points of {options.dimension} numbers")
    model = word_model(options.dimension)
    texts, labels = corpus(points)
    with timed("made with plain calls", points):
        make(client, model, texts, labels)
    before, size = state_of(client), size_of(folder)
    encoder = FeatureGroupEncoder(model)
    learned = min(options.learned, points)
    with timed("head learned beforehand", learned):
        encoder.fit(texts[:learned], labels=labels[:learned], show_progress=False)
    how: dict[str, Any] = {"collection": COLLECTION, "vector": VECTOR, "text": "title", "label": "category"}
    how["max_learned"] = 1_000  # the head has learned
    with timed("planned", points):
        plan = ConfidenceIndex.plan_adoption(client, encoder=encoder, **how)
    print(f"  plan: {plan.bytes_per_point:,} bytes a point, {plan.seconds:.1f} s of computing")
    with timed("adopted", points):
        index = ConfidenceIndex.adopt(client, encoder=encoder, show_progress=False, **how)
    if folder is not None:
        print(f"  {(size_of(folder) - size) / points:,.0f} bytes a point more on disk, {size / points:,.0f} before")
    asked = options.queries if folder is not None else options.local_queries
    rank_by: Any = "auto" if folder is not None else "base"  # local mode takes seconds for a sparse vector
    questions, right = corpus(2 * asked, seed=1)
    questions = [text if i % 5 else f"nothing of the kind {text.split()[-1]}" for i, text in enumerate(questions)]
    known = [label if i % 5 else None for i, label in enumerate(right)]
    with timed("calibrated", asked):
        index.calibrate(questions[:asked], known[:asked], rank_by=rank_by, show_progress=False)
    with timed("searched with abstention", asked):
        found = index.search_many(
            questions[asked:], target_precision=0.9, on_uncertain="abstain", rank_by=rank_by, show_progress=False
        )
    answered = [(result, label) for result, label in zip(found, known[asked:], strict=True) if result.hits]
    hits = sum(result.hits[0].label == label for result, label in answered)
    print(f"  {len(answered):,} of {asked:,} answered, {hits / max(1, len(answered)):.1%} of them right (wanted: 90%)")
    for item in index.review(kind="ambiguous", limit=5):
        index.decide(item.id, "label", label="label 0", reviewer="benchmark")
    with timed("synced, nothing new", points):
        print(f"  {index.sync(show_progress=False)}")
    with timed("undone", points):
        ConfidenceIndex.undo_adoption(client, collection=COLLECTION, show_progress=False)
    after = state_of(client)
    for what, was in before.items():
        if was is not None:
            print(f"  {what}: {compared(was, after[what])}")
    client.close()


def word_model(dimension: int) -> SentenceTransformer:
    """A bag of random word vectors."""
    vocabulary = ["[UNK]", *(f"f{i}" for i in range(FILLERS))]
    vocabulary += [f"w{label}x{i}" for label in range(LABELS) for i in range(WORDS_PER_LABEL)]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(vocabulary), dimension)).astype(np.float32)
    weights[0] *= 0.1
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


def corpus(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of three words of a label, one of another, and three that say nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, LABELS, count)
    others = rng.integers(0, LABELS, count)
    words = rng.integers(0, WORDS_PER_LABEL, (count, 4))
    fillers = rng.integers(0, FILLERS, (count, 3))
    texts = [
        " ".join([*(f"w{a}x{i}" for i in row[:3]), f"w{b}x{row[3]}", *(f"f{i}" for i in rest)])
        for a, b, row, rest in zip(labels.tolist(), others.tolist(), words.tolist(), fillers.tolist(), strict=True)
    ]
    return texts, [f"label {label}" for label in labels.tolist()]


def make(client: Any, model: SentenceTransformer, texts: list[str], labels: list[str]) -> None:
    """Make the collection as an application would."""
    dimension = model.get_embedding_dimension() or 0
    vectors = {
        VECTOR: models.VectorParams(size=dimension, distance=models.Distance.COSINE),
        "image": models.VectorParams(size=4, distance=models.Distance.EUCLID),
    }
    client.create_collection(COLLECTION, vectors_config=vectors, metadata={"owner": "shop"})
    client.create_payload_index(COLLECTION, "category", models.PayloadSchemaType.KEYWORD)
    for start in range(0, len(texts), PAGE):
        rows = model.encode(texts[start : start + PAGE], show_progress_bar=False)
        points = []
        for i, row in enumerate(rows, start):
            payload: dict[str, Any] = {
                "title": texts[i],
                "category": labels[i],
                "price": i / 7,
                "nested": {"a": [1, i]},
            }
            if i % 97 == 0:
                payload = {"title": texts[i], "category": {"odd": True}}
            if i % 101 == 0:
                payload = {}
            vector: dict[str, Any] = {VECTOR: row.tolist(), "image": [i, 1.0, 2.0, 3.0]}
            if i % 103 == 0:
                del vector["image"]
            points.append(models.PointStruct(id=i, vector=vector, payload=payload))
        client.upsert(COLLECTION, points)


def state_of(client: Any) -> dict[str, Any]:
    """What the collection is: its points, as a digest where their vectors must not change at all, and descriptions."""
    is_local = isinstance(client, QdrantClient)
    digest, numbers, offset, count = hashlib.sha256(), [], None, 0
    while True:
        page, offset = client.scroll(COLLECTION, limit=PAGE, offset=offset, with_payload=True, with_vectors=True)
        for record in page:
            told = {"id": record.id, "payload": record.payload, "vectors": record.vector}
            if is_local:
                told["vectors"] = sorted(record.vector)
                numbers.append(np.concatenate([record.vector[name] for name in told["vectors"]]))
            digest.update(json.dumps(told, sort_keys=True).encode())
        count += len(page)
        if offset is None:
            break
    info = client.get_collection(COLLECTION)
    config = info.config.model_dump(mode="json")
    config["params"]["sparse_vectors"] = config["params"]["sparse_vectors"] or None  # an empty map says the same
    return {
        "points, payloads and names of vectors" if is_local else "points, byte for byte": (count, digest.hexdigest()),
        "numbers of vectors": np.concatenate(numbers).astype(np.float32) if numbers else None,
        "description": config,
        "payload indexes": {key: kind.data_type for key, kind in (info.payload_schema or {}).items()},
        "collections": sorted(found.name for found in client.get_collections().collections),
    }


def compared(before: Any, after: Any) -> str:
    """In words, whether something is what it was."""
    if isinstance(before, np.ndarray):
        return f"differ by {np.abs(before - after).max():.1e} at most"
    return "the same" if before == after else "CHANGED"


def size_of(folder: Path | None) -> int:
    """Bytes on disk."""
    if folder is None:
        return 0
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


@contextmanager
def timed(what: str, count: int) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds = time.perf_counter() - begin
    print(f"  {what}: {seconds:.1f} s, {seconds / count * 1e3:.3f} ms each", flush=True)


if __name__ == "__main__":
    main()

"""Rows of benchmarks/speed.py: adding and searching, beside the encoder alone and beside the engine alone.

The engine gets the vectors, and a payload of id, text, label and confidence, as somebody would write them who uses it
without fg_search. Lists of numbers are made beforehand, so that only the engine is timed.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from speed_data import Data, Row

from fg_search import ConfidenceIndex, FeatureEmbeddings
from fg_search.edge.client import EdgeClient

BATCH = 256  # texts that sentence-transformers encodes at once
POINTS = 1024  # points a write
LIMIT = 10
_QUERIES = 256  # queries a turn
_WANTED_ADD = {"cpu": {"tiny": 0.8, "minilm": 1.05}, "cuda": {"minilm": 0.9}}
_counter = itertools.count()


def rows(data: Data) -> list[Row]:
    """Adding texts and embeddings, many searches at once, and one after the other."""
    folder = Path(tempfile.mkdtemp(prefix="fg_search_speed_"))
    wanted = _WANTED_ADD.get(data.device.type, {}).get(data.model)
    found = [
        _adding_texts(data, folder, kind, wanted if kind == "short" or data.model == "tiny" else 1.0)
        for kind in data.texts
    ]
    texts = data.texts["short"]
    embeddings = data.encoder.encode(texts, show_progress=False, warn=False)
    found.append(_adding_embeddings(data, folder, texts, embeddings))
    index = ConfidenceIndex(folder / "searched", data.encoder)
    index.add(texts, embeddings=embeddings, show_progress=False)
    return [*found, *_searching(index, embeddings[: min(_QUERIES, len(texts))])]


def _adding_texts(data: Data, folder: Path, kind: str, wanted: float | None) -> Row:
    texts = data.texts[kind]
    encode = partial(data.encoder.model.encode, texts, batch_size=BATCH, show_progress_bar=False)
    return Row(
        f"add, {kind} / SentenceTransformer.encode, batch {BATCH}",
        partial(_add, data, folder, texts, None),
        encode,
        len(texts),
        wanted,
    )


def _adding_embeddings(data: Data, folder: Path, texts: list[str], embeddings: FeatureEmbeddings) -> Row:
    values, columns, starts = (part.tolist() for part in embeddings.sparse_parts())
    base, confidence = embeddings.base.tolist(), embeddings.confidence.tolist()
    points = [
        (base[i], columns[starts[i] : starts[i + 1]], values[starts[i] : starts[i + 1]],
         {"id": i, "text": text, "label": "label", "confidence": confidence[i]})
        for i, text in enumerate(texts)
    ]  # fmt: skip
    return Row(
        "add embeddings / bare upserts of Qdrant Edge",
        partial(_add, data, folder, texts, embeddings),
        partial(_upsert, data, folder, points),
        len(texts),
        0.8,
    )


def _searching(index: ConfidenceIndex, embeddings: FeatureEmbeddings) -> list[Row]:
    count = len(embeddings)
    texts = [f"query {i}" for i in range(count)]
    values, columns, starts = (part.tolist() for part in embeddings.sparse_parts())
    requests = [
        edge.QueryRequest(
            query=edge.Query.Nearest(
                edge.SparseVector(columns[starts[i] : starts[i + 1]], values[starts[i] : starts[i + 1]]),
                using="features",
            ),
            limit=LIMIT,
            with_payload=True,
        )
        for i in range(count)
    ]
    single = [embeddings[i : i + 1] for i in range(count)]
    shard = _shard(index)

    def one_by_one() -> None:
        for text, embedding in zip(texts, single, strict=True):
            index.search(text, embeddings=embedding, limit=LIMIT, rank_by="features")

    def bare() -> None:
        for request in requests:
            _read(shard.query(request))

    def bare_batch() -> None:
        for hits in shard.query_batch(edge.QueryBatchRequest(requests)):
            _read(hits)

    many = partial(index.search_many, texts, embeddings=embeddings, limit=LIMIT, rank_by="features")
    return [
        Row("search_many / query_batch of Qdrant Edge", many, bare_batch, count, 0.625),
        Row("search / query of Qdrant Edge", one_by_one, bare, count),
    ]


def _read(hits: list[edge.ScoredPoint]) -> list[Any]:
    return [(hit.id, hit.score, hit.payload) for hit in hits]


def _add(data: Data, folder: Path, texts: list[str], embeddings: FeatureEmbeddings | None) -> None:
    with ConfidenceIndex(_new(folder), data.encoder) as index:
        labels = None if embeddings is None else ["label"] * len(texts)
        index.add(texts, labels=labels, embeddings=embeddings, show_progress=False)


def _upsert(data: Data, folder: Path, points: list[tuple[Any, ...]]) -> None:
    with ConfidenceIndex(_new(folder), data.encoder) as index:
        shard = _shard(index)
        for start in range(0, len(points), POINTS):
            made = [
                edge.Point(payload["id"], {"base": base, "features": edge.SparseVector(columns, values)}, payload)
                for base, columns, values, payload in points[start : start + POINTS]
            ]
            shard.update(edge.UpdateOperation.upsert_points(made))


def _new(folder: Path) -> Path:
    """Folder of a new index; that of the turn before is removed."""
    number = next(_counter)
    shutil.rmtree(folder / str(number - 1), ignore_errors=True)
    return folder / str(number)


def _shard(index: ConfidenceIndex) -> edge.EdgeShard:
    assert isinstance(index.client, EdgeClient)  # noqa: S101
    return index.client._collection(index.collection)._open()

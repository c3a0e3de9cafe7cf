"""Latency of fg_search, of the same requests to the bare engine, of dense search, and of local mode.

Run by benchmarks/engine.py, which reads the printed JSON. The contestants take turns, so that other load on the machine
affects all of them.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
from engine_data import Data
from qdrant_client import QdrantClient, models

from fg_search import ConfidenceIndex
from fg_search.edge.client import EdgeClient
from fg_search.edge.disk_space import allocated_size
from fg_search.index.query_vectors import QueryVectors, query_vectors
from fg_search.layout.schema import BASE_VECTOR, CONFIDENCE_KEY, FEATURES_VECTOR

LIMIT = 10
CANDIDATES = 200  # points re-scored by a formula
KINDS = ("plain", "filter", "formula")
ROUNDS, QUERIES_PER_ROUND = 5, 80
SLOW_QUERIES = {"plain": 5, "filter": 1, "formula": 1}  # per round, in local mode

Search = Callable[[int], object]


class BareEngine:
    """A shard of Qdrant Edge queried directly, one request per search."""

    def __init__(self, client: EdgeClient, collection: str, vector: str, median: float) -> None:
        # the shard that the index has open: a second one could not open the same files
        self.shard = client._collection(collection)._open()
        self.vector = vector
        self.median = median

    def search(self, query: Any, kind: str) -> list[tuple[Any, float, Any]]:
        """Search as a program without fg_search would, including reading the hits."""
        nearest = edge.Query.Nearest(query, self.vector)
        if kind == "formula":
            power = edge.Expression.Pow(edge.Expression.Variable(CONFIDENCE_KEY), edge.Expression.Constant(1.0))
            formula = edge.Formula(edge.Expression.Mult([edge.Expression.Variable("$score"), power]), {})
            prefetch = edge.Prefetch(limit=CANDIDATES, query=nearest)
            request = edge.QueryRequest(limit=LIMIT, with_payload=True, query=formula, prefetches=[prefetch])
        else:
            sure = edge.FieldCondition(CONFIDENCE_KEY, range=edge.RangeFloat(gte=self.median))
            only = edge.Filter(must=[sure]) if kind == "filter" else None
            request = edge.QueryRequest(limit=LIMIT, with_payload=True, query=nearest, filter=only)
        return [(hit.id, hit.score, hit.payload) for hit in self.shard.query(request)]


def compare(work: Path, index_folder: Path, scratch: Path, points: int, median: float) -> dict[str, Any]:
    """All latencies, and the cost of building the dense contestants."""
    data = Data.load(work)
    queries = data.queries(ROUNDS * QUERIES_PER_ROUND)
    vectors = query_vectors(queries)
    facts: dict[str, Any] = {"queries": len(queries)}
    with ConfidenceIndex(index_folder, data.encoder) as index, EdgeClient(scratch) as dense:
        assert isinstance(index.client, EdgeClient)  # noqa: S101
        facts |= fill_dense(dense, data, points)
        facts["dense_disk_bytes_per_point"] = disk_bytes(scratch) / points
        local, facts["local_points_per_second"] = fill_local(data, points)
        bare = BareEngine(index.client, index.collection, FEATURES_VECTOR, median)
        base, dense_queries = BareEngine(dense, "base", BASE_VECTOR, median), [query.base.tolist() for query in vectors]
        contestants = {
            "fg_search": ours(index, queries, median),
            "bare": on_bare(bare, sparse_queries(vectors)),
            "exact": on_bare(base, dense_queries),
            "local": in_local_mode(local, queries, median),
        }
        facts["ms"] = take_turns(contestants)
        exact = [{hit[0] for hit in base.search(query, "plain")} for query in dense_queries[:QUERIES_PER_ROUND]]
        start = time.perf_counter()
        dense.optimize("base")
        facts["hnsw_seconds"] = time.perf_counter() - start
        base = BareEngine(dense, "base", BASE_VECTOR, median)
        found = [{hit[0] for hit in base.search(query, "plain")} for query in dense_queries[:QUERIES_PER_ROUND]]
        facts["hnsw_recall"] = float(np.mean([len(a & b) / LIMIT for a, b in zip(exact, found, strict=True)]))
        graph = {
            "fg_search": contestants["fg_search"],
            "hnsw": on_bare(base, dense_queries),
        }
        facts["ms_beside_hnsw"] = take_turns(graph)
    return facts


def ours(index: ConfidenceIndex, queries: Any, median: float) -> dict[str, Search]:
    """Searches through fg_search with precomputed query embeddings."""
    # separate embeddings for each kind, because an embedding caches what is computed from it
    single = {kind: [queries[i : i + 1] for i in range(len(queries))] for kind in KINDS}
    options: dict[str, dict[str, float]] = {
        "plain": {},
        "filter": {"min_confidence": median},
        "formula": {"confidence_weight": 1.0},
    }
    return {
        kind: lambda i, kind=kind, given=given: index.search(
            "query", embeddings=single[kind][i], rank_by="features", **given
        )  # type: ignore[misc,arg-type]
        for kind, given in options.items()
    }


def sparse_queries(vectors: Sequence[QueryVectors]) -> list[edge.SparseVector]:
    return [edge.SparseVector(query.features.indices, query.features.values) for query in vectors]


def on_bare(engine: BareEngine, queries: Sequence[Any]) -> dict[str, Search]:
    return {kind: lambda i, kind=kind: engine.search(queries[i], kind) for kind in KINDS}  # type: ignore[misc]


def in_local_mode(client: QdrantClient, queries: Any, median: float) -> dict[str, Search]:
    """Searches in qdrant-client's local mode, with feature groups as dense vectors."""
    dense = queries.probabilities.reshape(len(queries), -1).tolist()
    sure = models.Filter(must=[models.FieldCondition(key=CONFIDENCE_KEY, range=models.Range(gte=median))])
    power = models.PowExpression(pow=models.PowParams(base=CONFIDENCE_KEY, exponent=1.0))
    formula = models.FormulaQuery(formula=models.MultExpression(mult=["$score", power]))
    return {
        "plain": lambda i: client.query_points("features", query=dense[i], limit=LIMIT),
        "filter": lambda i: client.query_points("features", query=dense[i], query_filter=sure, limit=LIMIT),
        "formula": lambda i: client.query_points(
            "features", prefetch=models.Prefetch(query=dense[i], limit=CANDIDATES), query=formula, limit=LIMIT
        ),
    }


def fill_dense(client: EdgeClient, data: Data, points: int) -> dict[str, float]:
    """Write the same points to a collection with base embeddings, text, label and confidence only."""
    size = data.base.shape[1]
    params = models.VectorParams(size=size, distance=models.Distance.COSINE)
    client.create_collection("base", vectors_config={BASE_VECTOR: params})
    client.create_payload_index("base", CONFIDENCE_KEY, models.PayloadSchemaType.FLOAT)
    seconds = 0.0
    for chunk in data.chunks(points):
        rows, confidences = chunk.embeddings.base.tolist(), chunk.embeddings.confidence.tolist()
        batch = [
            models.PointStruct.model_construct(
                id=i,
                vector={BASE_VECTOR: row},
                payload={"text": text, "label": label, "fg": {"confidence": confidence}},
            )
            for i, row, text, label, confidence in zip(
                chunk.ids, rows, chunk.texts, chunk.labels, confidences, strict=True
            )
        ]
        start = time.perf_counter()
        client.upload_points("base", batch, batch_size=1024)
        seconds += time.perf_counter() - start
    client.get_collection("base")
    return {"dense_points_per_second": points / seconds}


def fill_local(data: Data, points: int) -> tuple[QdrantClient, float]:
    """A local-mode client with the points, and the number of points written per second."""
    warnings.filterwarnings("ignore", message="Local mode is not recommended")
    client = QdrantClient(":memory:")
    size = int(np.prod(data.queries(1).probabilities.shape[1:]))
    client.create_collection("features", vectors_config=models.VectorParams(size=size, distance=models.Distance.DOT))
    seconds = 0.0
    for chunk in data.chunks(points):
        features = chunk.embeddings.probabilities.reshape(len(chunk.ids), -1)
        payloads = [
            {"text": text, "label": label, "fg": {"confidence": confidence}}
            for text, label, confidence in zip(
                chunk.texts, chunk.labels, chunk.embeddings.confidence.tolist(), strict=True
            )
        ]
        start = time.perf_counter()
        for first in range(0, len(chunk.ids), 1024):
            rows = slice(first, first + 1024)
            client.upsert(
                "features",
                models.Batch.model_construct(
                    ids=chunk.ids[rows], vectors=features[rows].tolist(), payloads=payloads[rows]
                ),
            )
        seconds += time.perf_counter() - start
    return client, points / seconds


def take_turns(contestants: dict[str, dict[str, Search]]) -> dict[str, dict[str, float]]:
    """Median milliseconds of each contestant and kind of search.

    ``fg_search`` and ``bare`` alternate query by query, because their difference is measured. The others, which flush
    the processor's caches, take turns round by round.
    """
    for searches in contestants.values():  # warm up, with the last query
        for search in searches.values():
            search(ROUNDS * QUERIES_PER_ROUND - 1)
    names = [name for name in contestants if name not in ("fg_search", "bare")]
    pair = [name for name in ("fg_search", "bare") if name in contestants]
    seconds: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in contestants for kind in KINDS}
    for turn in range(ROUNDS):
        for kind in KINDS:
            block = range(turn * QUERIES_PER_ROUND, (turn + 1) * QUERIES_PER_ROUND)
            for i in block:
                for name in pair[:: 1 if i % 2 else -1]:
                    seconds[name, kind].append(timed(contestants[name][kind], i))
            for name in names:
                some = block[: SLOW_QUERIES[kind]] if name == "local" else block
                seconds[name, kind] += [timed(contestants[name][kind], i) for i in some]
    return {name: {kind: float(np.median(seconds[name, kind])) * 1000 for kind in KINDS} for name in contestants}


def timed(search: Search, query: int) -> float:
    start = time.perf_counter()
    search(query)
    return time.perf_counter() - start


def disk_bytes(folder: Path) -> int:
    """Size of a folder on disk without the write-ahead log, which does not grow with the points."""
    return allocated_size(folder) - sum(allocated_size(path) for path in folder.rglob("wal"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("points", type=int)
    parser.add_argument("median", type=float)
    options = parser.parse_args()
    print(json.dumps(compare(options.work, options.index, options.scratch, options.points, options.median)))


if __name__ == "__main__":
    main()

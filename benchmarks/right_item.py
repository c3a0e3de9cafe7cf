"""How often the one right item comes first, and how often one of the right label: by each way of ranking, and by BM25.

    python benchmarks/right_item.py [--data FOLDER] [--catalogue FOLDER] [--queries 500] [--seeds 3] [--json FILE]

Known-item search with simulated queries (Azzopardi, de Rijke & Balog, 2007): a query is an item's text of which a third
of the words, at least one, is left out and the rest is shuffled in its neighbourhood; the right item is the one it was
made of. The corpus is the one that comes with the package, or CLINC150 (Larson et al., 2019) in FOLDER of --data.
FOLDER of --catalogue has items.csv (sku, title, description, category) and one_right_item.jsonl (text, id), written by
people. Rankings of fg_search are asked of an index; "ranks fused" is reciprocal-rank fusion of features and base, as
Qdrant computes it.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
from machine import machine
from qdrant_client import models
from rich.console import Console
from rich.table import Table

from fg_search import ConfidenceIndex, FeatureGroupEncoder, demo
from fg_search.edge.client import EdgeClient
from fg_search.index.query_vectors import query_vectors

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LEFT_OUT = 1 / 3  # share of a text's words
LIMIT = 10
_FOUND = 100  # candidates of each ranking that is fused


@dataclass(frozen=True)
class Task:
    """Items, and queries with one right item each.

    Attributes:
        name: Name of the table.
        texts: Texts of the items; their positions are their ids.
        labels: Their labels.
        queries: Texts of the queries.
        right: Position of the right item of each query.
    """

    name: str
    texts: list[str]
    labels: list[str]
    queries: list[str]
    right: list[int]


@dataclass(frozen=True)
class Figures:
    """Figures of one ranking.

    Attributes:
        first: Share of queries whose right item comes first.
        reciprocal: Mean reciprocal rank of the right item among the first ten, 0 where it is not there.
        label: Share of queries whose first item has the right label.
    """

    first: float
    reciprocal: float
    label: float


def simulated(name: str, texts: Sequence[str], labels: Sequence[str], count: int, seed: int) -> Task:
    """Items, and queries made of some of them."""
    rng = np.random.default_rng(seed)
    distinct = {text: i for i, text in enumerate(texts)}
    long_enough = [i for text, i in distinct.items() if len(text.split()) >= 4]
    chosen = rng.permutation(long_enough)[:count].tolist()
    queries = []
    for i in chosen:
        words = texts[i].split()
        kept = sorted(rng.permutation(len(words))[max(1, round(LEFT_OUT * len(words))) :].tolist())
        places = np.array(kept) + rng.normal(scale=1.5, size=len(kept))
        queries.append(" ".join(words[kept[j]] for j in np.argsort(places)))
    return Task(name, list(texts), list(labels), queries, chosen)


def catalogue(folder: Path) -> Task:
    """The catalogue, and its queries by people."""
    with (folder / "items.csv").open(encoding="utf-8", newline="") as file:
        items = list(csv.DictReader(file))
    lines = (folder / "one_right_item.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [json.loads(line) for line in lines]
    position = {item["sku"]: i for i, item in enumerate(items)}
    texts = [f"{item['title']}. {item['description']}" for item in items]
    return Task(
        "catalogue, queries by people",
        texts,
        [item["category"] for item in items],
        [query["text"] for query in queries],
        [position[query["id"]] for query in queries],
    )


def measure(task: Task, seed: int) -> dict[str, Figures]:
    """Figures by the name of the ranking."""
    encoder = FeatureGroupEncoder(MODEL).fit(task.texts, labels=task.labels, seed=seed, show_progress=False)
    asked = encoder.encode(task.queries, show_progress=False, warn=False)
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(task.texts, ids=range(len(task.texts)), labels=task.labels, show_progress=False)

        def ranked(rank_by: Any) -> list[list[int]]:
            results = index.search_many(task.queries, embeddings=asked, limit=LIMIT, rank_by=rank_by)
            return [[int(hit.id) for hit in result.hits] for result in results]

        def fused() -> list[list[int]]:
            requests = []
            for query in query_vectors(asked):
                by_features = models.Prefetch(query=query.features, using="features", limit=_FOUND)
                by_base = models.Prefetch(query=query.base.tolist(), using="base", limit=_FOUND)
                fusion = models.FusionQuery(fusion=models.Fusion.RRF)
                requests.append(models.QueryRequest(prefetch=[by_features, by_base], query=fusion, limit=LIMIT))
            return [[int(point.id) for point in found.points] for found in _asked(index, requests)]

        rankings: dict[str, Callable[[], list[list[int]]]] = {
            "features": lambda: ranked("features"),
            "base": lambda: ranked("base"),
            "both, the default": lambda: ranked("auto"),
            "ranks fused": fused,
            "BM25": lambda: bm25(task),
        }
        return {name: figures(task, found()) for name, found in rankings.items()}


def figures(task: Task, found: Sequence[Sequence[int]]) -> Figures:
    """Figures of what a ranking found for each query."""
    places = [
        list(hits).index(right) + 1 if right in hits else 0 for hits, right in zip(found, task.right, strict=True)
    ]
    labels = [
        bool(hits) and task.labels[hits[0]] == task.labels[right] for hits, right in zip(found, task.right, strict=True)
    ]
    return Figures(
        float(np.mean([place == 1 for place in places])),
        float(np.mean([1 / place if place else 0.0 for place in places])),
        float(np.mean(labels)),
    )


def bm25(task: Task) -> list[list[int]]:
    """Items by BM25, as the engine computes it."""
    model = edge.Bm25(edge.Bm25Config(avg_len=float(np.mean([len(text.split()) for text in task.texts]))))
    with tempfile.TemporaryDirectory() as folder, EdgeClient(folder) as client:
        params = models.SparseVectorParams(modifier=models.Modifier.IDF)
        client.create_collection("items", vectors_config={}, sparse_vectors_config={"bm25": params})
        client.upsert(
            "items",
            [
                models.PointStruct(id=i, vector={"bm25": _sparse(model.embed_document(text))})
                for i, text in enumerate(task.texts)
            ],
        )
        requests = [
            models.QueryRequest(query=_sparse(model.embed_query(text)), using="bm25", limit=LIMIT)
            for text in task.queries
        ]
        return [[int(point.id) for point in found.points] for found in client.query_batch_points("items", requests)]


def _sparse(vector: edge.SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _asked(index: ConfidenceIndex, requests: list[models.QueryRequest]) -> list[Any]:
    client: Any = index.client
    found: list[Any] = client.query_batch_points(index.collection, requests)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of CLINC150; by default the shipped corpus")
    parser.add_argument("--catalogue", type=Path, help="folder of a catalogue with judged queries")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.data is None:
        name, rows = "the shipped corpus", demo.corpus()
    else:
        lines = (options.data / "train.jsonl").read_text(encoding="utf-8").splitlines()
        name, rows = "CLINC150", [json.loads(line) for line in lines]
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    by_task: dict[str, list[dict[str, Figures]]] = {}
    for seed in range(options.seeds):
        tasks = [simulated(f"{name}, simulated queries", texts, labels, options.queries, seed)]
        tasks += [] if options.catalogue is None else [catalogue(options.catalogue)]
        for task in tasks:
            by_task.setdefault(task.name, []).append(measure(task, seed))
    for task_name, runs in by_task.items():
        table = Table(
            "ranking",
            "right item first",
            "MRR@10",
            "right label first",
            title=f"{task_name}, mean of {len(runs)} seeds",
        )
        for ranking in runs[0]:
            row = [np.mean([getattr(run[ranking], key) for run in runs]) for key in ("first", "reciprocal", "label")]
            table.add_row(ranking, *(f"{value:.3f}" for value in row))
        Console(width=110).print(table)
    where = machine("qdrant-edge-py") | {"command": "python " + " ".join(sys.argv)}
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    if options.json:
        rows_of = {
            name: [{key: asdict(one) for key, one in run.items()} for run in runs] for name, runs in by_task.items()
        }
        options.json.write_text(json.dumps({"machine": where, "tasks": rows_of}, indent=2))


if __name__ == "__main__":
    main()

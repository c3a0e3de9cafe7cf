"""Rate of adding: texts compared with encoding alone, embeddings compared with bare upserts of the same points.

Run by benchmarks/engine.py, which reads the printed JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import qdrant_edge as edge
from engine_data import Chunk, Data

from fg_search import ConfidenceIndex
from fg_search.edge.client import EdgeClient
from fg_search.index.ingestion import ITEMS_PER_WRITE
from fg_search.layout.item_input import checked_items
from fg_search.layout.points import to_points

POINTS, POINT_ROUNDS = 3 * 8192, 5
TEXTS, TEXT_ROUNDS = 7168, 2


def add_embeddings(data: Data, scratch: Path) -> dict[str, float]:
    """Points per second through fg_search and to the bare engine; preparing lists for the latter is not timed."""
    chunks = list(data.chunks(POINTS))

    def ours(index: ConfidenceIndex) -> float:
        return sum(_seconds(partial(_add, index, chunk)) for chunk in chunks)

    def bare(index: ConfidenceIndex) -> float:
        assert isinstance(index.client, EdgeClient)  # noqa: S101
        shard = index.client._collection(index.collection)._open()
        seconds = 0.0
        for chunk in chunks:
            items = list(checked_items(chunk.texts, chunk.ids, chunk.labels, None))
            rows = [
                (point.id, point.vector["base"], point.vector["features"], point.payload)  # type: ignore[index,call-overload]
                for point in to_points(items, chunk.embeddings, index.metadata)
            ]
            for start in range(0, len(rows), ITEMS_PER_WRITE):
                seconds += _seconds(partial(_upsert, shard, rows[start : start + ITEMS_PER_WRITE]))
        return seconds

    times = _rounds(data, scratch, {"ours": ours, "bare": bare}, POINT_ROUNDS)
    return {
        "embeddings_per_second": POINTS / float(np.median(times["ours"])),
        "bare_points_per_second": POINTS / float(np.median(times["bare"])),
        "embeddings_over_bare": float(np.median(np.array(times["bare"]) / times["ours"])),
    }


def add_texts(data: Data, scratch: Path) -> dict[str, float]:
    """Texts per second: added, only encoded by fg_search, and only encoded by sentence-transformers.

    Each round uses different texts.
    """
    texts = list(dict.fromkeys(data.texts))
    order = np.random.default_rng(0).permutation(len(texts))
    per_round = min(TEXTS, len(texts) // TEXT_ROUNDS)
    parts = [[texts[i] for i in order[k * per_round : (k + 1) * per_round]] for k in range(TEXT_ROUNDS)]
    data.encoder.encode(parts[0][:128], show_progress=False)  # warm up
    turns = {"ours": iter(parts), "alone": iter(parts), "plain": iter(parts)}

    def ours(index: ConfidenceIndex) -> float:
        part = next(turns["ours"])
        return _seconds(lambda: index.add(part, show_progress=False))

    def alone(_: ConfidenceIndex) -> float:
        part = next(turns["alone"])
        return _seconds(lambda: data.encoder.encode(part, show_progress=False))

    def plain(_: ConfidenceIndex) -> float:
        part = next(turns["plain"])
        return _seconds(lambda: data.encoder.model.encode(part, batch_size=64, show_progress_bar=False))

    times = _rounds(data, scratch, {"ours": ours, "alone": alone, "plain": plain}, TEXT_ROUNDS)
    return {
        "texts_per_second": per_round / float(np.median(times["ours"])),
        "encoded_per_second": per_round / float(np.median(times["alone"])),
        "sentence_transformers_per_second": per_round / float(np.median(times["plain"])),
        "texts_over_encoding": float(np.median(np.array(times["alone"]) / times["ours"])),
        "texts_over_sentence_transformers": float(np.median(np.array(times["plain"]) / times["ours"])),
    }


def _rounds(
    data: Data, scratch: Path, contestants: dict[str, Callable[[ConfidenceIndex], float]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each contestant per round, each with a new index; the order alternates."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds):
        for name in list(contestants)[:: 1 if turn % 2 else -1]:
            with ConfidenceIndex(scratch, data.encoder, collection=f"{'_'.join(contestants)}{turn}{name}") as index:
                times[name].append(contestants[name](index))
    return times


def _add(index: ConfidenceIndex, chunk: Chunk) -> None:
    index.add(chunk.texts, ids=chunk.ids, labels=chunk.labels, embeddings=chunk.embeddings)


def _upsert(shard: edge.EdgeShard, rows: list[tuple]) -> None:  # type: ignore[type-arg]
    points = [
        edge.Point(i, {"base": base, "features": edge.SparseVector(features.indices, features.values)}, payload)
        for i, base, features, payload in rows
    ]
    shard.update(edge.UpdateOperation.upsert_points(points))


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("what", choices=("texts", "embeddings"))
    options = parser.parse_args()
    measure = add_texts if options.what == "texts" else add_embeddings
    print(json.dumps(measure(Data.load(options.work), options.scratch)))


if __name__ == "__main__":
    main()

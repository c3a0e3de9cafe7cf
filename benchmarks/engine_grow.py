"""Grow an index in a separate process and measure rate, peak memory, size on disk and latency.

Run by benchmarks/engine.py, which reads the printed JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from engine_data import Data

from fg_search import ConfidenceIndex
from fg_search.edge.disk_space import allocated_size
from fg_search.layout.schema import IndexSettings

QUERIES = 300


def grow(work: Path, folder: Path, points: int, *, has_base: bool) -> dict[str, float]:
    """Create the index and measure it."""
    data = Data.load(work)
    start_memory = peak_memory()
    with ConfidenceIndex(
        folder, data.encoder, settings=IndexSettings(base_vectors="float32" if has_base else "none")
    ) as index:
        seconds = 0.0
        confidences = []
        for chunk in data.chunks(points):
            start = time.perf_counter()
            index.add(chunk.texts, ids=chunk.ids, labels=chunk.labels, embeddings=chunk.embeddings)
            seconds += time.perf_counter() - start
            confidences.append(chunk.embeddings.confidence)
        memory = peak_memory()
        median = float(np.median(np.concatenate(confidences)))
        searches: dict[str, dict[str, Any]] = {
            "plain": {"rank_by": "features"},
            "filter": {"rank_by": "features", "min_confidence": median},
            "formula": {"rank_by": "features", "confidence_weight": 1.0},
        }
        if has_base:
            searches["both"] = {"rank_by": "both"}
        latency = {name: _p50(index, data, **options) for name, options in searches.items()}
    log = sum(allocated_size(path) for path in folder.rglob("wal"))
    return {
        "points": points,
        "points_per_second": points / seconds,
        "peak_bytes": memory,
        "peak_bytes_before": start_memory,
        "disk_bytes_per_point": (allocated_size(folder) - log) / points,
        "log_bytes": log,
        "median_confidence": median,
        **{f"{name}_ms": value for name, value in latency.items()},
    }


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _p50(index: ConfidenceIndex, data: Data, **options: Any) -> float:
    queries = data.queries(QUERIES)
    seconds = []
    for i in range(len(queries)):
        start = time.perf_counter()
        index.search("query", embeddings=queries[i : i + 1], **options)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("points", type=int)
    parser.add_argument("--features-alone", action="store_true")
    options = parser.parse_args()
    print(json.dumps(grow(options.work, options.folder, options.points, has_base=not options.features_alone)))


if __name__ == "__main__":
    main()

"""What the settings of an index cost and save: number types of base vectors and features, and graphs of base vectors.

Run by benchmarks/engine.py, which reads the printed JSON. Each index is measured as it was filled, and again after
`index.optimize()`. The first hits are compared with those of the first index as it was filled: the same item, and the
same label.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from engine_data import Data

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.edge.disk_space import allocated_size

QUERIES = 300
RANKINGS: tuple[Literal["features", "both", "base"], ...] = ("features", "both", "base")
SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {},
    "features float16": {"feature_vectors": "float16"},
    "features uint8": {"feature_vectors": "uint8"},
    "features on disk": {"features_on_disk": True},
    "base float16": {"base_vectors": "float16"},
    "base scalar": {"quantization": "scalar"},
}


def measure(work: Path, folder: Path, points: int) -> list[dict[str, Any]]:
    """Figures of each index, before and after it is optimized."""
    data = Data.load(work)
    rows: list[dict[str, Any]] = []
    expected: dict[str, list[tuple[Any, Any]]] = {}
    for name, settings in SETTINGS.items():
        shutil.rmtree(folder, ignore_errors=True)
        with ConfidenceIndex(folder, data.encoder, settings=IndexSettings(**settings)) as index:
            for chunk in data.chunks(points):
                index.add(chunk.texts, ids=chunk.ids, labels=chunk.labels, embeddings=chunk.embeddings)
        for is_optimized in (False, True):
            seconds = 0.0
            if is_optimized:
                start = time.perf_counter()
                with ConfidenceIndex(folder, data.encoder) as index:
                    index.optimize()
                seconds = time.perf_counter() - start
            row: dict[str, Any] = {"settings": name, "optimized": is_optimized, "seconds": seconds}
            with ConfidenceIndex(folder, data.encoder) as index:
                for ranking in RANKINGS:
                    start = time.perf_counter()
                    first = _first_hits(index, data, ranking)
                    row[f"{ranking}_ms"] = (time.perf_counter() - start) / QUERIES * 1000
                    pairs = list(zip(first, expected.setdefault(ranking, first), strict=True))
                    row[f"{ranking}_item"] = float(np.mean([found[0] == wanted[0] for found, wanted in pairs]))
                    row[f"{ranking}_label"] = float(np.mean([found[1] == wanted[1] for found, wanted in pairs]))
            log = sum(allocated_size(path) for path in folder.rglob("wal"))
            row["bytes"] = (allocated_size(folder) - log) / points
            row["index_bytes"] = sum(path.stat().st_size for path in folder.rglob("inverted_index.dat")) / points
            rows.append(row)
    shutil.rmtree(folder)
    return rows


def _first_hits(
    index: ConfidenceIndex, data: Data, ranking: Literal["features", "both", "base"]
) -> list[tuple[Any, Any]]:
    queries = data.queries(QUERIES)
    found = [index.search("query", embeddings=queries[i : i + 1], rank_by=ranking).hits[0] for i in range(QUERIES)]
    return [(hit.id, hit.label) for hit in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("points", type=int)
    options = parser.parse_args()
    print(json.dumps(measure(options.work, options.folder, options.points)))


if __name__ == "__main__":
    main()

"""What the settings of an index cost and save: number types of base vectors and features, and graphs of base vectors.

Run by benchmarks/engine.py, which reads the printed JSON. Each index is measured as it is filled, and again after
`index.optimize()`; overlap and first hits are compared with those of the first index as it was filled.
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

QUERIES, LIMIT = 300, 10
RANKINGS: tuple[Literal["features", "base"], ...] = ("features", "base")
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
    queries = data.queries(QUERIES)
    rows: list[dict[str, Any]] = []
    first: dict[str, list[list[Any]]] = {}
    for name, settings in SETTINGS.items():
        shutil.rmtree(folder, ignore_errors=True)
        with ConfidenceIndex(folder, data.encoder, settings=IndexSettings(**settings)) as index:
            for chunk in data.chunks(points):
                index.add(chunk.texts, ids=chunk.ids, labels=chunk.labels, embeddings=chunk.embeddings)
            for is_optimized in (False, True):
                start = time.perf_counter()
                if is_optimized:
                    index.optimize()
                row: dict[str, Any] = {"settings": name, "optimized": is_optimized}
                row["seconds"] = time.perf_counter() - start
                for ranking in RANKINGS:
                    start = time.perf_counter()
                    found = [
                        index.search("query", embeddings=queries[i : i + 1], rank_by=ranking, limit=LIMIT).hits
                        for i in range(QUERIES)
                    ]
                    row[f"{ranking}_ms"] = (time.perf_counter() - start) / QUERIES * 1000
                    ids = [[hit.id for hit in hits] for hits in found]
                    expected = first.setdefault(ranking, ids)
                    pairs = list(zip(ids, expected, strict=True))
                    row[f"{ranking}_overlap"] = float(np.mean([len({*a} & {*b}) / LIMIT for a, b in pairs]))
                    row[f"{ranking}_first"] = float(np.mean([a[0] == b[0] for a, b in pairs]))
                row["index_bytes"] = _size(folder, "inverted_index*") / points
                row["bytes"] = (allocated_size(folder) - _size(folder, "wal")) / points
                rows.append(row)
    shutil.rmtree(folder)
    return rows


def _size(folder: Path, pattern: str) -> int:
    return sum(allocated_size(path) for path in folder.rglob(pattern))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("points", type=int)
    options = parser.parse_args()
    print(json.dumps(measure(options.work, options.folder, options.points)))


if __name__ == "__main__":
    main()

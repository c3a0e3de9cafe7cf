"""Any number of points and queries for benchmarks/engine.py, generated from real encoder outputs.

The texts are encoded once and a head is fitted on them. A point is one of these base embeddings plus noise, with a
cosine of about 0.82 to the original, and the head's output for it; its group confidences are then similar to those of
texts that the head was not fitted on. Base vectors, distributions and confidences thus resemble real data at any number
of points. Queries are real and unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fg_search import FeatureEmbeddings, FeatureGroupEncoder, demo
from fg_search.arrays import unit_rows

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
CHUNK = 8192
_NOISE = 0.7  # length of the noise vector, relative to the embedding
_ENCODER, _BASE, _TEXTS = "encoder", "base.npz", "texts.json"


@dataclass(frozen=True)
class Chunk:
    """A batch of consecutive points."""

    ids: list[int]
    texts: list[str]
    labels: list[str]
    embeddings: FeatureEmbeddings


@dataclass(frozen=True)
class Data:
    """Source of points and queries."""

    encoder: FeatureGroupEncoder
    base: np.ndarray
    texts: list[str]
    labels: list[str]
    query_base: np.ndarray

    @classmethod
    def load(cls, work: Path) -> Data:
        """Read a folder written by :func:`prepare`."""
        arrays, rows = np.load(work / _BASE), json.loads((work / _TEXTS).read_text(encoding="utf-8"))
        encoder = FeatureGroupEncoder.load(work / _ENCODER)
        return cls(encoder, arrays["base"], rows["texts"], rows["labels"], arrays["queries"])

    def queries(self, count: int) -> FeatureEmbeddings:
        """The first ``count`` queries; they repeat if there are fewer."""
        return self.encoder.features(self.query_base[np.arange(count) % len(self.query_base)])

    def chunks(self, points: int, seed: int = 0) -> Iterator[Chunk]:
        """Generate points, one chunk in memory at a time."""
        rng = np.random.default_rng(seed)
        units = unit_rows(self.base)
        for start in range(0, points, CHUNK):
            ids = list(range(start, min(start + CHUNK, points)))
            rows = rng.integers(len(units), size=len(ids))
            step = rng.normal(scale=_NOISE / units.shape[1] ** 0.5, size=(len(ids), units.shape[1]))
            moved = unit_rows((units[rows] + step).astype(np.float32))
            texts = [f"{self.texts[row]} ({i})" for i, row in zip(ids, rows, strict=True)]
            labels = [self.labels[row] for row in rows]
            yield Chunk(ids, texts, labels, self.encoder.features(moved))


def prepare(work: Path, data: Path | None, seed: int) -> None:
    """Encode the texts, fit an encoder and write both to a folder, unless that was done before.

    Args:
        work: Folder to write.
        data: Folder of CLINC150; by default the corpus shipped with the package.
        seed: Random seed of the head and of the choice of queries.
    """
    if (work / _BASE).exists():
        return
    points, queries = _shipped() if data is None else _clinc150(data)
    encoder = FeatureGroupEncoder(MODEL)
    texts, labels = [row["text"] for row in points], [row["label"] for row in points]
    base = encoder.embed(texts)
    encoder.fit(texts, labels=labels, vectors=base, seed=seed).save(work / _ENCODER)
    chosen = np.random.default_rng(seed).permutation(len(queries))[:2000]
    (work / _TEXTS).write_text(json.dumps({"texts": texts, "labels": labels}), encoding="utf-8")
    np.savez(work / _BASE, base=base, queries=encoder.embed([queries[i]["text"] for i in chosen]))


def _shipped() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return demo.corpus(), demo.queries()


def _clinc150(data: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return _rows(data, "train", "val"), _rows(data, "test", "oos_test")


def _rows(data: Path, *names: str) -> list[dict[str, Any]]:
    lines = [line for name in names for line in (data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines]

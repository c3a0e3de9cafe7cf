"""The corpus that comes with the package: support questions to an outdoor shop on 24 topics."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np


def corpus() -> list[dict[str, Any]]:
    """384 questions to index: ``{"id", "text", "label"}``; some are ambiguous between two topics."""
    return _read("corpus.jsonl")


def with_wrong_labels(count: int) -> list[dict[str, Any]]:
    """The corpus with ``count`` wrong labels, always on the same questions."""
    rows, rng = corpus(), np.random.default_rng(0)
    labels = sorted({row["label"] for row in rows})
    for i in rng.choice(len(rows), count, replace=False):
        rows[i]["label"] = str(rng.choice([label for label in labels if label != rows[i]["label"]]))
    return rows


def queries() -> list[dict[str, Any]]:
    """200 held-out questions: ``{"id", "text", "label", "kind", "also"}``.

    ``kind`` is ``"clear"``, ``"ambiguous"`` (``also`` lists further topics that would be right) or
    ``"out_of_scope"`` (nothing in the corpus answers it; ``label`` is ``None``).
    """
    return _read("queries.jsonl")


def right_labels(query: dict[str, Any]) -> list[str]:
    """The right labels of one of :func:`queries`; empty if it is out of scope."""
    return [] if query["label"] is None else [query["label"], *query["also"]]


def _read(name: str) -> list[dict[str, Any]]:
    text = (files(__package__) / "data" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]

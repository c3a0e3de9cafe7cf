"""Whether wrong labels stand out on the page's map, by how much the features count beside the base embeddings.

    python benchmarks/map_places.py [--draws 5] [--json FILE]

Of the corpus that comes with the package, 5 % of the labels are made wrong, others in each draw, and a head learns them
all. The items are laid out by their base embeddings, of length 1, beside their features times a share. An item stands
out if most of the ten items nearest to it on the map have another label. All wrong ones should, and no right one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from machine import machine
from rich.console import Console
from rich.table import Table

from fg_search import FeatureGroupEncoder, demo
from fg_search.arrays import unit_rows
from fg_search.model.projection import lay_out

SHARES = (0.0, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)
WRONG, NEAREST = 0.05, 10


def stand_out(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether most of the items nearest to each of n items have another label, ``(n,)``."""
    away = np.square(places[:, None] - places[None]).sum(axis=2)
    np.fill_diagonal(away, np.inf)
    nearest = np.argsort(away, axis=1)[:, :NEAREST]
    return (labels[nearest] != labels[:, None]).mean(axis=1) > 1 / 2


def draw(encoder: FeatureGroupEncoder, texts: list[str], right: np.ndarray, seed: int) -> np.ndarray:
    """Shares of the wrong and of the right labels that stand out, for each of :data:`SHARES`: ``(s, 2)``."""
    rng, names = np.random.default_rng(seed), np.unique(right)
    labels = right.copy()
    for row in rng.choice(len(right), round(WRONG * len(right)), replace=False):
        labels[row] = rng.choice(names[names != right[row]])
    embedded = encoder.fit(texts, labels=labels.tolist(), seed=seed).encode(texts)
    base = unit_rows(embedded.base)
    features = embedded.probabilities.reshape(len(texts), -1) / np.sqrt(embedded.groups)
    found, is_wrong = [], labels != right
    for share in SHARES:
        out = stand_out(lay_out(np.hstack([base, np.float32(share) * features])).layout, labels)
        found.append((out[is_wrong].mean(), out[~is_wrong].mean()))
    return np.array(found)


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = demo.corpus()
    texts, right = [row["text"] for row in rows], np.array([row["label"] for row in rows])
    encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
    means = np.mean([draw(encoder, texts, right, seed) for seed in range(options.draws)], axis=0)
    table = Table("share of the features", "wrong labels that stand out", "right ones")
    for share, (wrong, others) in zip(SHARES, means, strict=True):
        table.add_row(f"{share:g}", f"{wrong:.0%}", f"{others:.0%}")
    console = Console()
    console.print(machine())
    console.print(table)
    if options.json:
        figures = {str(share): pair for share, pair in zip(SHARES, means.tolist(), strict=True)}
        options.json.write_text(json.dumps({"machine": machine(), "stand out: wrong, right": figures}, indent=1))


if __name__ == "__main__":
    main()

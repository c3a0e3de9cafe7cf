"""Do the labels that an uncertain query is asked about hold the right one, and how many are they?

    python benchmarks/label_sets.py --data FOLDER [--curekart FOLDER] [--draws 100] [--split report]
        [--queries 1000] [--evidence FILE] [--json FILE]

The sets are those of quality_sets.py: CLINC150 (also with ten and five examples an intent), CLINC150 with a third of
the intents left out, HINT3 Curekart. Each is indexed. A draw calibrates on some of its queries, half of them at most,
and asks the others: those below the threshold for the target precision are uncertain and get a set of labels. Compared
are, for the same uncertain queries and at the same share of misses,

* posterior: what `on_uncertain="clarify"` does: confidence times the head's posterior, relative to its largest;
* votes, both: the same with the votes of the hits, or with the mean of posterior and votes;
* apart: half of the misses for queries that most likely have no answer, half for labels by their posterior;
* adaptive: the same with the labels taken in order until enough posterior is reached (Romano, Sesia & Candès, 2020;
  with the penalty of large sets of Angelopoulos et al., 2021).

Printed are means over the draws: how many answerable queries of those that get a set have the right label in it
(coverage; and that of the draw at the lowest tenth), the sizes of the sets, how many are empty, have one label,
several, or more than ten, which are too many to ask about, and how many of the uncertain queries without an answer get
an empty set. The method was chosen with --split choose.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fg_search.confidence.label_sets import label_cutoff, label_weights
from fg_search.confidence.promise import PrecisionPromise

TARGETS = (0.9, 0.95, 0.98)
MISSES = (0.05, 0.1, 0.2)
METHODS = ("posterior", "votes", "both", "apart", "adaptive")
FIGURES = {"coverage": "coverage", "low": "lowest tenth", "size": "labels", "none": "none", "one": "one",
           "several": "2 to 10", "many": "more", "rejected": "none, unanswerable"}  # fmt: skip
_MOST = 10
_FREE = 2  # labels of an adaptive set without a penalty
_PENALTY = 0.01


@dataclass(frozen=True)
class Population:
    """Evidence of the n queries of a set: features by name, what is right, and how probable the L labels are.

    Attributes:
        features: ``(n,)`` features by name.
        correct: ``(n,)`` whether the first hit is right.
        right: ``(n,)`` column of the right label, -1 without an answer.
        posterior: ``(n, L)`` posterior of the head.
        votes: ``(n, L)`` votes of the hits.
    """

    features: dict[str, np.ndarray]
    correct: np.ndarray
    right: np.ndarray
    posterior: np.ndarray
    votes: np.ndarray

    def rows(self, rows: np.ndarray) -> Population:
        """Some of the queries."""
        features = {name: values[rows] for name, values in self.features.items()}
        return Population(features, self.correct[rows], self.right[rows], self.posterior[rows], self.votes[rows])

    @property
    def answerable(self) -> np.ndarray:
        """Whether each query has an answer."""
        return self.right >= 0

    def weights(self, method: str) -> np.ndarray:
        """``(n, L)`` relative weights of the labels."""
        voted = label_weights(self.posterior[:, :0], self.votes)
        if method == "votes":
            return voted
        if method == "posterior":
            return label_weights(self.posterior, self.votes)
        mean = self.posterior + voted / voted.sum(axis=1, keepdims=True)
        return mean / mean.max(axis=1, keepdims=True)

    def of_right(self, values: np.ndarray) -> np.ndarray:
        """Entry ``(n,)`` of the right label of ``(n, L)`` values."""
        return values[np.arange(len(self.right)), self.right]


def one_draw(population: Population, rng: np.random.Generator, count: int) -> list[tuple[tuple[Any, ...], list[float]]]:
    """Figures by method, target and share of misses."""
    order = rng.permutation(len(population.right))
    known, new = population.rows(order[:count]), population.rows(order[count:])
    numbered = np.arange(count)  # in place of weights, to find the judged queries again: they are kept in another order
    promise = PrecisionPromise.learn(known.features, known.correct, known.answerable, right_label=numbered)
    known = known.rows(np.asarray(promise.judged.right_label, dtype=np.int64))
    learned, asked = promise.judged_confidence(), promise.confidence(new.features)
    by_others, evidence = promise.judged.evidence, promise.model.evidence(new.features)
    found = []
    for target in TARGETS:
        least = promise.threshold(target).threshold
        old, unsure = (np.ones(len(c), dtype=bool) if least is None else c < least for c in (learned, asked))
        if not (old & known.answerable).any() or not (unsure & new.answerable).any():
            continue
        sides = known.rows(old & known.answerable), new.rows(unsure)
        confident = learned[old & known.answerable], asked[unsure]
        sure = by_others.answerable[old & known.answerable], evidence.answerable[unsure]
        for miss in MISSES:
            for method in METHODS:
                if method in ("both", "posterior", "votes"):
                    chosen = _product(sides, confident, method, miss)
                else:
                    chosen = _apart(sides, sure, method, miss)
                if chosen is not None:
                    found.append(((method, target, miss), _figures(sides[1], chosen)))
    return found


def _product(
    sides: tuple[Population, Population], confident: tuple[np.ndarray, np.ndarray], method: str, miss: float
) -> np.ndarray | None:
    probable = [side.weights(method) * sure[:, None] for side, sure in zip(sides, confident, strict=True)]
    cutoff = label_cutoff(sides[0].of_right(probable[0]), miss).cutoff
    return None if cutoff is None else probable[1] >= cutoff


def _apart(
    sides: tuple[Population, Population], sure: tuple[np.ndarray, np.ndarray], method: str, miss: float
) -> np.ndarray | None:
    probable = [_left(side.posterior) if method == "adaptive" else side.posterior for side in sides]
    cutoff = label_cutoff(sides[0].of_right(probable[0]), miss / 2).cutoff
    rank = int(np.floor(miss / 2 * (len(sure[0]) + 1) + 1e-9))
    if cutoff is None or not rank:
        return None
    return (probable[1] >= cutoff) & (sure[1] >= np.sort(sure[0])[rank - 1])[:, None]


def _left(posterior: np.ndarray) -> np.ndarray:
    """One minus the posterior of the labels before each, and the penalty of its place, made positive."""
    order = np.argsort(-posterior, axis=1)
    ordered = np.take_along_axis(posterior, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    penalty = _PENALTY * np.maximum(np.arange(posterior.shape[1]) - _FREE, 0)
    left = np.empty_like(posterior)
    np.put_along_axis(left, order, 1 / (1 + before + penalty), axis=1)
    return left


def _figures(new: Population, chosen: np.ndarray) -> list[float]:
    size, yes = chosen.sum(axis=1), new.answerable
    held = (new.of_right(chosen) & yes)[yes]
    one, many = size == 1, size > _MOST
    rejected = float((size[~yes] == 0).mean()) if (~yes).any() else float("nan")
    shares = [float(kind[yes].mean()) for kind in (size == 0, one, (size > 1) & ~many, many)]
    return [float(held.mean()), float(size[yes].mean()), *shares, rejected]


def run(populations: dict[str, Population], count: int, draws: int) -> list[dict[str, Any]]:
    """Mean figures of every set, method, target and share of misses."""
    lines = []
    for name, population in populations.items():
        groups: dict[tuple[Any, ...], list[list[float]]] = {}
        for seed in range(draws):
            drawn = one_draw(population, np.random.default_rng(seed), min(count, len(population.right) // 2))
            for key, figures in drawn:
                groups.setdefault(key, []).append(figures)
        for (method, target, miss), rows in groups.items():
            coverage, *others = np.mean(rows, axis=0).tolist()
            low = float(np.quantile([figures[0] for figures in rows], 0.1))
            means = dict(zip(FIGURES, (coverage, low, *others), strict=True))
            lines.append({"set": name, "method": method, "target": target, "miss": miss, "draws": len(rows), **means})
    return lines


def show(lines: list[dict[str, Any]]) -> None:
    """One table for each set."""
    for name in dict.fromkeys(line["set"] for line in lines):
        table = Table("target", "miss", "method", "draws", *FIGURES.values(), title=name)
        for line in sorted(
            (line for line in lines if line["set"] == name),
            key=lambda line: (line["target"], line["miss"], METHODS.index(line["method"])),
        ):
            cells = [f"{line[key]:.2f}" if key == "size" else f"{line[key]:.3f}" for key in FIGURES]
            start = [f"{line['target']:.0%}", f"{line['miss']:.0%}", line["method"], str(line["draws"])]
            table.add_row(*start, *cells, end_section=line["method"] == METHODS[-1])
        Console(width=150).print(table)


def populations_of(options: argparse.Namespace) -> dict[str, Population]:
    """Index every set and collect the evidence of its queries, or read it where an earlier run kept it."""
    if options.evidence is not None and options.evidence.exists():
        read: dict[str, dict[str, np.ndarray]] = {}
        with np.load(options.evidence) as arrays:
            for entry in arrays:
                name, key = entry.split("|")
                read.setdefault(name, {})[key] = arrays[entry]
        parts = ("correct", "right", "posterior", "votes")
        return {
            name: Population(
                features={key: values for key, values in found.items() if key not in parts},
                **{key: found[key] for key in parts},
            )
            for name, found in read.items()
        }
    kept = _collect(options)
    if options.evidence is not None:
        arrays = {
            f"{name}|{key}": values
            for name, one in kept.items()
            for key, values in {**vars(one), **one.features}.items()
            if key != "features"
        }
        np.savez_compressed(options.evidence, **arrays)
    return kept


def _collect(options: argparse.Namespace) -> dict[str, Population]:
    import quality_sets

    from fg_search import ConfidenceIndex, FeatureGroupEncoder
    from fg_search.confidence import EVIDENCE_HITS

    encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
    corpora = quality_sets.Corpora(encoder, options.data, options.curekart)
    found = {}
    for queries in corpora.sets(0):
        train, asked = queries.train, getattr(queries, options.split)
        encoder.fit(train.texts, labels=train.labels.tolist(), vectors=train.base, seed=0, show_progress=False)
        embeddings, known = encoder.features(asked.base), encoder.features(train.base)
        with tempfile.TemporaryDirectory() as folder, ConfidenceIndex(Path(folder) / "index", encoder) as index:
            index.add(train.texts, labels=train.labels.tolist(), embeddings=known, show_progress=False)
            hits, features = index._find(partial(_evidence, asked.texts, embeddings))  # what calibrate() learns from
        codebook = encoder.codebook
        columns = {label: column for column, label in enumerate(codebook.labels)}
        votes = np.zeros((len(hits), len(columns)), dtype=np.float32)
        for row, best in enumerate(hits):
            for hit in best[:EVIDENCE_HITS]:
                votes[row, columns[hit.label]] += max(hit.ranking_score, 0)
        posterior = codebook.decode(embeddings.probabilities).astype(np.float32)
        correct = np.array([best[0].label for best in hits]) == asked.labels
        right = np.array([columns.get(label, -1) for label in asked.labels.tolist()])
        print(f"{queries.name}: R@1 {correct[right >= 0].mean():.4f}", flush=True)
        found[queries.name] = Population(features, correct, right, posterior, votes)
    return found


async def _evidence(texts: list[str], embeddings: Any, state: Any) -> Any:
    from fg_search.index.query_vectors import encode_queries
    from fg_search.index.result_evidence import evidence
    from fg_search.index.search_options import SearchOptions

    encoded = await encode_queries(state, texts, embeddings, batch_size=None)
    return await evidence(state, encoded, SearchOptions(), "label")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of CLINC150")
    parser.add_argument("--curekart", type=Path, help="folder of HINT3 Curekart")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--queries", type=int, default=1000, help="to calibrate on, at most half of them all")
    parser.add_argument("--split", choices=("choose", "report"), default="report")
    parser.add_argument("--evidence", type=Path, help="file that keeps the evidence")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = run(populations_of(options), options.queries, options.draws)
    show(lines)
    if options.json is not None:
        options.json.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

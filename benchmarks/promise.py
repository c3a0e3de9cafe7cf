"""Does a promised precision hold when more queries have no answer than were calibrated on?

    python benchmarks/promise.py --data FOLDER [--curekart FOLDER] [--draws 500] [--jobs 2] [--split report]
        [--queries 1000] [--evidence FILE] [--json FILE]
    python benchmarks/promise.py --data FOLDER [--curekart FOLDER] --first [--split report]

The sets are those of quality_sets.py: CLINC150 (also with ten and five examples an intent), CLINC150 with a third of
the intents left out, HINT3 Curekart. Each is indexed; the evidence of its queries' hits is the population. A draw takes
judged queries from it, of which 3 % or 10 % have no answer, and as many unjudged ones, of which 0 to 40 % have none,
both with replacement, so that the population's precision and coverage at a threshold are known exactly. Compared are

* adapted: the share of unanswerable queries is estimated from the unjudged ones (`index.adapt`);
* stated: the share is known (`index.adapt(expected_unanswerable=…)`);
* judged: the share is that of the judged queries (`index.calibrate` alone);
* half: what release 0.1 did: a calibrator fitted to half of the judged queries, a threshold chosen on the other half.

Printed are the share of draws whose precision is below the target (10 % may be, at a delta of .1), and the coverage
as a share of an oracle's, who chooses the lowest threshold of the same confidence that reaches the target. Defaults
were chosen with --split choose; --evidence keeps the populations for another run. --first looks at the calibration on
the items themselves, before anybody has judged a query.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fg_search.confidence.calibrator import Calibrator
from fg_search.confidence.promise import PrecisionPromise
from fg_search.confidence.thresholds import threshold_for_precision

TARGETS = (0.9, 0.95, 0.98)
JUDGED_SHARES = (0.03, 0.1)
SHARES = (0.0, 0.03, 0.1, 0.2, 0.4)
METHODS = ("adapted", "stated", "judged", "half")
OUTCOMES = ("correct", "answerable", "found")
DELTA = 0.1
_AT_A_TIME = 10  # draws a task


class Population:
    """Evidence of all queries of a set: features (n,) by name, what is right, and the labels of the best hits."""

    def __init__(
        self, features: dict[str, np.ndarray], correct: np.ndarray, answerable: np.ndarray, found: np.ndarray
    ) -> None:
        self.features, self.correct, self.answerable, self.found = features, correct, answerable, found
        self._kinds = np.flatnonzero(answerable), np.flatnonzero(~answerable)

    def draw(self, rng: np.random.Generator, count: int, share: float) -> np.ndarray:
        """Rows of queries, of which about a share has no answer."""
        without = rng.binomial(count, share)
        return np.concatenate([rng.choice(self._kinds[0], count - without), rng.choice(self._kinds[1], without)])

    def rows(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Features of some queries."""
        return {name: values[rows] for name, values in self.features.items()}

    def realised(self, confidence: np.ndarray, threshold: float | None, target: float, share: float) -> list[float]:
        """Precision and coverage at a threshold if a share has no answer, and the coverage of the oracle."""
        yes, no = (len(rows) for rows in self._kinds)
        weight = np.where(self.answerable, (1 - share) / yes, share / no)
        order = np.argsort(-confidence, kind="stable")
        answered, right = np.cumsum(weight[order]), np.cumsum((weight * self.correct)[order])
        last_of_tie = np.append(np.diff(confidence[order]) != 0, True)
        reached = np.flatnonzero((right / answered >= target) & last_of_tie)
        oracle = float(answered[reached[-1]]) if len(reached) else 0.0
        chosen = np.zeros(len(weight), dtype=bool) if threshold is None else confidence >= threshold
        coverage = float(weight[chosen].sum())
        return [float((weight * self.correct)[chosen].sum()) / coverage if coverage else 1.0, coverage, oracle]


def one_draw(population: Population, rng: np.random.Generator, count: int, judged_share: float) -> Iterator[list[Any]]:
    """Rows of method, target, share, precision, coverage, coverage of the oracle, estimated share."""
    rows = population.draw(rng, count, judged_share)
    features, correct, answerable = population.rows(rows), population.correct[rows], population.answerable[rows]
    learned = PrecisionPromise.learn(features, correct, answerable)
    half = rng.permutation(len(rows)) < len(rows) // 2
    calibrator = Calibrator().fit(population.rows(rows[half]), correct[half])
    held_out = calibrator.predict(population.rows(rows[~half]))
    by_half = calibrator.predict(population.features)
    for share in SHARES:
        unjudged = population.rows(population.draw(rng, count, share))
        promises = {"judged": learned, "stated": learned, "adapted": learned}
        if learned.ratio is not None:
            promises |= {
                "stated": learned.adapted(expected_unanswerable=share),
                "adapted": learned.adapted(unjudged),
            }
        for target in TARGETS:
            for method, promise in promises.items():
                threshold = promise.threshold(target, DELTA).threshold
                found = population.realised(promise.confidence(population.features), threshold, target, share)
                yield [method, target, share, *found, promise.share.value]
            threshold = threshold_for_precision(held_out, correct[~half], target, delta=DELTA).threshold
            yield ["half", target, share, *population.realised(by_half, threshold, target, share), judged_share]


def task(arguments: tuple[str, Population, float, int, int, int]) -> tuple[str, float, list[list[Any]]]:
    """Some draws from one population."""
    name, population, judged_share, count, draws, seed = arguments
    rng = np.random.default_rng([seed, round(100 * judged_share), count])
    return name, judged_share, [row for _ in range(draws) for row in one_draw(population, rng, count, judged_share)]


def run(populations: dict[str, Population], count: int, draws: int, jobs: int) -> dict[str, list[list[Any]]]:
    """All draws, by set and share of the judged queries without an answer."""
    tasks = [
        (name, population, judged_share, count, _AT_A_TIME, seed)
        for seed in range(draws // _AT_A_TIME)
        for name, population in populations.items()
        for judged_share in JUDGED_SHARES
    ]
    found: dict[str, list[list[Any]]] = {}
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for name, judged_share, rows in pool.imap_unordered(task, tasks):
            found.setdefault(f"{name}; {judged_share:.0%} of the judged queries have no answer", []).extend(rows)
    return dict(sorted(found.items()))


def summarise(rows: list[list[Any]]) -> dict[tuple[str, float, float], dict[str, float]]:
    """Missed draws and coverage by method, target and share."""
    groups: dict[tuple[str, float, float], list[list[float]]] = {}
    for method, target, share, *numbers in rows:
        groups.setdefault((method, target, share), []).append(numbers)
    summary = {}
    for key, values in groups.items():
        precision, coverage, oracle, share = np.array(values).T
        summary[key] = {
            "draws": len(values),
            "missed": float((precision < key[1] - 1e-9).mean()),
            "precision": float(precision[coverage > 0].mean()) if (coverage > 0).any() else float("nan"),
            "coverage": float(coverage.mean()),
            "oracle": float(oracle.mean()),
            "followed_share": float(share.mean()),
        }
    return summary


def show(found: dict[str, list[list[Any]]]) -> None:
    """One table for each set and share of the judged queries: missed draws, and coverage of an oracle's."""
    console = Console(width=150)
    for title, rows in found.items():
        summary = summarise(rows)
        shares = [f"{share:.0%} unanswerable" for share in SHARES]
        table = Table("target", "method", *shares, title=f"{title}\nmissed draws, coverage as a share of the oracle's")
        for target in TARGETS:
            for method in METHODS:
                cells = []
                for share in SHARES:
                    values = summary[method, target, share]
                    ratio = values["coverage"] / values["oracle"] if values["oracle"] else float("nan")
                    cells.append(f"{values['missed']:5.1%}  {ratio:.2f}")
                table.add_row(f"{target:.0%}", method, *cells)
            table.add_section()
        console.print(table)


def populations_of(options: argparse.Namespace) -> dict[str, Population]:
    """Index every set and collect the evidence of its queries, or read it where an earlier run kept it."""
    if options.evidence is None or not options.evidence.exists():
        kept = {name: population for name, _, population in _indexed(options)}
        if options.evidence is None:
            return kept
        arrays = {
            f"{name}|{key}": values
            for name, population in kept.items()
            for key, values in (
                *population.features.items(), *((kind, getattr(population, kind)) for kind in OUTCOMES)
            )
        }  # fmt: skip
        np.savez_compressed(options.evidence, **arrays)
    read: dict[str, dict[str, np.ndarray]] = {}
    with np.load(options.evidence) as arrays:
        for entry in arrays:
            name, key = entry.split("|")
            read.setdefault(name, {})[key] = arrays[entry]
    return {name: Population(values, *(values.pop(kind) for kind in OUTCOMES)) for name, values in read.items()}


def _indexed(options: argparse.Namespace) -> Iterator[tuple[str, Any, Population]]:
    """Name, index and population of every set."""
    import quality_sets

    from fg_search import ConfidenceIndex, FeatureGroupEncoder

    encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
    corpora = quality_sets.Corpora(encoder, options.data, options.curekart)
    for queries in corpora.sets(0):
        train, asked = queries.train, getattr(queries, options.split)
        encoder.fit(train.texts, labels=train.labels.tolist(), vectors=train.base, seed=0, show_progress=False)
        embeddings, answers = encoder.features(asked.base), [label or None for label in asked.labels.tolist()]
        with tempfile.TemporaryDirectory() as folder, ConfidenceIndex(Path(folder) / "index", encoder) as index:
            known = encoder.features(train.base)
            index.add(train.texts, labels=train.labels.tolist(), embeddings=known, show_progress=False)
            found = index._find(partial(_judged, asked.texts, answers, embeddings))  # what calibrate() learns from
            print(f"{queries.name}: R@1 {found.correct[found.in_scope].mean():.4f}", flush=True)
            labels = np.array([label or "" for label in found.labels])
            yield queries.name, index, Population(found.features, found.correct, found.in_scope, labels)


def first_promises(options: argparse.Namespace) -> None:
    """What a calibration on the items themselves promises, and what real queries make of it, for several shares."""
    shares, targets = (0.05, 0.2, 0.4), (0.8, 0.9, 0.95)
    columns = (f"{target:.0%}, {share:.0%} unanswerable" for target in targets for share in shares)
    table = Table("queries", *columns, title="precision, coverage (of the oracle's)")
    for name, index, population in _indexed(options):
        index.calibrate()
        cells = []
        for target in targets:
            for share in shares:
                promise = index.adapt(expected_unanswerable=share).promise
                threshold = promise.threshold(target, DELTA).threshold
                found = population.realised(promise.confidence(population.features), threshold, target, share)
                cells.append(f"{found[0]:.3f}, {found[1] / found[2] if found[2] else 0:.2f}")
        print(name, *cells, sep="; ", flush=True)
        table.add_row(name, *cells)
    Console(width=200).print(table)


async def _judged(texts: list[str], answers: list[str | None], embeddings: Any, state: Any) -> Any:
    from fg_search.index.query_vectors import encode_queries
    from fg_search.index.relevance import judge
    from fg_search.index.search_options import SearchOptions

    encoded = await encode_queries(state, texts, embeddings, batch_size=None)
    return await judge(state, encoded, answers, "label", SearchOptions())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of CLINC150")
    parser.add_argument("--curekart", type=Path, help="folder of HINT3 Curekart")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--queries", type=int, default=1000, help="judged, and as many unjudged")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--split", choices=("choose", "report"), default="report")
    parser.add_argument("--evidence", type=Path, help="file that keeps the populations")
    parser.add_argument("--only", nargs="*", help="names of sets; by default all")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--first", action="store_true", help="only the first promise, without a judged query")
    options = parser.parse_args()
    if options.first:
        first_promises(options)
        return
    populations = populations_of(options)
    if options.only:
        populations = {name: populations[name] for name in options.only}
    found = run(populations, options.queries, options.draws, options.jobs)
    show(found)
    if options.json is not None:
        lines = [
            {"set": title, "method": key[0], "target": key[1], "share": key[2], **values}
            for title, rows in found.items()
            for key, values in summarise(rows).items()
        ]
        options.json.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

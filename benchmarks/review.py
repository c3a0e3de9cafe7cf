"""Finding wrong labels in CLINC150, and how much correcting them improves search.

    python benchmarks/review.py --data FOLDER [--curekart FOLDER] [--seeds 3] [--json FILE]
        [--parts wrong-labels noise few-examples coverage loop other]

FOLDER contains train, test, oos_train and oos_test as JSONL (Larson et al., 2019), one ``{"text", "label"}`` per line.
A share of the training labels is replaced: half of them by a random other label, half by a nearby one. There are two
kinds of nearby label: the one whose mean embedding is closest to that of the true label, and the one whose mean is
closest to the item itself (harder). The baselines are cleanlab's rankings on the same embeddings: self-confidence and
normalised margin of cross-validated logistic regression (5 folds). In precision at n, n is the number of wrong labels.

The share of wrong labels is estimated from all examples, and from few of each label, also of the corpus that comes with
the package. Items with a score of .9 or more would be set aside; right ones among them are lost to the search. How
often the interval holds what is planted is counted by noise_coverage.py, also on HINT3's Curekart (Arora et al., 2020)
if its folder is given.

Next, a reviewer who is always right reviews 500 items, and the head is fitted again on the corrected labels: on all
items, or without those whose label is still wrong with a probability of at least .9, which are set aside (neither
learned from nor found). Base embeddings of all-MiniLM-L6-v2 are computed once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import noise_coverage
import numpy as np
import torch
from machine import machine
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from fg_search import Codebook, FeatureGroupEncoder, FeatureGroupHead, demo, fit_head
from fg_search.arrays import unit_rows
from fg_search.confidence import confidence
from fg_search.evaluation import aurc, auroc, expected_calibration_error
from fg_search.review.issues import (
    LabelScorer,
    confused_labels,
    find_label_issues,
    fit_label_scorer,
    outlier_scores,
)

NEARBY = ("label", "item")
FOLDS, REVIEWED, SET_ASIDE, CHUNK = 5, 500, 0.9, 512
SMALL = {"CLINC150": (4, 6, 10, 16, 30), "demo": (4, 6, 8, 16)}  # examples per label
OURS = "fg_search, leave-one-out margin"


class Labelled:
    """Embeddings with their true labels, some of which can be replaced."""

    def __init__(self, rows: np.ndarray, truth: np.ndarray) -> None:
        self.train, self.truth = rows, truth
        self.labels, self._number = np.unique(truth, return_inverse=True)
        means = unit_rows(np.stack([rows[truth == label].mean(axis=0) for label in self.labels]))
        self._closeness = {"label": (means @ means.T)[self._number], "item": rows @ means.T}

    def noisy(self, share: float, nearby: str, seed: int) -> np.ndarray:
        """The true labels, a share of them replaced."""
        rng = np.random.default_rng((seed, 1))
        number, count = self._number.copy(), len(self.labels)
        wrong = rng.permutation(len(number))[: round(share * len(number))]
        anywhere, near = np.array_split(wrong, 2)
        number[anywhere] = (number[anywhere] + rng.integers(1, count, len(anywhere))) % count
        closeness = self._closeness[nearby][near]
        closeness[np.arange(len(near)), number[near]] = -np.inf
        number[near] = closeness.argmax(axis=1)
        return self.labels[number]


class Bench(Labelled):
    """The data, embedded once; ``train`` and ``truth`` are the training examples."""

    def __init__(self, data: Path, curekart: Path | None) -> None:
        encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
        rows = {name: _read(data / f"{name}.jsonl") for name in ("train", "test", "oos_train", "oos_test")}
        base = {name: unit_rows(encoder.embed([text for text, _ in part])) for name, part in rows.items()}
        super().__init__(base["train"], np.array([label for _, label in rows["train"]]))
        self.odd = base["oos_train"]
        self.queries = np.concatenate([base["test"], base["oos_test"]])
        self.answers = np.array([label for _, label in rows["test"] + rows["oos_test"]])
        self.in_scope = np.arange(len(self.queries)) < len(rows["test"])
        shipped = demo.corpus()
        self.demo = Labelled(
            unit_rows(encoder.embed([row["text"] for row in shipped])), np.array([row["label"] for row in shipped])
        )
        self.corpora = {"CLINC150": (self.train, self.truth), "demo": (self.demo.train, self.demo.truth)}
        if curekart is not None:
            texts, labels = zip(*_read(curekart / "train.jsonl"), strict=True)
            self.corpora["Curekart"] = unit_rows(encoder.embed(texts)), np.array(labels)


def found(
    bench: Bench, given: np.ndarray, score: np.ndarray, suggested: np.ndarray, seconds: float
) -> dict[str, float]:
    wrong = given != bench.truth
    first = np.argsort(-score, kind="stable")[: wrong.sum()]
    return {
        "auroc": auroc(score, wrong),
        "precision_at_n": float(wrong[first].mean()),
        "suggested_right": float((suggested == bench.truth)[wrong].mean()),
        "seconds": seconds,
    }


def regression(bench: Bench, given: np.ndarray, seed: int) -> dict[str, dict[str, float]]:
    """Out-of-fold logistic regression (5 folds), ranked in two ways."""
    start = time.perf_counter()
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    model = LogisticRegression(max_iter=1000)
    posterior = cross_val_predict(model, bench.train, given, cv=folds, method="predict_proba")
    seconds = time.perf_counter() - start
    rows, own = np.arange(len(given)), np.searchsorted(bench.labels, given)
    held = posterior[rows, own].copy()
    posterior[rows, own] = -1
    suggested = bench.labels[posterior.argmax(axis=1)]
    return {
        "logistic regression, self-confidence": found(bench, given, -held, suggested, seconds),
        "logistic regression, normalised margin": found(bench, given, posterior.max(axis=1) - held, suggested, seconds),
    }


def wrong_labels(bench: Bench, nearby: str, seed: int) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Quality of the rankings, and calibration error of the probabilities."""
    given = bench.noisy(0.1, nearby, seed)
    start = time.perf_counter()
    judged, _ = find_label_issues(bench.train, given.tolist(), seed=seed)
    seconds = time.perf_counter() - start
    suggested = np.array(judged.suggested)
    rows = {OURS: found(bench, given, judged.score, suggested, seconds), **regression(bench, given, seed)}
    changed = judged.change
    right = suggested == bench.truth
    calibration = {
        "score_ece": expected_calibration_error(judged.score, given != bench.truth),
        "suggestion_ece": expected_calibration_error(judged.probability, right),
        "changes_suggested": float(changed.sum()),
        "changes_right": float(right[changed].mean()),
    }
    return rows, calibration


def noise(bench: Bench, nearby: str, share: float, seed: int) -> dict[str, float]:
    given = bench.noisy(share, nearby, seed)
    return _estimate(fit_label_scorer(bench.train, given.tolist(), seed=seed), share)


def few_examples(data: Labelled, each: int, share: float, seed: int) -> dict[str, float]:
    """Noise estimate from ``each`` examples per label, and how many of them would be set aside."""
    given = data.noisy(share, "item", seed)
    order = np.lexsort((np.random.default_rng((seed, 3)).random(len(given)), data.truth))
    rows = order.reshape(len(data.labels), -1)[:, :each].ravel()
    judged, scorer = find_label_issues(data.train[rows], given[rows].tolist(), seed=seed)
    wrong, aside = (given != data.truth)[rows], judged.score >= SET_ASIDE
    kept_out = {"items": float(len(rows)), "set_aside": float(aside.sum()), "right": float((aside & ~wrong).sum())}
    return {**_estimate(scorer, float(wrong.mean())), **kept_out}


def _estimate(scorer: LabelScorer, wrong: float) -> dict[str, float]:
    share = scorer.noise.share
    return {"wrong": wrong, "estimate": share.estimate, "low": share.low, "high": share.high}


def loop(bench: Bench, seed: int) -> dict[str, dict[str, float]]:
    """R@1 and AURC of the test queries before review, after 500 reviewed items, and without wrong labels."""
    given = bench.noisy(0.1, "item", seed)
    head, before = _quality(bench, given, seed)
    judged, _ = find_label_issues(bench.train, given.tolist(), seed=seed)
    batches = {
        "contradicted": np.argsort(-judged.score, kind="stable"),
        "low confidence": np.argsort(confidence(head.distributions(bench.train)), kind="stable"),
        "random": np.random.default_rng(seed).permutation(len(given)),
    }
    rows = {"nothing": {**before, "mended": 0.0, "set_aside": 0.0}}
    doubtful, nothing = judged.score >= SET_ASIDE, np.zeros(len(given), dtype=bool)
    rows["nothing, set aside"] = _without(bench, given, given, doubtful, seed)
    for name, order in batches.items():
        mended, batch = given.copy(), order[:REVIEWED]
        mended[batch] = bench.truth[batch]
        rows[name] = _without(bench, given, mended, nothing, seed)
        if name != "random":
            rows[f"{name}, rest set aside"] = _without(
                bench, given, mended, doubtful & ~np.isin(np.arange(len(given)), batch), seed
            )
    rows["everything"] = _without(bench, given, bench.truth, nothing, seed)
    return rows


def _without(bench: Bench, given: np.ndarray, mended: np.ndarray, aside: np.ndarray, seed: int) -> dict[str, float]:
    quality = _quality(bench, mended, seed, ~aside)[1]
    return {**quality, "mended": float((given != mended).sum()), "set_aside": float(aside.sum())}


def _quality(
    bench: Bench, given: np.ndarray, seed: int, kept: np.ndarray | slice = slice(None)
) -> tuple[FeatureGroupHead, dict[str, float]]:
    rows, given = bench.train[kept], given[kept]
    head = fit_head(rows, Codebook.from_labels(given.tolist(), seed=seed), seed=seed)
    points = torch.from_numpy(head.distributions(rows)).flatten(1)
    queries = torch.from_numpy(head.distributions(bench.queries)).flatten(1)
    best = [(queries[i : i + CHUNK] @ points.T / head.groups).max(dim=1) for i in range(0, len(queries), CHUNK)]
    top = given[torch.cat([chunk.indices for chunk in best]).numpy()]
    right = (top == bench.answers) & bench.in_scope
    score = torch.cat([chunk.values for chunk in best]).numpy()
    return head, {"recall_at_1": float(right[bench.in_scope].mean()), "aurc": aurc(score, right)}


def other_scores(bench: Bench, seed: int) -> dict[str, float]:
    """Quality of the other lists: outliers, split labels, and ambiguous queries."""
    rng = np.random.default_rng((seed, 2))
    split = rng.permutation(bench.labels)[:5]
    halves = np.isin(bench.truth, split) & (rng.random(len(bench.truth)) < 0.5)
    given = np.where(halves, np.char.add(bench.truth, "*"), bench.truth).tolist()
    pairs = confused_labels(given, find_label_issues(bench.train, given, seed=seed)[0].predicted, limit=5)
    together = np.concatenate([bench.train, bench.odd])
    odd = np.arange(len(together)) >= len(bench.train)

    scorer = fit_label_scorer(bench.train, bench.truth.tolist(), seed=seed)
    queries = bench.queries[bench.in_scope]
    read = scorer.score(queries, [None] * len(queries), fitted=False)
    head = fit_head(bench.train, Codebook.from_labels(bench.truth.tolist(), seed=seed), seed=seed)
    misread = np.array(read.predicted) != bench.answers[bench.in_scope]
    return {
        "split_labels_among_first_5": float(sum(pair.second == f"{pair.first}*" for pair in pairs)),
        "outlier_auroc": auroc(outlier_scores(together), odd),
        "ambiguity_auroc_confidence": auroc(-confidence(head.distributions(queries)), misread),
        "ambiguity_auroc_margin": auroc(-read.margin, misread),
    }


def _read(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["text"], row["label"]) for row in rows]


def _cell(values: list[float], digits: int, scale: float = 1) -> str:
    spread = f" ± {np.std(values, ddof=1) * scale:.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values) * scale:.{digits}f}{spread}"


def _show(title: str, header: list[str], rows: list[list[str]]) -> None:
    table = Table(*header, box=box.MARKDOWN)
    for row in rows:
        table.add_row(*row)
    print(f"\n{title}\n")
    Console(width=160).print(table)


def show(figures: dict[str, Any]) -> None:
    for part, shown in SHOWN.items():
        if part in figures:
            shown(figures)
    for group in ("calibration", "no_noise", "other"):
        print()
        for name in figures[group][0] if group in figures else ():
            print(f"{name}: {', '.join(f'{run[name]:.4g}' for run in figures[group])}")


def show_wrong_labels(figures: dict[str, Any]) -> None:
    header = ["10 % wrong, half of them", "ranked by", "AUROC", "precision at n", "suggested label right", "seconds"]
    rows = []
    for nearby, runs in figures["wrong_labels"].items():
        for name in runs[0]:
            parts = {key: [run[name][key] for run in runs] for key in runs[0][name]}
            rows.append(
                [
                    f"nearest to the {nearby}",
                    name,
                    *(_cell(parts[key], 4) for key in ("auroc", "precision_at_n", "suggested_right")),
                    _cell(parts["seconds"], 1),
                ]
            )
    _show("Wrong labels", header, rows)
    every = [run for runs in figures["wrong_labels"].values() for run in runs]
    for key in ("auroc", "precision_at_n", "suggested_right"):
        leads = [run[OURS][key] - max(run[name][key] for name in run if name != OURS) for run in every]
        print(f"least lead of fg_search over both peers in {len(every)} runs, {key}: {min(leads):+.4f}")


def show_noise(figures: dict[str, Any]) -> None:
    rows = []
    for nearby, runs in figures["noise"].items():
        for i, first in enumerate(runs[0]):
            cells = [f"{run[i]['estimate']:.1%} ({run[i]['low']:.1%} to {run[i]['high']:.1%})" for run in runs]
            rows.append([f"nearest to the {nearby}", f"{first['wrong']:.0%}", "; ".join(cells)])
    _show("Noise estimate", ["half of them", "planted", "estimated, by seed"], rows)


def show_few_examples(figures: dict[str, Any]) -> None:
    rows = []
    for name, by_size in figures["few_examples"].items():
        for each, runs in by_size.items():
            for i in range(len(runs[0])):
                planted = "; ".join(f"{run[i]['wrong']:.1%}" for run in runs)
                cells = [f"{run[i]['estimate']:.1%} ({run[i]['low']:.1%} to {run[i]['high']:.1%})" for run in runs]
                aside = "; ".join(f"{run[i]['set_aside']:.0f} ({run[i]['right']:.0f})" for run in runs)
                rows.append([name, str(each), planted, "; ".join(cells), aside])
    header = ["data", "a label", "planted, by seed", "estimated, by seed", "score of .9 or more (right ones)"]
    _show("Noise estimate from few examples", header, rows)


def show_coverage(figures: dict[str, Any]) -> None:
    draws = figures["coverage"]
    _show("Intervals that hold the share of wrong labels, of all that were drawn", *noise_coverage.by_size(draws))
    _show("Means from five examples a label", *noise_coverage.by_share(draws))
    for name, share in {draw["population"]: draw["contested"] for draw in draws}.items():
        print(f"{name}: {share:.2%} of the items were contested and left out")


def show_loop(figures: dict[str, Any]) -> None:
    rows = []
    for name in figures["loop"][0]:
        parts = {key: [run[name][key] for run in figures["loop"]] for key in figures["loop"][0][name]}
        rows.append(
            [
                name,
                *(_cell(parts[key], 0) for key in ("mended", "set_aside")),
                _cell(parts["recall_at_1"], 4),
                _cell(parts["aurc"], 1, scale=1000),
            ]
        )
    _show("The loop", ["reviewed", "labels mended", "set aside", "R@1", "AURC x 1000"], rows)


SHOWN = {
    "wrong_labels": show_wrong_labels,
    "noise": show_noise,
    "few_examples": show_few_examples,
    "coverage": show_coverage,
    "loop": show_loop,
}
PARTS = ("wrong-labels", "noise", "few-examples", "coverage", "loop", "other")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--curekart", type=Path, help="folder of HINT3's Curekart, for the coverage")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure; all by default")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    seeds = range(options.seeds)
    print("python", *sys.argv)
    ran_on = machine("scikit-learn")
    print(", ".join(f"{name} {value}" for name, value in ran_on.items()), flush=True)
    bench = Bench(options.data, options.curekart)
    figures: dict[str, Any] = {"command": sys.argv, "machine": ran_on}
    if "wrong-labels" in options.parts:
        judged = {nearby: [wrong_labels(bench, nearby, seed) for seed in seeds] for nearby in NEARBY}
        figures["wrong_labels"] = {nearby: [rows for rows, _ in runs] for nearby, runs in judged.items()}
        figures["calibration"] = [calibration for runs in judged.values() for _, calibration in runs]
    if "noise" in options.parts:
        figures["noise"] = {
            nearby: [[noise(bench, nearby, share, seed) for share in (0.05, 0.1, 0.2)] for seed in seeds]
            for nearby in NEARBY
        }
        figures["no_noise"] = [noise(bench, "label", 0.0, 0)]
    if "few-examples" in options.parts:
        figures["few_examples"] = {
            name: {
                each: [[few_examples(data, each, share, seed) for share in (0.0, 0.05, 0.1, 0.2)] for seed in seeds]
                for each in SMALL[name]
            }
            for name, data in {"CLINC150": bench, "demo": bench.demo}.items()
        }
    if "coverage" in options.parts:
        figures["coverage"] = noise_coverage.coverage(noise_coverage.populations(bench.corpora), seeds)
    if "loop" in options.parts:
        figures["loop"] = [loop(bench, seed) for seed in seeds]
    if "other" in options.parts:
        figures["other"] = [other_scores(bench, 0)]
    show(figures)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

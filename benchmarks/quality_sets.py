"""Sets of queries with and without an answer: who tells them apart, and the right answers from the wrong.

Five sets: CLINC150; CLINC150 with ten and with five examples an intent; CLINC150 with five of the fifteen intents of
each domain left out, whose queries have no answer (near out of scope); HINT3 Curekart, queries of a shop's real users,
of which more than half are about none of the intents (Arora et al., 2020). The seed draws the examples that are kept
and the intents that are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from fg_search import FeatureEmbeddings, FeatureGroupEncoder
from fg_search.arrays import unit_rows
from fg_search.evaluation import auroc, selective_report

FIGURES = {"recall_at_1": "R@1", "auroc": "AUROC", "aurc": "AURC x 1000", "out_of_scope_auroc": "OOS AUROC",
           "fpr_at_95_tpr": "FPR@95TPR"}  # fmt: skip
_LEFT_OUT = 5  # intents of each domain
_NONE = ""  # label of a query that has no answer
_CHUNK = 512
_PENALTIES = (1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Examples:
    """Texts, their base embeddings (n, d), and their labels; empty where there is no answer."""

    texts: list[str]
    base: np.ndarray
    labels: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Examples:
        return Examples([self.texts[row] for row in rows], self.base[rows], self.labels[rows])

    def with_labels(self, labels: np.ndarray) -> Examples:
        """The same texts, labelled otherwise."""
        return Examples(self.texts, self.base, labels)

    def __add__(self, other: Examples) -> Examples:
        return Examples(
            self.texts + other.texts,
            np.concatenate([self.base, other.base]),
            np.concatenate([self.labels, other.labels]),
        )


@dataclass(frozen=True)
class QuerySet:
    """Examples to learn from and to search, queries to choose settings on, and queries to report."""

    name: str
    train: Examples
    choose: Examples
    report: Examples


class Corpora:
    """The files, embedded once."""

    def __init__(self, encoder: FeatureGroupEncoder, clinc150: Path, curekart: Path | None) -> None:
        def read(file: Path) -> Examples:
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            texts = [row["text"] for row in rows]
            labels = [_NONE if row["label"] in (None, "oos") else row["label"] for row in rows]
            return Examples(texts, encoder.embed(texts, show_progress=False), np.array(labels))

        self.clinc150 = {name: read(clinc150 / f"{name}.jsonl") for name in ("train", "val", "test")}
        self.beyond = {name: read(clinc150 / f"oos_{name}.jsonl") for name in ("val", "test")}
        self.domains = json.loads((clinc150 / "domains.json").read_text(encoding="utf-8"))
        self.curekart = None if curekart is None else {
            name: read(curekart / f"{name}.jsonl") for name in ("train", "choose", "test")
        }  # fmt: skip

    def sets(self, seed: int) -> Iterator[QuerySet]:
        """All sets, drawn with a seed."""
        train, val, test = (self.clinc150[name] for name in ("train", "val", "test"))
        choose, report = val + self.beyond["val"], test + self.beyond["test"]
        yield QuerySet("CLINC150", train, choose, report)
        for count in (10, 5):
            yield QuerySet(f"CLINC150, {count} examples an intent", _few(train, count, seed), choose, report)
        yield self._near(seed)
        if self.curekart is not None:
            train, choose, test = (self.curekart[name] for name in ("train", "choose", "test"))
            yield QuerySet("HINT3 Curekart", train, choose, choose + test)

    def _near(self, seed: int) -> QuerySet:
        rng = np.random.default_rng(seed)
        left_out = np.concatenate([rng.permutation(sorted(intents))[:_LEFT_OUT] for intents in self.domains.values()])
        train, val, test = (self.clinc150[name] for name in ("train", "val", "test"))

        def without(queries: Examples) -> Examples:
            return queries.with_labels(np.where(np.isin(queries.labels, left_out), _NONE, queries.labels))

        known = np.flatnonzero(~np.isin(train.labels, left_out))
        return QuerySet("CLINC150, a third of the intents left out", train[known], without(val), without(test))


Report = dict[str, float]
Scored = tuple[np.ndarray, np.ndarray]  # label of each query's answer, and the confidence that ranks the queries


def measure(corpora: Corpora, encoder: FeatureGroupEncoder, seeds: int) -> dict[str, dict[str, list[Report]]]:
    """Figures of every method on every set: a list with one report a seed."""
    found: dict[str, dict[str, list[Report]]] = {}
    for seed in range(seeds):
        for queries in corpora.sets(seed):
            rows = found.setdefault(queries.name, {})
            for name, (labels, confidence) in _methods(queries, encoder, seed).items():
                in_scope = queries.report.labels != _NONE
                right = (labels == queries.report.labels) & in_scope
                report = asdict(selective_report(confidence, right, in_scope))
                rows.setdefault(name, []).append(report)
                figures = ", ".join(f"{title} {report[key]:.4f}" for key, title in FIGURES.items())
                print(f"seed {seed}, {queries.name}, {name}: {figures}", flush=True)
    return found


def show(found: dict[str, dict[str, list[Report]]]) -> None:
    """Print one table, with standard deviations over the seeds."""
    table = Table("queries", "ranked by", *FIGURES.values())
    for queries, rows in found.items():
        for name, reports in rows.items():
            table.add_row(queries, name, *(_cell(key, [report[key] for report in reports]) for key in FIGURES))
        table.add_section()
    Console(width=170).print(table)


def draw(corpora: Corpora, encoder: FeatureGroupEncoder, file: Path) -> None:
    """Draw two histograms of the queries of CLINC150, in scope and out of scope: by confidence and by answerability."""
    from matplotlib.figure import Figure

    queries = next(corpora.sets(0))
    _fit(encoder, queries.train, 0)
    found, in_scope = encoder.features(queries.report.base), queries.report.labels != _NONE
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    before, after = figure.subplots(1, 2, sharey=True)
    measures = {"confidence": found.confidence, "answerability": found.answerability}
    for axes, (name, values) in zip((before, after), measures.items(), strict=True):
        for kind, rows, color in (("in scope", in_scope, "#2f6f9f"), ("out of scope", ~in_scope, "#d1782a")):
            shares = np.full(int(rows.sum()), 1 / rows.sum())
            axes.hist(values[rows], bins=20, range=(0, 1), weights=shares, alpha=0.6, label=kind, color=color)
        axes.set_xlabel(f"{name} of the query (AUROC {auroc(values, in_scope):.3f})")
        axes.set_yscale("log")
        axes.spines[["top", "right"]].set_visible(False)
    before.set_ylabel("share of the queries (log scale)")
    after.legend(loc="upper center", frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=160)
    print(file)


def _methods(queries: QuerySet, encoder: FeatureGroupEncoder, seed: int) -> dict[str, Scored]:
    train, report = queries.train, queries.report
    cosine, nearest = _top(unit_rows(report.base), unit_rows(train.base))
    _fit(encoder, train, seed)
    points, asked = encoder.features(train.base), encoder.features(report.base)
    score, hits = _top(_flat(asked), _flat(points))
    answers = train.labels[hits]
    return {
        "base cosine of the nearest item": (train.labels[nearest], cosine),
        "logistic regression": _regression(queries),
        "score of the best hit": (answers, score / asked.groups),
        "confidence of the query": (answers, asked.confidence),
        "answerability of the query": (answers, asked.answerability),
    }


def _fit(encoder: FeatureGroupEncoder, train: Examples, seed: int) -> None:
    encoder.fit(train.texts, labels=train.labels.tolist(), vectors=train.base, seed=seed, show_progress=False)


def _regression(queries: QuerySet) -> Scored:
    """The largest probability, with the penalty that ranks the queries to choose on best."""

    def answer(model: Any, of: Examples) -> Scored:
        probability = model.predict_proba(of.base)
        return model.classes_[probability.argmax(axis=1)], probability.max(axis=1)

    def quality(model: Any) -> float:
        labels, confidence = answer(model, queries.choose)
        return auroc(confidence, (labels == queries.choose.labels) & (queries.choose.labels != _NONE))

    models = [LogisticRegression(C=c, max_iter=1000).fit(queries.train.base, queries.train.labels) for c in _PENALTIES]
    return answer(max(models, key=quality), queries.report)


def _few(examples: Examples, count: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    kept = [rng.permutation(np.flatnonzero(examples.labels == label))[:count] for label in np.unique(examples.labels)]
    return examples[np.concatenate(kept)]


def _flat(embeddings: FeatureEmbeddings) -> np.ndarray:
    return embeddings.probabilities.reshape(len(embeddings), -1)


def _top(queries: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest dot product of each query, and the row of the point that has it."""
    stored = torch.from_numpy(points)
    parts = [
        (torch.from_numpy(queries[start : start + _CHUNK]) @ stored.T).max(dim=1)
        for start in range(0, len(queries), _CHUNK)
    ]
    return torch.cat([part.values for part in parts]).numpy(), torch.cat([part.indices for part in parts]).numpy()


def _cell(key: str, reports: list[float]) -> str:
    values, digits = np.array(reports), 4
    if key == "aurc":
        values, digits = 1000 * values, 1
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"

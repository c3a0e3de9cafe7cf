"""Finding intents of CLINC150 that an index lacks, as clusters of the queries that it abstains from.

    python benchmarks/missing_labels.py --data FOLDER [--draws 3 4 5] [--json FILE]

FOLDER contains train, val, oos_train and oos_val as JSONL (Larson et al., 2019), one ``{"text", "label"}`` per line;
test files are not read. Each draw leaves 15 different intents out of head and index. The index is calibrated on half of
the validation utterances of the remaining intents and on oos_train. The queries are 30 training utterances of each
omitted intent, the other half of the validation utterances, and oos_val, with ``target_precision=0.98`` and
``on_uncertain="abstain"``. Queries that it abstains from are logged, and ``index.missing_labels()`` clusters the log.
The defaults were chosen on draws 0 to 2. The baseline is HDBSCAN on the same embeddings.

An intent is recovered if one cluster contains at least half of its logged queries, and at least half of that cluster is
of this intent. ARI and homogeneity are computed over the logged queries of the omitted intents.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.cluster import HDBSCAN
from sklearn.metrics import adjusted_rand_score, homogeneity_score

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.arrays import unit_rows
from fg_search.queries.entries import SIMILARITY

LEFT_OUT, ASKED, TARGET = 15, 30, 0.98
LEAST, LARGE = 5, 8
LOGS: tuple[Any, ...] = ("none", "uncertain")
SIMILARITIES = (0.3, 0.35, SIMILARITY, 0.45, 0.5, 0.6)
HDBSCANS = {
    f"HDBSCAN, min_cluster_size={size}, min_samples={near}": (size, near)
    for size in (LEAST, LARGE)
    for near in (2, 3, 5)
}


class Bench:
    """The data, embedded once."""

    def __init__(self, data: Path) -> None:
        self.encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
        rows = {name: _read(data / f"{name}.jsonl") for name in ("train", "val", "oos_train", "oos_val")}
        self.texts = {name: [text for text, _ in part] for name, part in rows.items()}
        self.labels = {name: np.array([label for _, label in part]) for name, part in rows.items()}
        self.base = {name: self.encoder.embed(texts) for name, texts in self.texts.items()}
        self.intents = np.random.default_rng(0).permutation(np.unique(self.labels["train"]))

    def draw(self, number: int) -> dict[str, Any]:
        """All figures for one draw of intents to leave out."""
        rng = np.random.default_rng(number)
        left_out = np.sort(self.intents[number * LEFT_OUT : (number + 1) * LEFT_OUT])
        train, val = self.labels["train"], self.labels["val"]
        kept = np.flatnonzero(~np.isin(train, left_out))
        encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
        texts = [self.texts["train"][i] for i in kept]
        encoder.fit(texts, labels=train[kept].tolist(), vectors=self.base["train"][kept], seed=number)
        known, other = np.array_split(rng.permutation(np.flatnonzero(~np.isin(val, left_out))), 2)
        asked = np.concatenate([rng.permutation(np.flatnonzero(train == intent))[:ASKED] for intent in left_out])
        queries = _join(self, ("train", asked), ("val", other), ("oos_val", np.arange(len(self.texts["oos_val"]))))
        judged = _join(self, ("val", known), ("oos_train", np.arange(len(self.texts["oos_train"]))))
        with tempfile.TemporaryDirectory() as folder, ConfidenceIndex(folder, encoder) as index:
            embeddings = encoder.features(self.base["train"][kept])
            index.add(texts, ids=kept.tolist(), labels=train[kept].tolist(), embeddings=embeddings, show_progress=False)
            answers = [*val[known].tolist(), *[None] * len(self.texts["oos_train"])]
            index.calibrate(judged[0], answers, embeddings=encoder.features(judged[1]), show_progress=False)
            return self._clusters(index, queries, np.concatenate([train[asked], val[other]]), left_out)

    def _clusters(
        self, index: ConfidenceIndex, queries: tuple[list[str], np.ndarray], labels: np.ndarray, left_out: np.ndarray
    ) -> dict[str, Any]:
        texts, base = queries
        embeddings = index.encoder.features(base)
        options: dict[str, Any] = {"target_precision": TARGET, "on_uncertain": "abstain", "show_progress": False}
        seconds = {}
        for log in LOGS:
            start = time.perf_counter()
            index.search_many(texts, embeddings=embeddings, log=log, **options)
            seconds[log] = time.perf_counter() - start
        answer = dict(zip(texts, labels, strict=False))  # out-of-scope queries come last and have no answer
        rows = {text: row for row, text in enumerate(texts)}
        logged = index.logged_queries(limit=len(texts))
        truth = np.array([answer.get(query.text, "oos") for query in logged])
        place = {query.id: i for i, query in enumerate(logged)}
        figures, proposed = {}, []
        for similarity in SIMILARITIES:
            start = time.perf_counter()
            found = index.missing_labels(similarity=similarity)
            name = f"fg_search, similarity={similarity}" + (" (default)" if similarity == SIMILARITY else "")
            seconds[name] = time.perf_counter() - start
            numbers = np.full(len(logged), -1)
            for number, label in enumerate(found):
                numbers[[place[query.id] for query in label.queries]] = number
            figures[name] = _evaluate(truth, numbers, left_out)
            if similarity == SIMILARITY:
                large = sum(label.size >= LARGE for label in found)  # largest first
                name, numbers = f"the same, least_size={LARGE}", np.where(numbers < large, numbers, -1)
                figures[name], seconds[name] = _evaluate(truth, numbers, left_out), time.perf_counter() - start
                proposed = [
                    (label.name, label.size, _most(truth[numbers == number]), label.nearest_label)
                    for number, label in enumerate(found[:large])
                ]
        unit = unit_rows(base[[rows[query.text] for query in logged]])
        for name, (size, near) in HDBSCANS.items():
            start = time.perf_counter()
            clusters = HDBSCAN(min_cluster_size=size, min_samples=near, copy=True).fit_predict(unit)
            seconds[name] = time.perf_counter() - start
            figures[name] = _evaluate(truth, clusters, left_out)
        shares = {
            "intents left out": float(np.isin(truth, left_out).sum() / (LEFT_OUT * ASKED)),
            "known intents": float((~np.isin(truth, [*left_out, "oos"])).sum() / (len(labels) - LEFT_OUT * ASKED)),
            "no intent": float((truth == "oos").sum() / (len(texts) - len(labels))),
        }
        return {"logged": len(logged), "abstained": shares, "clusters": figures, "seconds": seconds, "names": proposed}


def _evaluate(truth: np.ndarray, numbers: np.ndarray, left_out: Sequence[str]) -> dict[str, float]:
    """How well the clusters recover the omitted intents; a negative number stands for no cluster."""
    sizes = {number: int((numbers == number).sum()) for number in np.unique(numbers[numbers >= 0])}
    clusters = {number: truth[numbers == number] for number, size in sizes.items() if size >= LEAST}
    recovered = [
        intent
        for intent in left_out
        if any(
            (own == intent).mean() >= 0.5 and 2 * (own == intent).sum() >= (truth == intent).sum()
            for own in clusters.values()
        )
    ]
    of_left_out = np.isin(truth, left_out)
    inside = np.where(np.isin(numbers, list(clusters)), numbers, -1)[of_left_out]
    return {
        "recovered": len(recovered),
        "clusters": len(clusters),
        "about_one_left_out": float(
            np.mean([(own == _most(own)).mean() >= 0.5 and _most(own) in left_out for own in clusters.values()])
        ),
        "ari": float(adjusted_rand_score(truth[of_left_out], inside)),
        "homogeneity": float(homogeneity_score(truth[of_left_out], inside)),
    }


def _most(labels: np.ndarray) -> str:
    names, counts = np.unique(labels, return_counts=True)
    return str(names[counts.argmax()])


def _join(bench: Bench, *parts: tuple[str, np.ndarray]) -> tuple[list[str], np.ndarray]:
    texts = [bench.texts[name][i] for name, rows in parts for i in rows]
    return texts, np.concatenate([bench.base[name][rows] for name, rows in parts])


def _read(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["text"], row["label"]) for row in rows]


def show(draws: list[dict[str, Any]]) -> None:
    header = [
        "intents recovered",
        "clusters kept",
        "of them about one intent left out",
        "ARI",
        "homogeneity",
        "seconds",
    ]
    table = Table("clusters", *header, box=box.MARKDOWN)
    for name in draws[0]["clusters"]:
        rows = [draw["clusters"][name] for draw in draws]
        seconds = [draw["seconds"][name] for draw in draws]
        table.add_row(
            name,
            f"{sum(row['recovered'] for row in rows)} of {LEFT_OUT * len(rows)}",
            *(
                f"{np.mean([row[key] for row in rows]):.{digits}f}"
                for key, digits in (("clusters", 0), ("about_one_left_out", 2), ("ari", 3), ("homogeneity", 3))
            ),
            f"{np.mean(seconds):.1f}",
        )
    Console(width=160).print(table)
    for draw in draws:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in draw["abstained"].items())
        print(f"{draw['logged']} queries logged; abstained from: {shares}")
        print("  " + ", ".join(f"search, log={log} {draw['seconds'][log]:.2f} s" for log in LOGS))
        for name, size, intent, near in draw["names"]:
            print(f"  {size:4} {name:30} {intent:30} nearest label: {near}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, nargs="+", default=[3, 4, 5], help="numbers of the draws, 0 to 9")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    print("python", *sys.argv)
    ran_on = machine("scikit-learn", "qdrant-edge-py")
    print(", ".join(f"{name} {value}" for name, value in ran_on.items()), flush=True)
    bench = Bench(options.data)
    draws = [bench.draw(number) for number in options.draws]
    show(draws)
    if options.json is not None:
        figures = {"command": sys.argv, "machine": ran_on, "draws": draws}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

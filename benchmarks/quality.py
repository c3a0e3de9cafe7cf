"""How well feature groups answer and abstain on CLINC150, from texts to table in one run.

    python benchmarks/quality.py --data FOLDER [--seeds 3] [--json FILE] [--plots FOLDER] [--end-to-end]
    python benchmarks/quality.py --data FOLDER --through-index
    python benchmarks/quality.py --data FOLDER --sets [--curekart FOLDER] [--seeds 3] [--plots FOLDER]

FOLDER contains train, val, test, oos_train, oos_val and oos_test as JSONL (Larson et al., 2019), one
``{"text", "label"}`` per line. train is indexed; test and oos_test are the queries, ranked by the named score. An
out-of-scope query is always wrong. R@1 is computed over the in-scope queries, all other metrics over all queries.
Hyperparameters and calibration use val and oos_val; test is evaluated once. All methods use the same cached embeddings
of all-MiniLM-L6-v2. --plots draws the risk-coverage curves of the main methods for seed 0.

--through-index checks only the engine: with the default head, R@1 and AUROC of a ConfidenceIndex in a folder, which
stores sparse vectors, must equal those of the full arrays to three digits; otherwise the exit status is 1.

--sets compares answerability with confidence, score, base cosine and logistic regression on five sets of queries, with
and without an answer (quality_sets.py); with --plots it also draws the queries of CLINC150 before and after.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import quality_sets
import torch
from machine import machine
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from fg_search import (
    Calibrator,
    Codebook,
    ConfidenceIndex,
    FeatureEmbeddings,
    FeatureGroupEncoder,
    FeatureGroupHead,
    threshold_for_precision,
)
from fg_search.arrays import unit_rows
from fg_search.confidence import EVIDENCE_HITS, result_features
from fg_search.evaluation import (
    CurvePoint,
    bootstrap_interval,
    expected_calibration_error,
    risk_coverage_curve,
    selective_report,
)
from fg_search.evaluation import auroc as auroc_of
from fg_search.plots import check_matplotlib, risk_coverage_plot, save

OUT_OF_SCOPE = "oos"
SPLITS = ("train", "val", "test", "oos_train", "oos_val", "oos_test")
FIGURES = ("recall_at_1", "auroc", "aurc", "coverage_at_95", "coverage_at_99", "out_of_scope_auroc", "fpr_at_95_tpr")
CHUNK = 512
COSINE, REGRESSION = "base cosine, nearest neighbour", "logistic regression, max probability"
_THREE_DIGITS = 0.0005


@dataclass(frozen=True)
class Queries:
    """Held-out queries: texts, base embeddings (n, d), labels, and whether each is in scope."""

    texts: list[str]
    base: np.ndarray
    labels: np.ndarray
    in_scope: np.ndarray


@dataclass(frozen=True)
class Answers:
    """Label of each query's top hit, and the confidence that ranks the queries."""

    labels: np.ndarray
    confidence: np.ndarray


class Bench:
    """The data, embedded once, and the results so far."""

    def __init__(self, data: Path) -> None:
        self.encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
        rows = {name: _read(data / f"{name}.jsonl") for name in SPLITS}
        self.encoder.embed([text for text, _ in rows["oos_train"]])  # warm up
        start = time.perf_counter()
        self.train = self._queries(rows["train"])
        self.encoding_seconds = time.perf_counter() - start
        self.validation = self._queries(rows["val"] + rows["oos_val"])
        self.test = self._queries(rows["test"] + rows["oos_test"])
        self.rows: dict[str, list[dict[str, float]]] = {}
        self.curves: dict[str, list[CurvePoint]] = {}

    def _queries(self, rows: list[tuple[str, str]]) -> Queries:
        texts, labels = [text for text, _ in rows], np.array([label for _, label in rows])
        return Queries(texts, self.encoder.embed(texts), labels, labels != OUT_OF_SCOPE)

    def add(self, name: str, answers: Answers) -> None:
        """Evaluate a method's answers to the test queries."""
        right = (answers.labels == self.test.labels) & self.test.in_scope
        report = asdict(selective_report(answers.confidence, right, self.test.in_scope))
        self.rows.setdefault(name, []).append(report)
        self.curves.setdefault(name, risk_coverage_curve(answers.confidence, right))
        print(f"  {name}: R@1 {report['recall_at_1']:.4f}, AUROC {report['auroc']:.4f}", flush=True)


def peers(bench: Bench) -> dict[str, Any]:
    """Baselines on the same embeddings, without feature groups."""
    train, test, validation = bench.train, bench.test, bench.validation
    cosine, nearest = _nearest(test.base, train.base)
    bench.add(COSINE, Answers(train.labels[nearest[:, 0]], cosine[:, 0]))

    def vote(neighbours: int, queries: Queries) -> Answers:
        model = KNeighborsClassifier(neighbours, metric="cosine", weights="distance").fit(train.base, train.labels)
        return _most_probable(model, queries)

    def regression(c: float, queries: Queries) -> Answers:
        return _most_probable(models[c], queries)

    def best(options: tuple[Any, ...], answer: Callable[[Any, Queries], Answers]) -> Any:
        def quality(option: Any) -> float:
            found = answer(option, validation)
            return auroc_of(found.confidence, (found.labels == validation.labels) & validation.in_scope)

        return max(options, key=quality)

    neighbours = best((5, 10, 20), vote)
    bench.add("nearest-neighbour vote", vote(neighbours, test))
    models, seconds = {}, {}
    for c in (1.0, 10.0, 100.0):
        start = time.perf_counter()
        models[c] = LogisticRegression(C=c, max_iter=1000).fit(train.base, train.labels)
        seconds[c] = time.perf_counter() - start
    chosen = best(tuple(models), regression)
    bench.add(REGRESSION, regression(chosen, test))
    return {"neighbours": neighbours, "regression_c": chosen, "regression_seconds": seconds[chosen]}


def feature_groups(bench: Bench, seed: int) -> dict[str, Any]:
    """The default head, ranked by score, query confidence and calibrated confidence."""
    train, test, encoder = bench.train, bench.test, bench.encoder
    start = time.perf_counter()
    encoder.fit(train.texts, labels=train.labels.tolist(), vectors=train.base, seed=seed)
    seconds = time.perf_counter() - start
    points = encoder.features(train.base)
    queries = encoder.features(test.base)
    scores, hits = _top_scores(queries, points)
    found = train.labels[hits[:, 0]]
    bench.add(_default(encoder), Answers(found, scores[:, 0]))
    bench.add("  the same, query confidence", Answers(found, queries.confidence))
    bench.add("  the same, answerability", Answers(found, queries.answerability))

    held_out = bench.validation
    of_held_out = encoder.features(held_out.base)
    held_out_scores, held_out_hits = _top_scores(of_held_out, points)
    right = (train.labels[held_out_hits[:, 0]] == held_out.labels) & held_out.in_scope
    known = _evidence(of_held_out, points, held_out_scores, held_out_hits, train.labels)
    calibrator = Calibrator().fit(known, right)
    calibrated = calibrator.predict(_evidence(queries, points, scores, hits, train.labels))
    bench.add("  the same, calibrated result confidence", Answers(found, calibrated))

    correct = (found == test.labels) & test.in_scope
    head, codebook = _trained(encoder)
    temperature = head.history.calibration if head.history is not None else None
    if temperature is None:
        raise RuntimeError("the head was not calibrated")
    codes = codebook.targets_of_labels([str(label) for label in test.labels])[test.in_scope]
    sure, hit = queries.group_confidence[test.in_scope].ravel(), (queries.codes[test.in_scope] == codes).ravel()
    return {
        "fit_seconds": seconds,
        "temperature": temperature.temperature,
        "group_ece_held_out_before": temperature.ece_before,
        "group_ece_held_out_after": temperature.ece_after,
        "group_ece_test_in_scope": expected_calibration_error(sure.clip(0, 1), hit),
        "result_ece_test": expected_calibration_error(calibrated, correct),
        "auroc_interval": str(bootstrap_interval(auroc_of, scores[:, 0], correct, resamples=300)),
        "guarantee": _guarantee(scores[:, 0], correct, seed),
        "codebook_labels": len(codebook.labels),
    }


def variants(bench: Bench, seed: int) -> None:
    """Other head sizes for comparison."""
    train, test = bench.train, bench.test
    for name, options in {
        "linear head, 4 x 128": {"groups": 4, "codes": 128, "hidden": None},
        "one trunk of 512, 16 x 32": {"groups": 16, "hidden": 512, "trunks": 1},
    }.items():
        bench.encoder.fit(
            train.texts,
            labels=train.labels.tolist(),
            vectors=train.base,
            seed=seed,
            **options,  # type: ignore[arg-type]
        )
        scores, hits = _top_scores(bench.encoder.features(test.base), bench.encoder.features(train.base))
        bench.add(f"{name}, score", Answers(train.labels[hits[:, 0]], scores[:, 0]))


def unsupervised(bench: Bench, seed: int) -> dict[str, Any]:
    """A head trained on clusters: base embeddings rank the hits, feature groups provide the confidence."""
    train, test, encoder = bench.train, bench.test, bench.encoder
    start = time.perf_counter()
    encoder.fit(train.texts, vectors=train.base, seed=seed)
    seconds = time.perf_counter() - start
    points, queries, of_held_out = (encoder.features(part.base) for part in (train, test, bench.validation))
    cosines, near = _nearest(test.base, train.base, EVIDENCE_HITS)
    found = train.labels[near[:, 0]]
    bench.add("unsupervised, base ranks, query confidence", Answers(found, queries.confidence))
    similarity = _similarity(queries, points[near[:, 0]])
    bench.add("unsupervised, base ranks, score of the top hit", Answers(found, similarity))
    held_out_cosines, held_out_near = _nearest(bench.validation.base, train.base, EVIDENCE_HITS)
    right = (train.labels[held_out_near[:, 0]] == bench.validation.labels) & bench.validation.in_scope
    known = _evidence(of_held_out, points, held_out_cosines, held_out_near, train.labels)
    calibrated = Calibrator().fit(known, right).predict(_evidence(queries, points, cosines, near, train.labels))
    bench.add("unsupervised, base ranks, calibrated result confidence", Answers(found, calibrated))
    _, hits = _top_scores(queries, points)
    bench.add("unsupervised, features rank, query confidence", Answers(train.labels[hits[:, 0]], queries.confidence))
    correct = (found == test.labels) & test.in_scope
    return {
        "unsupervised_fit_seconds": seconds,
        "unsupervised_result_ece_test": expected_calibration_error(calibrated, correct),
    }


def end_to_end(bench: Bench, seed: int, epochs: int) -> dict[str, Any]:
    """Head and base model trained end to end, starting from the head trained on the frozen base model."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    from fg_search import FeatureGroupLoss

    train, test, validation = bench.train, bench.test, bench.validation
    encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
    encoder.fit(train.texts, labels=train.labels.tolist(), vectors=train.base, closed_form=False, seed=seed)
    _, codebook = _trained(encoder)
    model = encoder.to_sentence_transformer()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                folder,
                num_train_epochs=epochs,
                per_device_train_batch_size=64,
                learning_rate=5e-5,
                warmup_steps=0.1,
                seed=seed,
                save_strategy="no",
                report_to="none",
            ),
            train_dataset=Dataset.from_dict({"text": train.texts, "label": codebook.targets.tolist()}),
            loss=FeatureGroupLoss(model),
        ).train()
    seconds = time.perf_counter() - start
    tuned = FeatureGroupEncoder.from_sentence_transformer(model, codebook)
    tuned.calibrate_temperature(
        [text for text, inside in zip(validation.texts, validation.in_scope, strict=True) if inside],
        validation.labels[validation.in_scope].tolist(),
    )
    scores, hits = _top_scores(tuned.encode(test.texts), tuned.encode(train.texts))
    bench.add("end to end, score", Answers(train.labels[hits[:, 0]], scores[:, 0]))
    return {"end_to_end_seconds": seconds}


def through_index(bench: Bench, seed: int) -> bool:
    """Compare R@1 and AUROC of an index with those of the full arrays; whether they agree to three digits."""
    train, test, encoder = bench.train, bench.test, bench.encoder
    encoder.fit(train.texts, labels=train.labels.tolist(), vectors=train.base, seed=seed)
    points, queries = encoder.features(train.base), encoder.features(test.base)
    scores, hits = _top_scores(queries, points)
    bench.add("whole arrays", Answers(train.labels[hits[:, 0]], scores[:, 0]))
    with tempfile.TemporaryDirectory() as folder, ConfidenceIndex(folder, encoder) as index:
        index.add(train.texts, ids=range(len(train.texts)), labels=train.labels.tolist(), embeddings=points)
        results = index.search_many(test.texts, embeddings=queries, limit=1, rank_by="features")
    found = [result.hits[0] for result in results]
    bench.add(
        "ConfidenceIndex", Answers(np.array([hit.label for hit in found]), np.array([hit.score for hit in found]))
    )
    (arrays,), (indexed,) = bench.rows["whole arrays"], bench.rows["ConfidenceIndex"]
    differ = [name for name in ("recall_at_1", "auroc") if abs(arrays[name] - indexed[name]) >= _THREE_DIGITS]
    print(f"through the index: {'DIFFERENT ' + ', '.join(differ) if differ else 'the same to three digits'}")
    return not differ


def compare_sets(options: argparse.Namespace, ran_on: dict[str, Any]) -> None:
    """Measure all methods on all sets."""
    encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
    corpora = quality_sets.Corpora(encoder, options.data, options.curekart)
    found = quality_sets.measure(corpora, encoder, options.seeds)
    quality_sets.show(found)
    if options.json is not None:
        figures = {"command": sys.argv, "machine": ran_on, "rows": found}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.plots is not None:
        quality_sets.draw(corpora, encoder, options.plots / "how_sure.png")


def draw(bench: Bench, folder: Path) -> None:
    """Draw the risk-coverage curves of the default head and of the baselines."""
    curves = {name: bench.curves[name] for name in (_default(bench.encoder), REGRESSION, COSINE)}
    queries, unanswerable = len(bench.test.texts), int((~bench.test.in_scope).sum())
    figure = risk_coverage_plot(
        curves, note=f"CLINC150: {queries:,} test queries, {unanswerable:,} of them out of scope, always wrong"
    )
    print(save(figure, folder / "risk_coverage.png"))


def _default(encoder: FeatureGroupEncoder) -> str:
    return f"fg_search default ({encoder.groups} x {encoder.codes_per_group}), score"


def _trained(encoder: FeatureGroupEncoder) -> tuple[FeatureGroupHead, Codebook]:
    if encoder.head is None or encoder.codebook is None:
        raise RuntimeError("the encoder was not fitted")
    return encoder.head, encoder.codebook


def _guarantee(confidence: np.ndarray, correct: np.ndarray, seed: int) -> dict[str, float]:
    """How often a calibrated threshold misses its target, over random samples of 1,000 test queries."""
    rng = np.random.default_rng(seed)
    missed, coverages = 0, []
    for _ in range(500):
        drawn = rng.integers(len(correct), size=1000)
        found = threshold_for_precision(confidence[drawn], correct[drawn], 0.95, delta=0.1)
        coverages.append(found.coverage)
        missed += found.threshold is not None and bool(correct[confidence >= found.threshold].mean() < 0.95)
    return {"target": 0.95, "delta": 0.1, "missed": float(missed / 500), "mean_coverage": float(np.mean(coverages))}


def _evidence(
    queries: FeatureEmbeddings, points: FeatureEmbeddings, scores: np.ndarray, hits: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    top = points[hits[:, 0]]
    return result_features(
        scores,
        similarity=_similarity(queries, top),
        query_confidence=queries.confidence,
        hit_confidence=top.confidence,
        query_familiarity=queries.familiarity,
        labels=labels[hits],
    )


def _similarity(queries: FeatureEmbeddings, hits: FeatureEmbeddings) -> np.ndarray:
    """Feature-group similarity (n,) of each query and its hit."""
    return (queries.probabilities * hits.probabilities).sum(axis=(1, 2)) / queries.groups


def _top_scores(queries: FeatureEmbeddings, points: FeatureEmbeddings) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows of the best points by exact search, (n, EVIDENCE_HITS) each, best first."""
    return _top(
        queries.probabilities.reshape(len(queries), -1),
        points.probabilities.reshape(len(points), -1),
        EVIDENCE_HITS,
        queries.groups,
    )


def _nearest(queries: np.ndarray, points: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and rows of the k nearest points, (n, k) each."""
    return _top(unit_rows(queries), unit_rows(points), k, 1)


def _top(queries: np.ndarray, points: np.ndarray, k: int, scale: int) -> tuple[np.ndarray, np.ndarray]:
    stored = torch.from_numpy(points)
    parts = [
        (torch.from_numpy(queries[start : start + CHUNK]) @ stored.T / scale).topk(k)
        for start in range(0, len(queries), CHUNK)
    ]
    return torch.cat([part.values for part in parts]).numpy(), torch.cat([part.indices for part in parts]).numpy()


def _most_probable(model: Any, queries: Queries) -> Answers:
    probability = model.predict_proba(queries.base)
    return Answers(model.classes_[probability.argmax(axis=1)], probability.max(axis=1))


def _read(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["text"], row["label"]) for row in rows]


def show(rows: dict[str, list[dict[str, float]]]) -> None:
    table = Table("ranked by", "R@1", "AUROC", "AURC x 1000", "cov@95", "cov@99", "OOS AUROC", "FPR@95TPR")
    for name, reports in rows.items():
        cells = []
        for figure in FIGURES:
            values = np.array([report[figure] for report in reports])
            scale, digits = (1000, 1) if figure == "aurc" else (1, 3)
            spread = f" ± {values.std(ddof=1) * scale:.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{values.mean() * scale:.{digits}f}{spread}")
        table.add_row(name, *cells)
    Console(width=150).print(table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--plots", type=Path, help="also draw the curves into this folder")
    parser.add_argument("--end-to-end", action="store_true", help="also train end to end (slow)")
    parser.add_argument(
        "--through-index", action="store_true", help="only check that an index ranks like the full arrays"
    )
    parser.add_argument("--sets", action="store_true", help="only compare on sets with queries that have no answer")
    parser.add_argument("--curekart", type=Path, help="folder of HINT3 Curekart (train, choose, test), for --sets")
    parser.add_argument("--epochs", type=int, default=1, help="epochs of end-to-end training")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    ran_on = machine("scikit-learn")
    print("python", *sys.argv)
    print(", ".join(f"{name} {value}" for name, value in ran_on.items()), flush=True)
    if options.plots is not None:
        check_matplotlib()
        options.plots.mkdir(parents=True, exist_ok=True)
    (compare_sets if options.sets else compare_methods)(options, ran_on)


def compare_methods(options: argparse.Namespace, ran_on: dict[str, Any]) -> None:
    """Measure all methods on CLINC150, or only check the index."""
    bench = Bench(options.data)
    if options.through_index:
        sys.exit(0 if through_index(bench, 0) else 1)
    facts: dict[str, Any] = {"encoding_seconds": bench.encoding_seconds, **peers(bench)}
    by_seed = []
    for seed in range(options.seeds):
        print(f"seed {seed}", flush=True)
        by_seed.append(feature_groups(bench, seed))
        if not seed and options.plots is not None:
            draw(bench, options.plots)
        variants(bench, seed)
        by_seed[-1] |= unsupervised(bench, seed)
    facts["by_seed"] = by_seed
    if options.end_to_end:
        facts |= end_to_end(bench, 0, options.epochs)
    show(bench.rows)
    for name, key in (("fit", "fit_seconds"), ("unsupervised fit", "unsupervised_fit_seconds")):
        facts[f"{key}_over_encoding"] = float(np.mean([run[key] for run in by_seed]) / bench.encoding_seconds)
        print(f"{name} takes {facts[f'{key}_over_encoding']:.2f} of the time to encode the corpus")
    print(
        f"encoding the corpus {bench.encoding_seconds:.1f} s, logistic regression {facts['regression_seconds']:.1f} s"
    )
    for name, first in by_seed[0].items():
        values = [f"{run[name]:.4g}" if isinstance(first, float) else str(run[name]) for run in by_seed]
        print(f"{name}: {', '.join(values)}")
    if options.json is not None:
        figures = {"command": sys.argv, "machine": ran_on, "facts": facts, "rows": bench.rows}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Is traffic recognised that differs from the judged queries in another way than by its share of unanswerable ones?

    python benchmarks/shift.py --data FOLDER [--curekart FOLDER] [--draws 10] [--evidence FILE] [--shifts FILE]
        [--json FILE]

False alarms: from each population of promise.py, judged queries are drawn (500 or 2,000, of which 3 % or 10 % have no
answer), and windows of traffic (300 or 1,000 queries, of which 0 to 40 % have none), with replacement. Nothing else
differs. In half of the windows the queries are asked more than once, some of them often. Printed is how often
`index.check_traffic` says that something does.

Power: an index of CLINC150 without a third of its intents; judged are queries of the other intents, and queries far
from all of them. Then comes traffic of another kind: the intents that were left out; another script, letter by letter;
letters of each word shuffled; typing errors; other ways to put a question; a head fitted with another seed; a few
intents that make up half of the traffic. Printed is how often that is said, and the precision of the answers where .95
was promised.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from promise import Population, populations_of
from rich.console import Console
from rich.table import Table

from fg_search.confidence.promise import PrecisionPromise
from fg_search.confidence.traffic_shift import LEVEL

JUDGED = (500, 2000)
JUDGED_SHARES = (0.03, 0.1)
WINDOWS = (300, 1000)
SHARES = (0.0, 0.1, 0.2, 0.4)
TARGET = 0.95
_MORE = 4
_CHANGED = 1000  # queries of each changed kind
_LATIN, _CYRILLIC = "abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувшхыз"
_OPENINGS = ("hello there, ", "i was wondering, ", "quick question: ", "hi, sorry to bother you but ", "um so ")
_ENDINGS = ("", " please", ", can you help me with that", " thanks a lot", ", if that is possible")


def another_script(text: str, _: np.random.Generator) -> str:
    """The same letters in Cyrillic."""
    return text.lower().translate(str.maketrans(_LATIN, _CYRILLIC))


def shuffled(text: str, rng: np.random.Generator) -> str:
    """Words of the same letters that mean nothing: what a language looks like that the model does not know."""
    return " ".join("".join(rng.permutation(list(word))) for word in text.split())


def mistyped(text: str, rng: np.random.Generator) -> str:
    """Two letters of a third of the words change places."""
    words = text.split()
    for i, word in enumerate(words):
        if len(word) > 3 and rng.uniform() < 0.3:
            at = rng.integers(0, len(word) - 1)
            words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def paraphrased(text: str, rng: np.random.Generator) -> str:
    """The same question with words around it."""
    return f"{rng.choice(_OPENINGS)}{text}{rng.choice(_ENDINGS)}"


CHANGES = {"another script": another_script, "letters shuffled": shuffled, "typing errors": mistyped,
           "words around it": paraphrased}  # fmt: skip


def false_alarms(populations: dict[str, Population], draws: int) -> list[dict[str, Any]]:
    """Windows of traffic that differs in nothing but the share of unanswerable queries."""
    found = []
    for seed in range(draws):
        for number, (name, population) in enumerate(populations.items()):
            for count, judged_share in ((count, share) for count in JUDGED for share in JUDGED_SHARES):
                rng = np.random.default_rng([seed, number, count, round(100 * judged_share)])
                promise = learned(population, population.draw(rng, count, judged_share))
                if promise.ratio is None:
                    continue
                for window, share in ((window, share) for window in WINDOWS for share in SHARES):
                    rows, counts = population.draw(rng, window, share), None
                    if seed % 2:
                        counts = np.minimum(rng.zipf(2.0, window), 100).astype(float)
                    shift = promise.shift(population.rows(rows), counts=counts)
                    about = {"set": name, "judged": count, "judged_share": judged_share, "window": window}
                    found.append(about | {"share": share, "often": counts is not None, "p": shift.p_value})
        rates = [_rate([row["p"] for row in found if row["often"] == often]) for often in (False, True)]
        print(f"draw {seed}: {rates[0]} false alarms, {rates[1] or 'none'} where queries are repeated", flush=True)
    return found


def learned(population: Population, rows: np.ndarray) -> PrecisionPromise:
    """A promise by judged queries."""
    return PrecisionPromise.learn(population.rows(rows), population.correct[rows], population.answerable[rows])


def powers(kinds: dict[str, Population], draws: int) -> list[dict[str, Any]]:
    """Windows of traffic of which a part is of another kind."""
    judged, found = kinds["judged"], []
    for seed in range(draws):
        for count, judged_share in ((count, share) for count in JUDGED for share in JUDGED_SHARES):
            rng = np.random.default_rng([seed, count, round(100 * judged_share)])
            promise = learned(judged, judged.draw(rng, count, judged_share))
            if promise.ratio is None:
                continue
            for kind, other in kinds.items():
                if kind == "judged":
                    continue
                for part, window in ((part, window) for part in (0.1, 0.2, 0.5, 1.0) for window in WINDOWS):
                    strange = rng.binomial(window, part)
                    rows, others = (
                        judged.draw(rng, window - strange, 0.05),
                        rng.integers(0, len(other.correct), strange),
                    )
                    features = {
                        name: np.concatenate([values[rows], other.features[name][others]])
                        for name, values in judged.features.items()
                    }
                    correct = np.concatenate([judged.correct[rows], other.correct[others]])
                    shift, adapted = promise.shift(features), promise.adapted(features)
                    threshold = adapted.threshold(TARGET)
                    answered = np.zeros(window, dtype=bool)
                    if threshold:
                        answered = adapted.confidence(features) >= threshold.threshold
                    found.append(
                        {"kind": kind, "judged": count, "judged_share": judged_share, "window": window, "part": part,
                         "p": shift.p_value, "feature": shift.feature, "answered": int(answered.sum()),
                         "right": int(correct[answered].sum())}
                    )  # fmt: skip
        print(f"draw {seed}", flush=True)
    return found


def show_false_alarms(found: list[dict[str, Any]]) -> None:
    """How often something was said to differ that did not."""
    columns = [f"{window:,} queries, {share:.0%}" for window in WINDOWS for share in SHARES]
    table = Table("judged", *columns, title="windows with a false alarm, by queries and share without an answer")
    for count, judged_share in ((count, share) for count in JUDGED for share in JUDGED_SHARES):
        cells = []
        for window, share in ((window, share) for window in WINDOWS for share in SHARES):
            wanted = {"judged": count, "judged_share": judged_share, "window": window, "share": share}
            cells.append(_rate([row["p"] for row in found if wanted.items() <= row.items()]))
        table.add_row(f"{count:,}, {judged_share:.0%} without an answer", *cells)
    Console(width=170).print(table)
    for name in sorted({row["set"] for row in found}):
        for often in (False, True):
            rows = [row["p"] for row in found if row["set"] == name and row["often"] == often]
            if rows:
                print(f"{name}{', asked repeatedly' if often else ''}: {_rate(rows)} of {len(rows)} windows")


def show_powers(found: list[dict[str, Any]]) -> None:
    """How often another kind of traffic was recognised, and what became of the promise."""
    columns = [f"{count:,} judged, window of {window:,}" for count in JUDGED for window in WINDOWS]
    table = Table("traffic", "part of it", *columns, "precision", title="windows in which the shift is recognised")
    for kind in dict.fromkeys(row["kind"] for row in found):
        for part in sorted({row["part"] for row in found}):
            ours = [row for row in found if row["kind"] == kind and row["part"] == part]
            cells = [
                _rate([row["p"] for row in ours if row["judged"] == count and row["window"] == window])
                for count in JUDGED for window in WINDOWS
            ]  # fmt: skip
            answered = sum(row["answered"] for row in ours)
            precision = f"{sum(row['right'] for row in ours) / answered:.3f}" if answered else "none"
            table.add_row(kind, f"{part:.0%}", *cells, precision)
        table.add_section()
    Console(width=170).print(table)


def _rate(p_values: list[float]) -> str:
    return f"{np.mean(np.asarray(p_values) < LEVEL):.1%}" if p_values else ""


def kinds_of(options: argparse.Namespace) -> dict[str, Population]:
    """Evidence of queries as judged and of each other kind, or what an earlier run kept of it."""
    if options.shifts is None or not options.shifts.exists():
        kept = _collect(options)
        if options.shifts is None:
            return kept
        np.savez_compressed(
            options.shifts,
            **{
                f"{kind}|{key}": values
                for kind, population in kept.items()
                for key, values in (
                    *population.features.items(), ("correct", population.correct), ("answerable", population.answerable)
                )
            },
        )  # fmt: skip
    read: dict[str, dict[str, np.ndarray]] = {}
    with np.load(options.shifts) as arrays:
        for entry in arrays:
            kind, key = entry.split("|")
            read.setdefault(kind, {})[key] = arrays[entry]
    return {kind: Population(values, values.pop("correct"), values.pop("answerable")) for kind, values in read.items()}


def _collect(options: argparse.Namespace) -> dict[str, Population]:
    import quality_sets

    from fg_search import ConfidenceIndex, FeatureGroupEncoder

    rng = np.random.default_rng(0)
    encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")
    corpora = quality_sets.Corpora(encoder, options.data, None)
    queries = next(found for found in corpora.sets(0) if "left out" in found.name)
    train, asked, far = queries.train, queries.report, corpora.beyond["test"]
    known = np.flatnonzero(asked.labels != "")
    judged = asked[known] + far
    few = np.isin(asked.labels, rng.permutation(np.unique(train.labels))[:5])
    some = asked[rng.permutation(known)[:_CHANGED]]
    texts = {"judged": judged, "new intents": asked[np.flatnonzero(asked.labels == "")],
             "five intents": asked[np.flatnonzero(few)]}  # fmt: skip
    kinds = {}
    for seed in (0, 1):
        encoder.fit(train.texts, labels=train.labels.tolist(), vectors=train.base, seed=seed, show_progress=False)
        with tempfile.TemporaryDirectory() as folder, ConfidenceIndex(Path(folder) / "index", encoder) as index:
            index.add(
                train.texts, labels=train.labels.tolist(), embeddings=encoder.features(train.base), show_progress=False
            )
            if seed:
                kinds["another head"] = _population(index, some.texts, some.labels, encoder.features(some.base))
                continue
            for kind, examples in texts.items():
                kinds[kind] = _population(index, examples.texts, examples.labels, encoder.features(examples.base))
            for kind, change in CHANGES.items():
                changed = [change(text, rng) for text in some.texts]
                kinds[kind] = _population(index, changed, some.labels, None)
    return kinds


def _population(index: Any, texts: list[str], labels: np.ndarray, embeddings: Any) -> Population:
    from promise import _judged

    found = index._find(partial(_judged, texts, [label or None for label in labels.tolist()], embeddings))
    return Population(found.features, found.correct, found.in_scope)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of CLINC150")
    parser.add_argument("--curekart", type=Path, help="folder of HINT3 Curekart")
    parser.add_argument("--draws", type=int, default=10, help="of judged queries, and four times as many for alarms")
    parser.add_argument("--split", choices=("choose", "report"), default="report")
    parser.add_argument("--evidence", type=Path, help="file that keeps the populations of promise.py")
    parser.add_argument("--shifts", type=Path, help="file that keeps the other kinds of traffic")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    alarms = false_alarms(populations_of(options), _MORE * options.draws)
    found = powers(kinds_of(options), options.draws)
    show_false_alarms(alarms)
    show_powers(found)
    if options.json is not None:
        options.json.write_text("\n".join(map(json.dumps, alarms + found)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

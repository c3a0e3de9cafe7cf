"""How many labels fall short of a promised precision, with one threshold for all and with thresholds by label?

    python benchmarks/promise_by_label.py --data FOLDER [--curekart FOLDER] [--draws 100] [--queries 1000 3000]
        [--judged-share 0.1] [--split report] [--evidence FILE] [--json FILE]

Populations and draws are those of promise.py. The group of a query is the label of its best hit. A label falls short if
its answers, in the whole population, are right less often than the target; printed are the share of labels that do
(of those that are the best hit of at least ten queries of the population), the share of the answers that they give, the
same for labels that were promised the target by themselves, and precision and coverage of all answers together.
Defaults were chosen with --split choose.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from promise import DELTA, TARGETS, Population, populations_of
from rich.console import Console
from rich.table import Table

from fg_search.confidence.group_promise import JudgedGroups
from fg_search.confidence.promise import PrecisionPromise

FEWEST = 10  # queries of the population whose best hit has the label
NUMBERS = ("short", "of_promised", "answers", "of_answers_promised", "precision", "coverage", "missed", "promised")


def one_draw(
    population: Population, rng: np.random.Generator, count: int, share: float
) -> Iterator[tuple[float, str, list[float]]]:
    """Target, method, and :data:`NUMBERS`."""
    rows = population.draw(rng, count, share)
    groups = JudgedGroups.of("label", population.found[rows].tolist())
    learned = PrecisionPromise.learn(
        population.rows(rows), population.correct[rows], population.answerable[rows], groups=groups
    )
    confidence = learned.confidence(population.features)
    names, codes = np.unique(population.found, return_inverse=True)
    for target in TARGETS:
        pooled = learned.threshold(target, DELTA)
        by_label = learned.group_thresholds(pooled)
        found = [by_label.promise(name) for name in names.tolist()]
        promised = np.array([each.is_promised for each in found])
        for method, thresholds in (("pooled", [pooled] * len(found)), ("by label", [each.threshold for each in found])):
            least = np.array([np.inf if each.threshold is None else each.threshold for each in thresholds])
            yield target, method, realised(population, codes, confidence >= least[codes], promised, target, share)


def realised(
    population: Population,
    codes: np.ndarray,
    answered: np.ndarray,
    promised: np.ndarray,
    target: float,
    share: float,
) -> list[float]:
    """The :data:`NUMBERS` of some answers."""
    yes = population.answerable
    weight = np.where(yes, (1 - share) / yes.sum(), share / (~yes).sum())
    answers = np.bincount(codes, weight * answered, len(promised))
    right = np.bincount(codes, weight * (answered & population.correct), len(promised))
    counted = np.bincount(codes, minlength=len(promised)) >= FEWEST
    short = right < target * answers - 1e-9
    total = answers.sum()
    return [
        (short & counted).sum() / counted.sum(),
        _ratio((short & counted & promised).sum(), (counted & promised).sum()),
        _ratio(answers[short].sum(), total),
        _ratio(answers[short & promised].sum(), answers[promised].sum()),
        _ratio(right.sum(), total, 1.0),
        total,
        float(right.sum() < target * total - 1e-9),
        (counted & promised).sum() / counted.sum(),
    ]


def _ratio(part: float, whole: float, otherwise: float = 0.0) -> float:
    return float(part / whole) if whole else otherwise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of CLINC150")
    parser.add_argument("--curekart", type=Path, help="folder of HINT3 Curekart")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--queries", type=int, nargs="*", default=[1000, 3000], help="judged")
    parser.add_argument("--judged-share", type=float, default=0.1, help="of the queries that have no answer")
    parser.add_argument("--split", choices=("choose", "report"), default="report")
    parser.add_argument("--evidence", type=Path, help="file that keeps the populations")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = []
    for name, population in populations_of(options).items():
        for count in options.queries:
            rng = np.random.default_rng([count, round(100 * options.judged_share)])
            found: dict[tuple[float, str], list[list[float]]] = {}
            for _ in range(options.draws):
                for target, method, numbers in one_draw(population, rng, count, options.judged_share):
                    found.setdefault((target, method), []).append(numbers)
            means = {
                key: dict(zip(NUMBERS, np.mean(values, axis=0).tolist(), strict=True)) for key, values in found.items()
            }
            show(f"{name}; {count:,} judged queries", means)
            lines += [
                {"set": name, "queries": count, "target": target, "method": method, **numbers}
                for (target, method), numbers in means.items()
            ]
    if options.json is not None:
        options.json.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")


def show(title: str, means: dict[tuple[float, str], dict[str, float]]) -> None:
    """One table for each set and number of judged queries."""
    columns = ("labels that fall short", "of promised", "their answers", "of promised", "precision", "coverage")
    table = Table("target", "thresholds", *columns, "draws missed", "promised", title=title)
    for (target, method), numbers in means.items():
        table.add_row(f"{target:.0%}", method, *(f"{numbers[name]:.1%}" for name in NUMBERS))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()

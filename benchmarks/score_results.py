"""Score what ``fg-search search --queries FILE --json`` printed against the labels of the queries.

    fg-search search --queries test.jsonl --index INDEX --limit 1 --json > results.jsonl
    python benchmarks/score_results.py results.jsonl [--label label] [--out-of-scope oos]

A query is right if its top hit has its label; an out-of-scope query is always wrong. Two numbers rank the
queries: the top hit's score, and the query's own confidence.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fg_search.evaluation import SelectiveReport, selective_report


def score(results: Iterable[dict[str, Any]], *, label: str, out_of_scope: str) -> dict[str, SelectiveReport]:
    """A report for each number that can rank the queries, by its name."""
    found = list(results)
    truth = [result["row"][label] for result in found]
    in_scope = [wanted != out_of_scope for wanted in truth]
    right = [
        scoped and bool(result["hits"]) and result["hits"][0]["label"] == wanted
        for result, wanted, scoped in zip(found, truth, in_scope, strict=True)
    ]
    ranked_by = {
        "score of the top hit": [result["hits"][0]["score"] if result["hits"] else 0.0 for result in found],
        "query confidence": [result["query_confidence"] for result in found],
    }
    return {name: selective_report(values, right, in_scope) for name, values in ranked_by.items()}


def show(reports: dict[str, SelectiveReport]) -> None:
    table = Table("ranked by", "queries", "R@1", "AUROC", "AURC x 1000", "coverage at 95 %", "coverage at 99 %")
    for name, report in reports.items():
        table.add_row(
            name,
            f"{report.queries:,}",
            f"{report.recall_at_1:.3f}",
            f"{report.auroc:.3f}",
            f"{report.aurc * 1000:.1f}",
            f"{report.coverage_at_95:.3f}",
            f"{report.coverage_at_99:.3f}",
        )
    Console(width=None if Console().is_terminal else 120).print(table)


def read_results(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--label", default="label", help="column of the query file that holds the right label")
    parser.add_argument("--out-of-scope", default="oos", help="label of the queries about nothing in the index")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    reports = score(read_results(options.results), label=options.label, out_of_scope=options.out_of_scope)
    if options.json:
        print(json.dumps({name: asdict(report) for name, report in reports.items()}, indent=1))
    else:
        show(reports)


if __name__ == "__main__":
    main()

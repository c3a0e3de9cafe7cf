"""How fast fg_search is beside what it is made of: contestants in turns in one process, ratios of their rates.

    python benchmarks/speed.py [--device cpu] [--model tiny|minilm] [--rows encode index] [--rounds 7]
        [--processor-time] [--json FILE]

On a processor, a BERT of one layer of 64 (``tiny``) stands in for a GPU: it is so fast that all the rest shows. On
another device the default is all-MiniLM-L6-v2 itself (``minilm``). Each row is one of ours beside one of theirs, on the
same texts; a round runs all of them, in changing order, and a row's figure is the median of its ratios, so that what
else the machine does meanwhile hits both. --processor-time counts the processor time of this process instead, which
tells more on a machine that is busy; threads that wait for one another count too, so set OMP_NUM_THREADS=1 with it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import speed_encode
import speed_index
from machine import machine
from rich.console import Console
from rich.table import Table
from speed_data import MODELS, Row, data_of

PARTS: dict[str, Callable[..., list[Row]]] = {"encode": speed_encode.rows, "index": speed_index.rows}


@dataclass(frozen=True)
class Result:
    """A row, measured.

    Attributes:
        what: What was compared.
        ours: Median rate of fg_search, a second.
        theirs: Median rate of the other, a second.
        ratio: Median over the rounds of our rate over theirs.
        spread: Quartiles of these ratios.
        wanted: Least ratio that is wanted, ``None`` if there is no such target.
    """

    what: str
    ours: float
    theirs: float
    ratio: float
    spread: tuple[float, float]
    wanted: float | None


def measure(rows: Sequence[Row], rounds: int, clock: Callable[[], float]) -> list[Result]:
    """Run all rows, after one round that is not counted; ``clock`` tells seconds."""
    ratios: dict[str, list[float]] = {row.what: [] for row in rows}
    rates: dict[str, list[tuple[float, float]]] = {row.what: [] for row in rows}
    for turn in range(rounds + 1):
        for row in rows:
            ours, theirs = _in_turn(row, clock, ours_first=bool(turn % 2))
            if turn:
                ratios[row.what].append(theirs / ours)
                rates[row.what].append((row.count / ours, row.count / theirs))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    results = []
    for row in rows:
        first, middle, last = np.percentile(ratios[row.what], [25, 50, 75]).tolist()
        ours, theirs = np.median(rates[row.what], axis=0).tolist()
        results.append(Result(row.what, ours, theirs, middle, (first, last), row.wanted))
    return results


def _in_turn(row: Row, clock: Callable[[], float], *, ours_first: bool) -> tuple[float, float]:
    """Seconds of both contestants of a row."""
    if ours_first:
        ours = _seconds(row.ours, clock)
        return ours, _seconds(row.theirs, clock)
    theirs = _seconds(row.theirs, clock)
    return _seconds(row.ours, clock), theirs


def _seconds(function: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    function()
    return clock() - start


def show(results: Sequence[Result], title: str) -> None:
    """Print the table."""
    table = Table("row", "fg_search, a second", "the other", "ratio", "quartiles", "wanted", "", title=title)
    for result in results:
        reached = "" if result.wanted is None else "reached" if result.ratio >= result.wanted else "missed"
        wanted = "" if result.wanted is None else f"at least {result.wanted:g}"
        rates = (f"{rate:,.0f}" for rate in (result.ours, result.theirs))
        low, high = result.spread
        table.add_row(result.what, *rates, f"{result.ratio:.2f}", f"{low:.2f} to {high:.2f}", wanted, reached)
    Console(width=130).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", choices=MODELS, help="default: tiny on a processor, otherwise minilm")
    parser.add_argument("--rows", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = data_of(options.device, options.model)
    clock = time.process_time if options.processor_time else time.perf_counter
    results = measure([row for part in options.rows for row in PARTS[part](data)], options.rounds, clock)
    where: dict[str, Any] = machine("transformers", "tokenizers", "qdrant-edge-py", "qdrant-client")
    where |= {"device": data.device_name, "command": "python " + " ".join(sys.argv)}
    show(results, f"{data.model}, {data.device_name}")
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    if options.json:
        figures = {"machine": where, "model": data.model, "rows": [asdict(result) for result in results]}
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

"""CLINC150 through the command line: fit, index, calibrate, search, evaluate.

    python benchmarks/clinc150.py --data FOLDER [--work FOLDER] [--json FILE] [--seed 0]

FOLDER contains train, val, test, oos_val and oos_test.jsonl (Larson et al., 2019), one ``{"id", "text", "label"}`` per
line. The head is fitted on the training utterances, which are then indexed. The validation files are used for
calibration. All test queries are searched in one call and evaluated; an out-of-scope query is always wrong. Each step
is a separate process, so its time includes start-up and loading the model. The cache is empty at first; indexing reuses
the base embeddings that fitting added to it. Search time of encoded queries is compared with the time to encode them in
the same call.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine
from rich.console import Console
from rich.table import Table

TIMED = re.compile(r"^(encoded|searched) [\d,]+ queries in ([\d.]+) s$", re.MULTILINE)
FIGURES = ("recall_at_1", "auroc", "aurc", "coverage_at_95", "coverage_at_99", "out_of_scope_auroc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="keep encoder and index here")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        figures = run(options.data, options.work, options.seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            figures = run(options.data, Path(folder), options.seed)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def run(data: Path, work: Path, seed: int) -> dict[str, Any]:
    encoder, index, train = work / "encoder", work / "index", data / "train.jsonl"
    ran_on = machine("qdrant-edge-py")
    print(", ".join(f"{name} {value}" for name, value in ran_on.items()))
    judged = ("--out-of-scope", "oos", "--json", "--index", index)
    test = ("--queries", data / "test.jsonl", "--queries", data / "oos_test.jsonl")
    steps = {
        "fit": ("fit", train, "--label", "label", "-o", encoder, "--seed", seed),
        "index": ("index", train, "--encoder", encoder, "--index", index, "--id", "id", "--label", "label"),
        "calibrate": ("calibrate", "--queries", data / "val.jsonl", "--queries", data / "oos_val.jsonl", *judged),
        "search": ("search", "--index", index, "--limit", 1, "--json", *test),
        "evaluate": ("evaluate", *test, *judged),
    }
    seconds: dict[str, float] = {}
    printed: dict[str, subprocess.CompletedProcess[str]] = {}
    for name, arguments in steps.items():
        start = time.perf_counter()
        printed[name] = fg_search([str(argument) for argument in arguments], work / "cache")
        seconds[name] = time.perf_counter() - start
        print(f"  {seconds[name]:.1f} s")
    timings = {what: float(value) for what, value in TIMED.findall(printed["search"].stderr)}
    ratio = timings["encoded"] / timings["searched"]
    print(f"\nwhole run {sum(seconds.values()):.1f} s")
    print(
        f"queries: encoding {timings['encoded']:.1f} s, searching {timings['searched']:.1f} s, {ratio:.1f} times faster"
    )
    quality = json.loads(printed["evaluate"].stdout)
    show(quality)
    return {
        "machine": ran_on,
        "seed": seed,
        "seconds": seconds,
        "queries": {**timings, "encoding over searching": ratio},
        "quality": quality,
    }


def fg_search(arguments: list[str], cache: Path) -> subprocess.CompletedProcess[str]:
    print("$ fg-search", *arguments)
    done = subprocess.run(
        [sys.executable, "-m", "fg_search", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "FG_SEARCH_CACHE": str(cache)},
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done


def show(quality: dict[str, Any]) -> None:
    console = Console(width=None if Console().is_terminal else 120)
    table = Table("ranked by", "queries", *FIGURES)
    for name, report in quality["reports"].items():
        table.add_row(name, f"{report['queries']:,}", *(f"{report[figure]:.4f}" for figure in FIGURES))
    console.print(table)
    console.print(f"calibrated confidence: ECE {quality['ece']:.3f}, Brier {quality['brier']:.3f}")
    for reached in quality["precisions"]:
        right = "none can promise it" if reached["precision"] is None else f"{reached['precision']:.1%} of them right"
        console.print(f"target {reached['target']:.0%}: {reached['coverage']:.1%} answered, {right}")


if __name__ == "__main__":
    main()

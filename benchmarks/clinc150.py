"""CLINC150 through the command line: fit, index, search, and the quality of the answers.

    python benchmarks/clinc150.py --data FOLDER [--work FOLDER] [--json FILE] [--seed 0]

FOLDER holds train.jsonl, test.jsonl and oos_test.jsonl (Larson et al., 2019), one ``{"text", "label"}`` a
line. The head is fitted on the training utterances, which are then indexed; all test queries are searched in
one call. Every step is a process of its own, so its time includes start-up and loading the model; indexing finds
the base embeddings that fitting left in the cache, which is empty at the start. The time to search encoded
queries is compared with the time to encode them in the same call.
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
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import machine
from score_results import read_results, score, show

TIMED = re.compile(r"^(encoded|searched) [\d,]+ queries in ([\d.]+) s$", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="keep encoder, index and results here")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
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
    encoder, index, results = work / "encoder", work / "index", work / "results.jsonl"
    train = data / "train.jsonl"
    ran_on = machine("qdrant-edge-py")
    print(", ".join(f"{name} {value}" for name, value in ran_on.items()))
    steps = {
        "fit": ["fit", train, "--label", "label", "-o", encoder, "--seed", seed],
        "index": ["index", train, "--encoder", encoder, "--index", index, "--id", "id", "--label", "label"],
        "search": [
            *("search", "--index", index, "--limit", 1, "--json"),
            *("--queries", data / "test.jsonl", "--queries", data / "oos_test.jsonl"),
        ],
    }
    seconds = {}
    timings: dict[str, float] = {}
    for name, arguments in steps.items():
        command = [str(argument) for argument in arguments]
        print("$ fg-search", *command, "> results.jsonl" if name == "search" else "")
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "fg_search", *command],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            env={**os.environ, "FG_SEARCH_CACHE": str(work / "cache")},
        )
        seconds[name] = time.perf_counter() - start
        if done.returncode:
            sys.exit(done.stderr)
        if name == "search":
            results.write_text(done.stdout, encoding="utf-8")
            timings = {what: float(value) for what, value in TIMED.findall(done.stderr)}
        print(f"  {seconds[name]:.1f} s")
    reports = score(read_results(results), label="label", out_of_scope="oos")
    ratio = timings["encoded"] / timings["searched"]
    print(f"\nwhole run {sum(seconds.values()):.1f} s")
    print(
        f"queries: encoding {timings['encoded']:.1f} s, searching {timings['searched']:.1f} s, {ratio:.1f} times faster"
    )
    show(reports)
    return {
        "machine": ran_on,
        "seed": seed,
        "seconds": seconds,
        "queries": {**timings, "encoding over searching": ratio},
        "quality": {name: asdict(report) for name, report in reports.items()},
    }


if __name__ == "__main__":
    main()

"""Cost of feature groups and of fg_search, compared with the bare engine, dense search and local mode in one run.

    python benchmarks/engine.py [--data FOLDER] [--points 10000 30000 100000] [--full] [--work FOLDER] [--json FILE]

FOLDER of --data contains CLINC150 (Larson et al., 2019) as in benchmarks/quality.py; by default the corpus shipped with
the package is used. Points are generated from real encoder outputs (benchmarks/engine_data.py). Searches start from the
query's embedding, not its text. The contestants take turns, and the tables show medians. Each part is a separate
process with one thread for torch and numpy, except for encoding. --full also grows the index to 1,000,000 points, which
takes most of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import engine_data
from machine import machine
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
SIZES, MOST = (10_000, 30_000, 100_000), 1_000_000
COMPARED = 100_000  # points in the comparisons, or the largest smaller size
RANKINGS = ("features", "both", "base")
SETTINGS_POINTS = 30_000  # points in the comparison of settings
GIB = 2**30


@dataclass(frozen=True)
class Verdict:
    """A measured figure, its target, and whether it passed."""

    what: str
    wanted: str
    measured: float
    unit: str
    passed: bool


class Bench:
    """Runs each part in a separate process, in one folder."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.scratch = work / "scratch"

    def run(self, part: str, *arguments: object, threads: int | None = 1) -> Any:
        """Run a part and return its figures.

        Args:
            part: Name of the script, without ``engine_``.
            arguments: Arguments of the script, after the folder.
            threads: Number of threads of torch and numpy; ``None`` for their defaults.
        """
        environment = dict(os.environ)
        if threads is not None:
            environment |= {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        command = [sys.executable, HERE / f"engine_{part}.py", self.work, *arguments]
        print("  ", part, *(argument for argument in arguments if not isinstance(argument, Path)), flush=True)
        done = subprocess.run(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            check=False,
            env=environment,
        )
        if done.returncode:
            sys.exit(f"engine_{part} failed")
        return json.loads(done.stdout)

    def fresh(self, name: str) -> Path:
        """Path of a folder that does not exist yet."""
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder


def measure(bench: Bench, sizes: list[int]) -> dict[str, Any]:
    """Run all parts and collect their figures."""
    compared = max(size for size in sizes if size <= COMPARED)
    growth = []
    for size in sizes:
        folder = bench.fresh("index")
        growth.append(bench.run("grow", folder, size))
        if size == compared:
            search = bench.run("search", folder, bench.fresh("dense"), size, growth[-1]["median_confidence"])
            shutil.rmtree(bench.scratch / "dense")
    shutil.rmtree(bench.scratch / "index")
    alone = bench.run("grow", bench.fresh("alone"), compared, "--features-alone")
    shutil.rmtree(bench.scratch / "alone")
    embeddings = bench.run("add", bench.fresh("add"), "embeddings")
    texts = bench.run("add", bench.fresh("add"), "texts", threads=None)
    smaller = min(sizes[-1], SETTINGS_POINTS)
    settings = bench.run("settings", bench.fresh("settings"), smaller)
    shutil.rmtree(bench.scratch)
    return {
        "settings_points": smaller,
        "settings": settings,
        "compared_points": compared,
        "growth": growth,
        "features_alone": alone,
        "search": search,
        "add": {**embeddings, **texts},
    }


def verdicts(figures: dict[str, Any]) -> list[Verdict]:
    """Compare the figures with their targets."""
    search, add, growth = figures["search"], figures["add"], figures["growth"]
    ms = search["ms"]
    ours = ms["fg_search"]

    def at_most(what: str, limit: float, measured: float, unit: str) -> Verdict:
        return Verdict(what, f"at most {limit:g}", measured, unit, measured <= limit)

    def at_least(what: str, limit: float, measured: float, unit: str = "x") -> Verdict:
        return Verdict(what, f"at least {limit:g}", measured, unit, measured >= limit)

    found = [
        at_most(f"our layer over the bare engine, {kind}", 0.3, ours[kind] - ms["bare"][kind], "ms") for kind in ours
    ]
    for kind, limit in (("plain", 8), ("filter", 15)):
        found.append(at_least(f"speed over exact dense search, {kind}", limit, ms["exact"][kind] / ours[kind]))
    found += [
        at_least(f"speed over local mode, {kind}", 50, ms["local"][kind] / ours[kind]) for kind in ("plain", "filter")
    ]
    features = compared_growth(figures)["disk_bytes_per_point"] - figures["search"]["dense_disk_bytes_per_point"]
    found += [
        at_least("rate of adding texts over that of our encoding alone", 0.95, add["texts_over_encoding"]),
        at_least(
            "rate of adding texts over that of SentenceTransformer.encode",
            0.95,
            add["texts_over_sentence_transformers"],
        ),
        at_least("rate of adding embeddings over that of bare upserts", 0.6, add["embeddings_over_bare"]),
        at_most(
            "disk of features, codes and confidences beside vectors, text and label", 600, features, "bytes a point"
        ),
    ]
    if growth[-1]["points"] >= MOST:
        found.append(at_most("memory for 1,000,000 points", 4, growth[-1]["peak_bytes"] / GIB, "GiB"))
    return found


def show(figures: dict[str, Any]) -> None:
    console = Console(width=130)
    tables = (latency_table(figures), growth_table(figures), settings_table(figures), verdict_table(verdicts(figures)))
    for table in tables:
        console.print(table)
    search, add = figures["search"], figures["add"]
    print(
        f"a second: {add['embeddings_per_second']:,.0f} embeddings added, {add['bare_points_per_second']:,.0f} bare "
        f"upserts, {search['dense_points_per_second']:,.0f} points with base vectors alone, "
        f"{search['local_points_per_second']:,.0f} in local mode; {add['texts_per_second']:,.0f} texts added, "
        f"{add['encoded_per_second']:,.0f} encoded, {add['sentence_transformers_per_second']:,.0f} by "
        "SentenceTransformer.encode"
    )
    print(
        f"bytes a point: {figures['features_alone']['disk_bytes_per_point']:,.0f} without base vectors, "
        f"{compared_growth(figures)['disk_bytes_per_point']:,.0f} with them, "
        f"{search['dense_disk_bytes_per_point']:,.0f} with them, text, label and confidence alone"
    )


def latency_table(figures: dict[str, Any]) -> Table:
    search = figures["search"]
    table = Table(f"p50 in ms at {figures['compared_points']:,} points", "plain", "min_confidence", "formula")
    beside = search["ms_beside_hnsw"]
    rows = {
        "fg_search": search["ms"]["fg_search"],
        "bare engine, the same requests": search["ms"]["bare"],
        "bare engine, dense base, exact": search["ms"]["exact"],
        "qdrant-client local mode, dense feature groups": search["ms"]["local"],
        "fg_search, beside the next": beside["fg_search"],
        f"bare engine, dense base, HNSW ({search['hnsw_seconds']:.0f} s to build, recall "
        f"{search['hnsw_recall']:.3f})": beside["hnsw"],
    }
    for name, values in rows.items():
        table.add_row(name, *(f"{values[kind]:,.2f}" for kind in ("plain", "filter", "formula")))
    return table


def growth_table(figures: dict[str, Any]) -> Table:
    table = Table(
        "points",
        "added a second",
        "peak memory MiB",
        "bytes a point on disk",
        "plain ms",
        "min_confidence ms",
        "formula ms",
        "both ms",
    )
    for size in figures["growth"]:
        table.add_row(
            f"{size['points']:,}",
            f"{size['points_per_second']:,.0f}",
            f"{size['peak_bytes'] / 2**20:,.0f}",
            f"{size['disk_bytes_per_point']:,.0f}",
            *(f"{size[f'{kind}_ms']:.2f}" for kind in ("plain", "filter", "formula", "both")),
        )
    return table


def settings_table(figures: dict[str, Any]) -> Table:
    table = Table(
        f"settings, {figures['settings_points']:,} points",
        "optimized in",
        "bytes a point",
        "of them index of features",
        *(f"{ranking}: {column}" for ranking in RANKINGS for column in ("ms", "item", "label")),
    )
    for row in figures["settings"]:
        measured = [
            (f"{row[f'{ranking}_ms']:.2f}", f"{row[f'{ranking}_item']:.3f}", f"{row[f'{ranking}_label']:.3f}")
            for ranking in RANKINGS
        ]
        table.add_row(
            row["settings"],
            f"{row['seconds']:.0f} s" if row["optimized"] else "-",
            f"{row['bytes']:,.0f}",
            f"{row['index_bytes']:,.0f}",
            *(value for values in measured for value in values),
        )
    return table


def verdict_table(found: list[Verdict]) -> Table:
    table = Table("target", "wanted", "measured", "verdict")
    for verdict in found:
        measured = f"{verdict.measured:,.2f} {verdict.unit}"
        table.add_row(verdict.what, verdict.wanted, measured, "reached" if verdict.passed else "MISSED")
    return table


def compared_growth(figures: dict[str, Any]) -> dict[str, float]:
    return next(size for size in figures["growth"] if size["points"] == figures["compared_points"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of CLINC150; by default the shipped corpus")
    parser.add_argument("--points", type=int, nargs="+", default=list(SIZES), help="sizes of the index")
    parser.add_argument("--full", action="store_true", help=f"also {MOST:,} points")
    parser.add_argument("--work", type=Path, help="keep encoder and embeddings in this folder for later runs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sizes = sorted({*options.points, *([MOST] if options.full else [])})
    if sizes[0] > COMPARED:
        parser.error(f"one of --points must be {COMPARED:,} or less")
    ran_on = machine("qdrant-edge-py", "qdrant-client")
    load = os.getloadavg()[0]
    print(", ".join(f"{name} {value}" for name, value in ran_on.items()), f"- load at the start {load:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        engine_data.prepare(work, options.data, options.seed)
        figures = measure(Bench(work), sizes)
    show(figures)
    if options.json is not None:
        report = {
            "command": sys.argv,
            "machine": ran_on,
            "load_at_start": load,
            **figures,
            "verdicts": [asdict(verdict) for verdict in verdicts(figures)],
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

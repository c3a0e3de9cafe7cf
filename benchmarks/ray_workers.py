"""Adding with the workers of a Ray cluster on one machine: interruptions, and the rate beside that of the plain loop.

First, synthetic items are added to a folder by a process that is killed twice in the middle, with SIGKILL, once at a
third of the index's bytes and once at two thirds, and run a third time. All items are then read and compared with the
data. Second, fewer items go through a real model, by ``ConfidenceIndex.add`` and by two workers, turn by turn.

Usage::

    python benchmarks/ray_workers.py [--items 200000] [--rate-items 20000] [--rounds 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import ray.data
from adopt import corpus, size_of, word_model
from machine import machine

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.integrations.ray import RayAddReport, RayIndexer, Workers

WORKERS, DIMENSION = 2, 384
BYTES_PER_ITEM = 2000  # of an index, about
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
KILLED_AT = (1 / 3, 2 / 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--items", type=int, default=200_000, help="items that are added with interruptions")
    parser.add_argument("--rate-items", type=int, default=20_000, help="items whose rate is measured")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each contestant")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        add(options.child)
        return
    figures: dict[str, Any] = {"machine": machine("ray", "qdrant-client", "qdrant-edge-py")}
    print(json.dumps(figures["machine"]))
    with TemporaryDirectory() as folder:
        figures["interrupted"] = interrupted(Path(folder), options.items)
        figures["rate"] = rates(Path(folder) / "rate", options.rate_items, options.rounds)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def interrupted(work: Path, count: int) -> dict[str, Any]:
    """Add items, kill whoever does it twice, and compare what is there in the end."""
    texts, labels = corpus(count)
    learned = min(count, 2_000)
    encoder = FeatureGroupEncoder(word_model(DIMENSION))
    encoder.fit(texts[:learned], labels=labels[:learned], show_progress=False).save(work / "encoder")
    ids = [f"item-{i}" for i in range(count)]
    write_rows(work / "items.jsonl", ids, texts, labels)
    seconds = []
    for share in (*KILLED_AT, None):
        begin = time.perf_counter()
        run(work, None if share is None else int(share * count * BYTES_PER_ITEM))
        seconds.append(time.perf_counter() - begin)
    report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    with ConfidenceIndex(work / "index") as index:
        found = {item.id: (item.text, item.label) for item in index.items()}
    is_exact = found == dict(zip(ids, zip(texts, labels, strict=True), strict=True))
    print(
        f"{count:,} items, killed after {seconds[0]:.0f} s and after {seconds[1]:.0f} s more; the third run found "
        f"{report['unchanged']:,} and wrote {report['written']:,} in {seconds[2]:.0f} s: "
        f"{'exactly those items' if is_exact else f'NOT THOSE ITEMS ({len(found):,})'}"
    )
    print(f"  {report['audit']}; {report['peak_mib']:,.0f} MiB in the largest process of a worker")
    return {"items": count, "seconds": seconds, "exact": is_exact, **report}


def run(work: Path, bytes_at_most: int | None) -> None:
    """Run this script as the process that adds, and kill it once the index has so many bytes."""
    child = subprocess.Popen([sys.executable, __file__, "--child", str(work)], start_new_session=True)
    while child.poll() is None:
        time.sleep(0.5)
        if bytes_at_most is not None and size_of(work / "index") >= bytes_at_most:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            return
    if bytes_at_most is not None or child.returncode:
        sys.exit(f"the process that adds ended by itself, with {child.returncode}")


def add(work: Path) -> None:
    """Add the items of a folder, and say how it went."""
    start_ray()
    with Workers(WORKERS) as workers:
        indexer = RayIndexer(work / "index", workers=workers)
        report = indexer.add(work / "items.jsonl", encoder=work / "encoder", id="id", label="label")
        peak = max(peaks())
    told = {
        "written": report.written,
        "unchanged": report.unchanged,
        "audit": str(report.audit),
        "phases": dict(report.seconds),
        "peak_mib": peak,
    }
    (work / "report.json").write_text(json.dumps(told), encoding="utf-8")


def peaks() -> Iterator[float]:
    """MiB that each process of Ray's workers has had at most."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            known = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            title = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and "VmHWM" in known:
            yield int(known["VmHWM"].split()[0]) / 1024


def rates(work: Path, count: int, rounds: int) -> dict[str, Any]:
    """Seconds of the plain loop and of two workers for the same items, through a real model."""
    work.mkdir()
    texts, labels = corpus(count, seed=1)
    encoder = FeatureGroupEncoder(MODEL)
    encoder.fit(texts[:2000], labels=labels[:2000], steps=200, show_progress=False).save(work / "encoder")
    write_rows(work / "items.jsonl", range(count), texts, labels)
    start_ray()
    plain, whole, writing = [], [], []
    with Workers(WORKERS) as workers:
        for turn in range(-1, rounds):  # the first turn only warms up
            size = min(count, 256) if turn < 0 else count
            begin = time.perf_counter()
            with ConfidenceIndex(work / f"plain{turn}", encoder) as index:
                index.add(texts[:size], ids=list(range(size)), labels=labels[:size], show_progress=False)
            plain.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            report = of_part(work, size, RayIndexer(work / f"ray{turn}", workers=workers))
            whole.append(time.perf_counter() - begin)
            writing.append(report.seconds["writing"])
            for name in (f"plain{turn}", f"ray{turn}"):
                shutil.rmtree(work / name)
    del plain[0], whole[0], writing[0]
    figures = {
        "items": count,
        "plain_per_second": count / median(plain),
        "workers_per_second": count / median(whole),
        "whole_over_plain": median(plain) / median(whole),
        "writing_over_plain": median(plain) / median(writing),
    }
    print(
        f"{count:,} items through {MODEL}: plain loop {figures['plain_per_second']:,.0f} a second, {WORKERS} workers "
        f"{figures['workers_per_second']:,.0f}, ratio {figures['whole_over_plain']:.2f}, checking before and audit "
        f"afterwards included; {figures['writing_over_plain']:.2f} without them (wanted: .9)"
    )
    return figures


def of_part(work: Path, size: int, indexer: RayIndexer) -> RayAddReport:
    """Add the first items of the file."""
    part = work / f"items-{size}.jsonl"
    if not part.exists():
        with (work / "items.jsonl").open(encoding="utf-8") as file:
            part.write_text("".join(islice(file, size)), encoding="utf-8")
    return indexer.add(part, encoder=work / "encoder", id="id", label="label")


def write_rows(file: Path, ids: Iterable[str | int], texts: list[str], labels: list[str]) -> None:
    rows = (dict(zip(("id", "text", "label"), row, strict=True)) for row in zip(ids, texts, labels, strict=True))
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def start_ray() -> None:
    """Start Ray on two processors of this machine, without its reports to its makers."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # its workers give way to all others otherwise
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    ray.init("local", num_cpus=WORKERS, object_store_memory=300 * 2**20, **quiet)


if __name__ == "__main__":
    main()

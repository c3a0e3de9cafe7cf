"""What a folder on a device reads of the server's index to be up to date: copied anew, pulled, by a partial snapshot.

A second folder plays the server: each answer to the device is counted as JSON, plain and compressed (Qdrant compresses
for clients that take it, as qdrant-client does). The server's points are optimized, as a server does by itself; then
some are changed: half are relabelled, half get another text. A partial snapshot is not made: its bytes are those of the
files that the engine would send for the manifest from before the changes, by the rule of ``segment/snapshot.rs``.

Usage::

    python benchmarks/exchange.py [--points 100000] [--changed 100]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import qdrant_edge as edge
from adopt import corpus, word_model
from machine import machine
from pydantic_core import to_json

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.edge.folder import SHARD_FOLDER

LEARNED = 10_000
Manifest = dict[str, dict[str, Any]]


@dataclass
class Answers:
    """Bytes of the answers that a device got."""

    plain: int = 0
    compressed: int = 0

    def add(self, answer: Any) -> None:
        """Count another one."""
        sent = to_json(answer, exclude_none=True)
        self.plain += len(sent)
        self.compressed += len(zlib.compress(sent, 1))


class CountedClient(EdgeClient):
    """A folder that counts what it answers."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.answers = Answers()


def _counted(name: str) -> Callable[..., Any]:
    def call(self: CountedClient, *arguments: Any, **options: Any) -> Any:
        answer = getattr(EdgeClient, name)(self, *arguments, **options)
        self.answers.add(answer)
        return answer

    return call


for _name in ("scroll", "retrieve", "query_batch_points", "get_collection", "get_aliases", "count"):
    setattr(CountedClient, _name, _counted(_name))


@contextmanager
def read_of(client: CountedClient, what: str, figures: dict[str, Any]) -> Iterator[None]:
    """Note what is read in this block, and how long it takes."""
    client.answers = Answers()
    begin = time.perf_counter()
    yield
    seconds = time.perf_counter() - begin
    figures[what] = {"bytes": client.answers.plain, "compressed": client.answers.compressed, "seconds": seconds}


def manifest_of(folder: Path, collection: str) -> Manifest:
    """Segments of a collection that nobody has open, with the versions of their files."""
    shard = edge.EdgeShard.load(str(folder / collection / SHARD_FOLDER))
    found: Manifest = shard.snapshot_manifest()
    shard.close()
    return found


def partial_snapshot(folder: Path, collection: str, before: Manifest, after: Manifest) -> int:
    """Bytes of the files that a partial snapshot for the manifest ``before`` has."""
    segments = folder / collection / SHARD_FOLDER / "segments"
    total = 0
    for segment, now in after.items():
        was = before.get(segment, {"file_versions": {}})
        for file in now["file_versions"]:
            known, current = _version(was, file), _version(now, file)
            if known is None or known < current or known == current == 0:
                total += (segments / segment / file).stat().st_size if (segments / segment / file).exists() else 0
    return total


def _version(segment: dict[str, Any], file: str) -> Any:
    if file not in segment["file_versions"]:
        return None
    version = segment["file_versions"][file]
    return segment["segment_version"] if version is None else version


def run(folder: Path, points: int, changed: int) -> dict[str, Any]:
    """Fill an index, copy it, change it, and bring the copy up to date."""
    texts, labels = corpus(points)
    encoder = FeatureGroupEncoder(word_model(384))
    encoder.fit(texts[:LEARNED], labels=labels[:LEARNED], show_progress=False)
    ids = [f"item {i}" for i in range(points)]
    payloads = [{"shop": f"shop {i % 50}"} for i in range(points)]
    there, here = folder / "server", folder / "device"
    figures: dict[str, Any] = {}
    with EdgeClient(there) as client, ConfidenceIndex(client, encoder) as index:
        index.add(texts, ids=ids, labels=labels, payloads=payloads, show_progress=False)
        client.optimize(index.collection)
        collection = client.get_aliases().aliases[0].collection_name
    before = manifest_of(there, collection)
    with CountedClient(there) as client, ConfidenceIndex(client, encoder) as index:
        with read_of(client, "copied anew", figures):
            index.copy_to(here, show_progress=False)
        with ConfidenceIndex(here, encoder) as device:
            with read_of(client, "pulled, nothing changed", figures):
                print(device.pull(client, show_progress=False))
            half = changed // 2
            index.relabel(dict.fromkeys(ids[:: points // half][:half], "other"))
            rows = range(1, points, points // half)[: changed - half]
            index.add(
                [f"{texts[i]} f1" for i in rows],
                ids=[ids[i] for i in rows],
                labels=[labels[i] for i in rows],
                payloads=[payloads[i] for i in rows],
                show_progress=False,
            )
            with read_of(client, f"pulled, {changed} changed", figures):
                print(device.pull(client, show_progress=False))
    after = manifest_of(there, collection)
    figures["partial snapshot"] = {"bytes": partial_snapshot(there, collection, before, after)}
    figures["all files of the shard"] = {"bytes": partial_snapshot(there, collection, {}, after)}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=100, help="points that are changed on the server")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    ran_on = machine("qdrant-client", "qdrant-edge-py")
    print(", ".join(f"{name} {value}" for name, value in ran_on.items()), flush=True)
    with TemporaryDirectory() as folder:
        figures = run(Path(folder), options.points, options.changed)
    whole = figures["copied anew"]["bytes"]
    for what, one in figures.items():
        packed = f", compressed {one['compressed'] / 1e6:.2f} MB" if "compressed" in one else ""
        seconds = f", {one['seconds']:.1f} s" if "seconds" in one else ""
        print(f"{what}: {one['bytes'] / 1e6:.2f} MB ({one['bytes'] / whole:.2%} of copying){packed}{seconds}")
    if options.json is not None:
        report = {"command": sys.argv, "machine": ran_on, "points": options.points, "figures": figures}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

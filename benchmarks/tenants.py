"""Latency of a tenant's searches among a thousand tenants: by filter, with and without a payload index, and by shard.

Contestants of one place take turns, so that other load on the machine affects all of them. The folder is measured
anyway, a cluster if QDRANT_URL leads to one (QDRANT_API_KEY): there, an index whose tenants are kept apart by a filter
alone is compared to one whose tenants have shards.

    python benchmarks/tenants.py --data FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import engine_data
import numpy as np
from engine_data import Data
from machine import machine
from qdrant_client import models
from rich.console import Console
from rich.table import Table

from fg_search import ConfidenceIndex, EdgeClient, IndexSettings

KEY = "owner"
RANKINGS = ("features", "base")
ROUNDS, SEARCHES_PER_ROUND = 5, 60

Search = Callable[..., Any]  # of a tenant and options


@dataclass(frozen=True)
class Sizes:
    """Numbers of tenants and items."""

    tenants: int
    items: int  # of a tenant
    large: int  # items of the first tenant

    @property
    def owners(self) -> list[str]:
        """Tenant of each item."""
        small = [f"tenant-{number:05}" for number in range(1, self.tenants) for _ in range(self.items)]
        return ["tenant-00000"] * self.large + small


def fill(index: ConfidenceIndex, data: Data, sizes: Sizes, *, has_tenants: bool) -> float:
    """Add all items, and return how many a second."""
    owners, seconds = sizes.owners, 0.0
    for chunk in data.chunks(len(owners)):
        own = np.array([owners[i] for i in chunk.ids])
        begin = time.perf_counter()
        for owner in dict.fromkeys(own.tolist()) if has_tenants else [None]:
            rows = np.flatnonzero(own == owner) if has_tenants else np.arange(len(own))
            target = index.tenant(owner) if has_tenants else index
            target.add(
                [chunk.texts[row] for row in rows],
                ids=[chunk.ids[row] for row in rows],
                labels=[chunk.labels[row] for row in rows],
                payloads=[{KEY: own[row].item()} for row in rows],
                embeddings=chunk.embeddings[rows],
            )
        seconds += time.perf_counter() - begin
    return len(owners) / seconds


def by_tenant(index: ConfidenceIndex) -> Search:
    return lambda tenant, **options: index.tenant(tenant).search("query", **options)


def by_filter(index: ConfidenceIndex) -> Search:
    def search(tenant: str, **options: Any) -> Any:
        condition = models.FieldCondition(key=KEY, match=models.MatchValue(value=tenant))
        return index.search("query", query_filter=models.Filter(must=[condition]), **options)

    return search


def of_all(index: ConfidenceIndex) -> Search:
    return lambda _, **options: index.search("query", **options)


def take_turns(contestants: dict[str, Search], data: Data, sizes: Sizes) -> dict[str, dict[str, float]]:
    """Median milliseconds of each contestant, by ranking and size of the tenant."""
    queries = data.queries(ROUNDS * SEARCHES_PER_ROUND)
    rng = np.random.default_rng(0)
    asked = {
        "small": [f"tenant-{number:05}" for number in rng.integers(1, sizes.tenants, size=len(queries))],
        "large": ["tenant-00000"] * len(queries),
    }
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in contestants}
    for turn in range(ROUNDS):
        for name, search in contestants.items():
            for kind in ("small", "large"):
                for ranking in RANKINGS:
                    measured = seconds[name].setdefault(f"{kind} tenant, {ranking}", [])
                    for i in range(turn * SEARCHES_PER_ROUND, (turn + 1) * SEARCHES_PER_ROUND):
                        begin = time.perf_counter()
                        search(asked[kind][i], embeddings=queries[i : i + 1], rank_by=ranking)
                        measured.append(time.perf_counter() - begin)
    return {name: {kind: 1000 * float(np.median(one)) for kind, one in of.items()} for name, of in seconds.items()}


def in_a_folder(data: Data, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """Figures of embedded indexes, before and after they are optimized."""
    kinds: dict[str, tuple[IndexSettings, list[tuple[str, Callable[[ConfidenceIndex], Search]]]]] = {
        "tenants": (IndexSettings(tenant_key=KEY), [("tenants", by_tenant)]),
        "payload_m": (IndexSettings(tenant_key=KEY, payload_m=16), [("tenants, payload_m=16", by_tenant)]),
        "keyword": (
            IndexSettings(filterable={KEY: "keyword"}),
            [("filter on an ordinary field", by_filter), ("no filter", of_all)],
        ),
        "none": (IndexSettings(), [("filter on a field without an index", by_filter)]),
    }
    figures: dict[str, Any] = {"points_per_second": {}, "ms": {}}
    with ExitStack() as stack:
        contestants: dict[str, Search] = {}
        clients = []
        for folder, (settings, ways) in kinds.items():
            client = stack.enter_context(EdgeClient(scratch / folder))
            index = stack.enter_context(ConfidenceIndex(client, data.encoder, settings=settings))
            rate = fill(index, data, sizes, has_tenants=settings.tenant_key is not None)
            figures["points_per_second"][ways[0][0]] = rate
            contestants |= {name: way(index) for name, way in ways}
            clients.append((client, index.collection))
        figures["ms"]["as added"] = take_turns(contestants, data, sizes)
        for client, collection in clients:
            client.optimize(collection)
        figures["ms"]["optimized"] = take_turns(contestants, data, sizes)
    return figures


@contextmanager
def on_the_server(data: Data, settings: IndexSettings) -> Iterator[ConfidenceIndex]:
    """An index on the server, which is removed in the end."""
    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    where: dict[str, Any] = {"collection": name, "api_key": os.environ.get("QDRANT_API_KEY")}
    with ConfidenceIndex(os.environ["QDRANT_URL"], data.encoder, settings=settings, **where) as index:
        yield index
        index.client.delete_collection(name)


def on_a_cluster(data: Data, sizes: Sizes, shards: int) -> dict[str, Any]:
    """Figures of indexes on the server, once it has optimized them."""
    ways = {
        "filter alone": IndexSettings(tenant_key=KEY, shards=shards),
        "shards of tenants": IndexSettings(tenant_key=KEY, shards=shards, tenant_sharding=["tenant-00000"]),
    }
    figures: dict[str, Any] = {"points_per_second": {}}
    with ExitStack() as stack:
        contestants: dict[str, Search] = {}
        for name, settings in ways.items():
            index = stack.enter_context(on_the_server(data, settings))
            figures["points_per_second"][name] = fill(index, data, sizes, has_tenants=True)
            contestants[name] = by_tenant(index)
            while index.client.get_collection(index.collection).status != models.CollectionStatus.GREEN:
                time.sleep(1)
        figures["ms"] = {"on the cluster": take_turns(contestants, data, sizes)}
    return figures


def show(figures: dict[str, Any]) -> None:
    for state, ms in figures["ms"].items():
        table = Table(f"p50 in ms, {state}", *next(iter(ms.values())))
        for name, of in ms.items():
            table.add_row(name, *(f"{value:.2f}" for value in of.values()))
        Console(width=130).print(table)
    rates = ", ".join(f"{rate:,.0f} ({name})" for name, rate in figures["points_per_second"].items())
    print(f"items added a second: {rates}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of CLINC150; by default the shipped corpus")
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--items", type=int, default=80, help="items of each tenant but the first")
    parser.add_argument("--large", type=int, default=20_000, help="items of the first tenant")
    parser.add_argument("--shards", type=int, default=6, help="shards on a cluster")
    parser.add_argument("--work", type=Path, help="keep encoder and embeddings in this folder for later runs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sizes = Sizes(options.tenants, options.items, options.large)
    ran_on = machine("qdrant-edge-py", "qdrant-client")
    print(", ".join(f"{name} {value}" for name, value in ran_on.items()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        engine_data.prepare(work, options.data, options.seed)
        data = Data.load(work)
        measure = [partial(in_a_folder, data, sizes, Path(folder) / "indexes")]
        if os.environ.get("QDRANT_URL"):
            measure.append(partial(on_a_cluster, data, sizes, options.shards))
        figures = [each() for each in measure]
    for each in figures:
        show(each)
    if options.json is not None:
        report = {"command": sys.argv, "machine": ran_on, "items": len(sizes.owners), "figures": figures}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""How large a cluster has to be: arithmetic with measured constants, and a simulation of its queues.

    python benchmarks/scale.py [--points 1e8 1e9] [--dimension 384] [--base float32] [--replicas 2]
        [--nodes 8] [--cores 16] [--shards 32] [--rates 5 20 50] [--measured FILE]

The constants are those of `python benchmarks/engine.py --json FILE`: bytes a point, and what each point adds to the
time of a search by features (its postings are read one after the other, so that the time grows with the points).
--measured takes them from such a file; the defaults are those of docs/benchmarks.md.

The simulation sends queries at random moments (a Poisson process). Each asks one copy of every shard, chosen at random;
a node's cores take tasks in their order; a query ends with its last shard. Nothing else is simulated: no network, no
writes, no cache that is cold.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

BYTES = {"float32": 4.0, "float16": 2.0, "none": 0.0}
QUERIES = 4_000


@dataclass(frozen=True)
class Constants:
    """What was measured on one machine.

    Attributes:
        other_bytes: Bytes a point on disk beside its base vector: features, payload, text.
        fixed_ms: Time of a search by features in an index without points, in milliseconds.
        ms_per_million: Time that a million points add to it.
        points_per_second: Points that one core re-encodes from stored vectors and writes, as `refit` does.
    """

    other_bytes: float = 568.0
    fixed_ms: float = 0.17
    ms_per_million: float = 3.2
    points_per_second: float = 13_502.0

    @classmethod
    def of_file(cls, file: Path) -> Constants:
        """From the figures of benchmarks/engine.py."""
        figures = json.loads(file.read_text(encoding="utf-8"))
        points, ms = (np.array([row[key] for row in figures["growth"]]) for key in ("points", "plain_ms"))
        slope, fixed = np.polyfit(points / 1e6, ms, 1)
        return cls(
            figures["features_alone"]["disk_bytes_per_point"],
            float(fixed),
            float(slope),
            figures["add"]["embeddings_per_second"],
        )


@dataclass(frozen=True)
class Plan:
    """A cluster.

    Attributes:
        points: Number of points.
        dimension: Numbers of a base vector.
        base: Number type of base vectors.
        replicas: Copies of each shard.
        nodes: Number of nodes.
        cores: Cores of each node.
        shards: Number of shards.
    """

    points: float
    dimension: int
    base: str
    replicas: int
    nodes: int
    cores: int
    shards: int

    def disk(self, known: Constants) -> float:
        """Bytes on all nodes, without the room that optimizing and snapshots need."""
        return self.points * self.replicas * (known.other_bytes + self.dimension * BYTES[self.base])

    def task_seconds(self, known: Constants) -> float:
        """Time of one core for one query in one shard."""
        return (known.fixed_ms + known.ms_per_million * self.points / self.shards / 1e6) / 1000

    def most_queries(self, known: Constants) -> float:
        """Queries a second at which all cores are busy."""
        return self.nodes * self.cores / (self.task_seconds(known) * self.shards)

    def renewing_hours(self, known: Constants) -> float:
        """Hours of `refit` or `migrate` with the same base model, one writer a node."""
        return self.points / (known.points_per_second * self.nodes) / 3600


def latencies(plan: Plan, known: Constants, rate: float, *, seed: int = 0) -> np.ndarray:
    """``(q,)`` simulated seconds from the arrival of each query to its last shard."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, QUERIES))
    # a shard is on as many nodes as it has copies
    copies = np.array([[(shard + copy) % plan.nodes for copy in range(plan.replicas)] for shard in range(plan.shards)])
    mean = plan.task_seconds(known)
    free = [[0.0] * plan.cores for _ in range(plan.nodes)]  # when each core is done
    for cores in free:
        heapq.heapify(cores)
    found = np.empty(QUERIES)
    for i, arrival in enumerate(arrivals):
        chosen = copies[np.arange(plan.shards), rng.integers(plan.replicas, size=plan.shards)]
        seconds = mean * rng.gamma(20, 1 / 20, plan.shards)  # a query's features decide how many postings are read
        last = 0.0
        for node, needed in zip(chosen.tolist(), seconds.tolist(), strict=True):
            done = max(arrival, heapq.heappop(free[node])) + needed
            heapq.heappush(free[node], done)
            last = max(last, done)
        found[i] = last - arrival
    return found[QUERIES // 10 :]  # the first ones find idle cores


def show(plans: list[Plan], known: Constants, rates: list[float]) -> None:
    """Print the arithmetic and the simulation."""
    console = Console(width=130)
    table = Table("points", "disk", "disk a node", "points a shard", "one query, all cores", "most queries/s", "refit")
    for plan in plans:
        disk = plan.disk(known)
        table.add_row(
            f"{plan.points:,.0f}",
            f"{disk / 1e12:.2f} TB",
            f"{disk / plan.nodes / 1e9:,.0f} GB",
            f"{plan.points / plan.shards / 1e6:,.1f} M",
            f"{plan.task_seconds(known) * plan.shards * 1000:,.0f} ms",
            f"{plan.most_queries(known):,.0f}",
            f"{plan.renewing_hours(known):,.1f} h",
        )
    console.print(table)
    table = Table("points", *(f"{rate:g} queries/s: p50, p99" for rate in rates))
    for plan in plans:
        cells = []
        for rate in rates:
            if rate >= plan.most_queries(known):
                cells.append("more than it can answer")
                continue
            p50, p99 = np.quantile(latencies(plan, known, rate), [0.5, 0.99]) * 1000
            cells.append(f"{p50:,.0f}, {p99:,.0f} ms")
        table.add_row(f"{plan.points:,.0f}", *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=float, nargs="+", default=[1e8, 1e9])
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--base", choices=[*BYTES], default="float32")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--rates", type=float, nargs="+", default=[5.0, 20.0, 50.0])
    parser.add_argument("--measured", type=Path, help="figures of benchmarks/engine.py --json")
    options = parser.parse_args()
    if not options.replicas <= options.nodes:
        parser.error("there are fewer nodes than copies")
    known = Constants() if options.measured is None else Constants.of_file(options.measured)
    first = Plan(
        math.nan, options.dimension, options.base, options.replicas, options.nodes, options.cores, options.shards
    )
    show([replace(first, points=points) for points in options.points], known, options.rates)


if __name__ == "__main__":
    main()

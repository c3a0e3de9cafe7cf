"""What data hold, found out before anything is encoded: bad rows, ids of items that differ, and all ids by slice.

Of each row its ids, a digest and its place go to the process that has its slice; none has those of more than one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import Dataset

from fg_search.integrations.ray.errors import as_raised
from fg_search.integrations.ray.rows import ITEMS, Data
from fg_search.integrations.ray.slices import point_hashes
from fg_search.integrations.ray.workers import FEW_CPUS
from fg_search.records.errors import RecordError

SHOWN = 10
"""Rows, or items, that a message or report names."""

_ROWS_PER_SLICE = 1_000_000
_FEWEST, _MOST = 4, 256  # slices; with more, there would be too many small objects
_KEPT = ("place", "id", "point", "digest", "label")
_KNOWN = pa.schema([*(ITEMS.field(name) for name in ("problem", *_KEPT)), pa.field("hash", pa.uint64())])


@dataclass(frozen=True)
class Slice:
    """The items of a slice.

    Attributes:
        index: Number of the slice.
        count: Number of different items.
        items: Reference to a table of them, in the columns of :data:`_KEPT` and their hashes.
        sample: Engine's ids of some of them, with their hashes.
    """

    index: int
    count: int
    items: Any
    sample: list[tuple[int, str]]


@dataclass(frozen=True)
class Contents:
    """What data hold.

    Attributes:
        slices: Items by slice.
        bad: Number of bad rows.
    """

    slices: list[Slice]
    bad: int

    @property
    def count(self) -> int:
        """Number of different items."""
        return sum(one.count for one in self.slices)

    def sample(self, most: int) -> list[str]:
        """Engine's ids of items that are drawn by their hashes: the same ones each time."""
        drawn = heapq.nsmallest(most, (one for part in self.slices for one in part.sample))
        return [point for _, point in drawn]


def find_contents(items: Dataset, data: Data, *, skip: bool, sliced: bool, sampled: int) -> Contents:
    """Read all rows once.

    Args:
        items: Tables of items.
        data: What they are read from, for messages.
        skip: Leave bad rows out. Otherwise they are an error.
        sliced: Whether the engine knows slices; otherwise there is one.
        sampled: Number of items to draw.

    Raises:
        RecordError: If there are no good rows, or bad ones that must not be skipped, or different items with one id.
    """
    with as_raised():
        known = items.map_batches(_without_texts, batch_format="pyarrow", num_cpus=FEW_CPUS).materialize()
        total = min(_MOST, max(_FEWEST, known.count() // _ROWS_PER_SLICE)) if sliced else 1
        split = ray.remote(_split).options(num_cpus=FEW_CPUS, num_returns=total + 1)
        parts = [split.remote(table, total) for table in known.to_arrow_refs()]
        merge = ray.remote(_merged).options(num_cpus=FEW_CPUS, num_returns=2)
        merged = [merge.remote(sampled, *[part[i] for part in parts]) for i in range(total)]
        bad, problems = ray.get(ray.remote(_problems).options(num_cpus=0).remote(*[part[total] for part in parts]))
        found = ray.get([summary for summary, _ in merged])
    count = sum(summary["count"] for summary in found)
    if (bad and not skip) or not count:
        raise RecordError(_named(data), _listed(f"{bad:,} bad rows" if bad else "no row", problems))
    twins = [twin for summary in found for twin in summary["twins"]]
    if twins:
        number = sum(summary["differing"] for summary in found)
        said = [f"{first} and {last} share the id {user_id} but differ" for user_id, first, last in twins]
        what = f"{number:,} ids are shared by rows that differ; give each item its own id"
        raise RecordError(_named(data), _listed(what, said[:SHOWN]))
    slices = [
        Slice(i, summary["count"], items, summary["sample"])
        for i, (summary, (_, items)) in enumerate(zip(found, merged, strict=True))
    ]
    return Contents(slices, bad)


def _named(data: Data) -> str:
    if isinstance(data, Dataset):
        return "the dataset"
    return str(data) if not isinstance(data, (list, tuple)) or len(data) != 1 else str(data[0])


def _listed(what: str, lines: list[str]) -> str:
    return "\n  ".join([f"{what}; nothing was written", *lines])


def _without_texts(items: pa.Table) -> Iterator[pa.Table]:
    kept = items.select(["problem", *_KEPT])
    points = ["0" if point is None else point for point in kept["point"].to_pylist()]
    yield kept.append_column("hash", pa.array(point_hashes(points)))


def _split(items: pa.Table, total: int) -> list[pa.Table]:
    """The items of each slice, and the bad rows."""
    items = items if items.num_rows else _KNOWN.empty_table()  # of files without rows Ray makes tables without columns
    is_good = pc.is_null(items["problem"])
    bad = items.filter(pc.invert(is_good)).select(["place", "problem"])
    good = items.filter(is_good).select([*_KEPT, "hash"])
    slices = good["hash"].to_numpy() % np.uint64(total)
    return [*(good.filter(pa.array(slices == i)) for i in range(total)), bad]


def _merged(sampled: int, *tables: pa.Table) -> tuple[dict[str, Any], pa.Table]:
    """What is to be said of a slice, and its items, each of them once."""
    items = pa.concat_tables(tables)
    content = pc.binary_join_element_wise(items["digest"], items["label"], "\n", null_handling="replace")
    items = items.append_column("content", content)
    grouped = items.group_by("id", use_threads=False).aggregate(
        [
            ("content", "count_distinct"),
            *((name, "first") for name in (*_KEPT[2:], "hash")),
            ("place", "first"),
            ("place", "last"),
        ]
    )
    differing = grouped.filter(pc.greater(grouped["content_count_distinct"], 1))
    twins = [(row["id"], row["place_first"], row["place_last"]) for row in differing.slice(0, SHOWN).to_pylist()]
    first = heapq.nsmallest(
        sampled, zip(grouped["hash_first"].to_pylist(), grouped["point_first"].to_pylist(), strict=True)
    )
    summary = {"count": grouped.num_rows, "differing": differing.num_rows, "twins": twins, "sample": first}
    kept = grouped.select(["id", "place_first", "point_first", "digest_first"])
    return summary, kept.rename_columns(["id", "place", "point", "digest"])


def _problems(*tables: pa.Table) -> tuple[int, list[str]]:
    bad = pa.concat_tables(tables)
    shown = [f"{row['place']}: {row['problem']}" for row in bad.slice(0, SHOWN).to_pylist()]
    return bad.num_rows, shown

"""Adding items with an actor pool: each worker compares, encodes and writes as ``ConfidenceIndex.add`` does.

Why not ``ray_qdrant.write_qdrant``: it upserts whatever comes, without a condition. It would put the data's label back
where a person has corrected it, lose a write that comes while the index moves to another encoder, and encode everything
again after an interruption; and it knows one dense vector a point, where ours have a sparse one, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray.data import Dataset

from fg_search.index.ingestion import AddReport
from fg_search.integrations.ray.audit import Audit
from fg_search.integrations.ray.encoders import SharedEncoder
from fg_search.integrations.ray.errors import as_raised
from fg_search.integrations.ray.pool import Pool
from fg_search.integrations.ray.rows import added_of
from fg_search.integrations.ray.target import Target

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_COUNTS = ("written", "unchanged", "cut", "unread")


@dataclass(frozen=True)
class RayAddReport:
    """Report of adding items with workers.

    Attributes:
        written: Number of items that were new or had changed.
        unchanged: Number of items that were in the index already, or came twice.
        cut: Number of written items whose text is longer than what the model reads.
        unread: Number of written items whose text holds tokens that the model does not know.
        bad: Number of bad rows that were left out.
        audit: What the index had of the items afterwards.
        seconds: Seconds of each part of the work: ``"checking"``, ``"writing"`` and ``"auditing"``.
    """

    written: int
    unchanged: int
    cut: int
    unread: int
    bad: int
    audit: Audit
    seconds: Mapping[str, float]

    def __str__(self) -> str:
        left = f", {self.bad:,} bad rows left out" if self.bad else ""
        return f"{self.written:,} items written, {self.unchanged:,} unchanged{left}; {self.audit}"


def write(items: Dataset, target: Target, encoder: SharedEncoder, pool: Pool, most: int) -> dict[str, int]:
    """Add tables of items, and return the numbers of an ``AddReport``.

    A worker encodes and writes a part of a table at a time; Ray stops reading while the workers are busy. Whatever
    fails or is interrupted, items are written whole, and those that were written are not encoded again.

    Args:
        items: Tables of items.
        target: The index.
        encoder: Its encoder.
        pool: Workers.
        most: Number of items that a worker takes at once.
    """
    totals = dict.fromkeys(_COUNTS, 0)
    with as_raised():
        for report in pool.each(_add, encoder, _parts(items, most), target):
            for name in _COUNTS if report is not None else ():
                totals[name] += getattr(report, name)
    return totals


def _parts(items: Dataset, most: int) -> Iterator[tuple[Any, int, int]]:
    """References to tables as they are read, each with the rows that one worker takes at once."""
    for bundle in items.iter_internal_ref_bundles():
        for table, metadata in zip(bundle.block_refs, bundle.metadata, strict=True):
            for start in range(0, metadata.num_rows, most):
                yield table, start, most


def _add(encoder: FeatureGroupEncoder, items: Any, start: int, count: int, target: Target) -> AddReport:
    with target.index(encoder) as index:
        return index.add(**added_of(items.slice(start, count)), show_progress=False)

"""What is known of each label: its items, what it is confused with, and what is promised about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fg_search.confidence.group_promise import GroupPromise
from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import NotScoredError
from fg_search.layout.keys import LABEL_KEY
from fg_search.review.issues.confusion import ConfusedLabels
from fg_search.web.calibration_report import GroupReport
from fg_search.web.item_map import UNKNOWN, PlacedItems
from fg_search.web.stored_items import tenant_filter

MAX_LABELS = 1_000  # the most frequent are listed

_FEWEST = 4  # items that a label needs to be judged by: itself and three others
_PAIRS = 10_000  # confused labels that are looked at
_LIKELY = 127  # half of what a byte may be: a label that is more likely wrong than right


@dataclass(frozen=True)
class LabelRow:
    """A label.

    Attributes:
        name: The label.
        items: Number of its items.
        confidence: Their mean confidence, ``None`` while it is computed.
        wrong: Number of items whose label is more likely wrong than right; ``None`` if labels were not scored, or while
            it is computed.
        confused: The label it is most often confused with, with the number of items either way.
        asked: How often queries were asked that got no sure answer and whose best hit has the label.
        missing: Number of examples that it lacks to be judged at all.
        promise: What is promised about it, if that is known by label.
    """

    name: str
    items: int
    confidence: float | None
    wrong: int | None
    confused: tuple[str, int] | None
    asked: int
    missing: int
    promise: GroupPromise | None


@dataclass(frozen=True)
class LabelTable:
    """All labels.

    Attributes:
        rows: The labels.
        is_scored: Whether labels were scored.
        is_ready: Whether what is computed in the background is there.
        target: Precision that is promised by label, ``None`` if none is.
    """

    rows: list[LabelRow]
    is_scored: bool
    is_ready: bool
    target: float | None

    @classmethod
    def read(
        cls, index: ConfidenceIndex, tenant: str | None, placed: PlacedItems | None, asked: Counter[str]
    ) -> LabelTable:
        """Read what is known.

        Args:
            index: The index.
            tenant: Tenant that is served, in an index with tenants.
            placed: Items on the map, ``None`` while it is drawn.
            asked: How often queries without a sure answer were asked, by the label of their best hit.
        """
        sizes = index.client.facet(
            index.collection, LABEL_KEY, facet_filter=tenant_filter(index, tenant), limit=MAX_LABELS, exact=True
        )
        pairs = _pairs(index)
        confused = _most_confused(pairs or [])
        promises, target = _promises(index)
        means, wrong = _of_items(placed)
        rows = [
            LabelRow(
                name=(name := str(size.value)),
                items=size.count,
                confidence=means.get(name),
                wrong=None if pairs is None or placed is None else wrong.get(name, 0),
                confused=confused.get(name),
                asked=asked[name],
                missing=max(_FEWEST - size.count, 0),
                promise=promises.get(name),
            )
            for size in sizes.hits
        ]
        return cls(rows, pairs is not None, placed is not None, target)

    def sorted(self, order: str, *, descending: bool) -> list[LabelRow]:
        """The labels in an order; those without what it goes by come last."""
        value: Callable[[LabelRow], Any] = _ORDERS[order]
        known = [row for row in self.rows if value(row) is not None]
        unknown = [row for row in self.rows if value(row) is None]
        return sorted(known, key=value, reverse=descending) + unknown


_ORDERS: dict[str, Callable[[LabelRow], Any]] = {
    "label": lambda row: (row.name.casefold(), row.name),
    "items": lambda row: row.items,
    "confidence": lambda row: row.confidence,
    "wrong": lambda row: row.wrong,
    "confused": lambda row: None if row.confused is None else row.confused[1],
    "asked": lambda row: row.asked,
    "promise": lambda row: None if row.promise is None else row.promise.precision,
}
ORDERS = tuple(_ORDERS)


def _pairs(index: ConfidenceIndex) -> list[ConfusedLabels] | None:
    try:
        return index.confused_labels(_PAIRS)
    except NotScoredError:
        return None


def _most_confused(pairs: Sequence[ConfusedLabels]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for pair in pairs:
        count = pair.first_as_second + pair.second_as_first
        for name, other in ((pair.first, pair.second), (pair.second, pair.first)):
            if count > found.get(name, ("", 0))[1]:
                found[name] = (other, count)
    return found


def _promises(index: ConfidenceIndex) -> tuple[dict[str, GroupPromise], float | None]:
    calibration = index.calibration
    if calibration is None or calibration.promise_by != "label":
        return {}, None
    report = GroupReport.of(calibration)
    assert report is not None  # noqa: S101  something is promised by label
    return {row.group: row for row in calibration.groups(report.target)}, report.target


def _of_items(placed: PlacedItems | None) -> tuple[dict[str, float], dict[str, int]]:
    """By label the mean confidence, and the number of items whose label is likely wrong."""
    if placed is None:
        return {}, {}
    there = ~placed.gone & (placed.label < len(placed.labels))
    codes, count = placed.label[there].astype(np.int64), len(placed.labels)
    confidence, wrong = placed.numbers[0, there] / 254, placed.numbers[2, there]
    sizes = np.maximum(np.bincount(codes, minlength=count), 1)
    means = np.bincount(codes, weights=confidence, minlength=count) / sizes
    likely = np.bincount(codes[(wrong >= _LIKELY) & (wrong != UNKNOWN)], minlength=count)
    return (
        dict(zip(placed.labels, means.tolist(), strict=True)),
        dict(zip(placed.labels, likely.tolist(), strict=True)),
    )

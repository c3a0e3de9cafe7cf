"""The map of the items: computed in the background, told of what people change, and the same after a restart.

The places of its landmarks are kept with the index (:mod:`fg_search.web.kept_map`). The place of any other item
depends on these and on the item alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.confidence_index import ConfidenceIndex
from fg_search.engine.paging import pages
from fg_search.ids import UserId
from fg_search.index.items import IndexedItem
from fg_search.layout.keys import (
    BASE_VECTOR,
    CONFIDENCE_KEY,
    FAMILIARITY_KEY,
    FEATURES_VECTOR,
    LABEL_KEY,
    PAYLOAD_KEY,
    REVIEW_SCORE_KEY,
)
from fg_search.layout.points import features_of
from fg_search.model.projection import Landmarks, lay_out, to_unit_square
from fg_search.web.background import Background
from fg_search.web.kept_map import KeptMap, keep_map, kept_map
from fg_search.web.stored_items import StoredItems

MAX_ITEMS = 100_000  # on the map; of more, a sample
MAX_REGION = 20_000  # items of a region that a list can be restricted to
UNKNOWN = 255  # a number that an item does not have, as a byte
FINEST = 65_535  # steps of a coordinate
HUES = 12  # labels with a colour of their own

_LANDMARKS = 1_000
_FIRST = 2_000  # items that are shown while all others are still being placed
_GROWN = 2  # so many times as many items as when landmarks were laid out need others
_FEATURES_SHARE = 0.4  # of the features' length, beside base embeddings of length 1: benchmarks/map_places.py
_PAGE = 1_000
_PATIENCE = 5.0  # seconds that a list waits for the map
_IDS = 10_000  # read at once
_SETTLED, _FEW = 0.05, 20  # a map is drawn anew once so large a share of the items, and so many, have come or gone
_KEYS = [f"{PAYLOAD_KEY}.id", LABEL_KEY, CONFIDENCE_KEY, FAMILIARITY_KEY, REVIEW_SCORE_KEY]


@dataclass(eq=False)
class PlacedItems:
    """Items on the map, n of them.

    Attributes:
        ids: ``(n,)`` user's ids.
        total: Number of items of the index when it was drawn.
        places: ``(n, 2)`` uint16, from the top left, in steps of 1/:data:`FINEST`.
        labels: Labels: first those with a colour of their own, then the most frequent first.
        label: ``(n,)`` uint16 position in ``labels``; their number for items without one.
        numbers: ``(3, n)`` uint8 confidence, familiarity, and probability that the label is wrong, times 254;
            :data:`UNKNOWN` where there is none.
        gone: ``(n,)`` whether the item was deleted since.
        is_whole: Whether all items are placed that are to be.
        stamp: When it was drawn, which tells it from others.
    """

    ids: list[UserId]
    total: int
    places: npt.NDArray[np.uint16]
    labels: list[str]
    label: npt.NDArray[np.uint16]
    numbers: npt.NDArray[np.uint8]
    gone: npt.NDArray[np.bool_]
    is_whole: bool = True
    stamp: int = field(default_factory=time.time_ns)
    _rows: dict[UserId, int] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def within(self, left: float, top: float, right: float, bottom: float) -> list[UserId]:
        """Ids of the items in a rectangle, whose sides are given in [0, 1]."""
        x, y = self.places[:, 0] / FINEST, self.places[:, 1] / FINEST
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom) & ~self.gone
        return [self.ids[row] for row in np.flatnonzero(inside)]

    def to_bytes(self) -> bytes:
        """What a browser draws: columns x, y and label as uint16, then the numbers and ``gone`` as uint8."""
        columns = (self.places[:, 0], self.places[:, 1], self.label)
        return b"".join(
            [
                *(column.astype("<u2").tobytes() for column in columns),
                self.numbers.tobytes(),
                self.gone.astype(np.uint8).tobytes(),
            ]
        )

    def renew(self, changed: Sequence[UserId], now: Sequence[IndexedItem]) -> None:
        """Note how changed items are now; those that are not among them are gone."""
        if not self._rows:
            self._rows.update({user_id: row for row, user_id in enumerate(self.ids)})
        there = {item.id: item for item in now}
        for user_id in changed:
            row = self._rows.get(user_id)
            if row is not None:
                item = there.get(user_id)
                self.gone[row] = item is None
                if item is not None:
                    self.label[row] = self._label(item.label)
                    self.numbers[:, row] = [_byte(item.confidence), _byte(item.familiarity), _byte(item.wrong)]

    def _label(self, name: str | None) -> int:
        if name is None:
            return FINEST
        if name not in self.labels:
            self.labels.append(name)
        return self.labels.index(name)


class ItemMap:
    """The map of an index or of a tenant's part of it.

    Args:
        index: The index.
        tenant: Tenant whose items to show, in an index with tenants.
    """

    def __init__(self, index: ConfidenceIndex, tenant: str | None) -> None:
        self._index, self._tenant = index, tenant
        self._stored = StoredItems(index, tenant)
        self._drawn = Background(self._draw, self._version)
        self._first: PlacedItems | None = None
        self._has_some = Event()
        self._changed: set[UserId] = set()
        self._lock = Lock()
        self._count = 0
        self.progress = 0.0

    def get(self, patience: float, *, whole: bool = False) -> PlacedItems | None:
        """The map, or ``None`` if it is not ready after ``patience`` seconds. One that is out of date is better.

        Args:
            patience: Seconds to wait.
            whole: Wait for all items, and not only for some, spread over the index.
        """
        placed = self._drawn.get(patience if whole else 0.0, or_before=True)
        if placed is None and not whole:
            self._has_some.wait(patience)
            placed = self._drawn.get(0.0, or_before=True) or self._first
        if placed is None:
            return None
        with self._lock:
            changed, self._changed = sorted(self._changed, key=str), set()
            if changed:
                placed.renew(changed, self._index.items(changed))
        return placed

    def forget(self) -> None:
        """Read the items anew, because something has changed many of them. Places stay."""
        self._drawn.forget()

    def changed(self, user_id: UserId) -> None:
        """Note that somebody decided about an item."""
        with self._lock:
            self._changed.add(user_id)

    def within(self, region: str) -> list[UserId]:
        """Ids of the items in a region, given as left, top, right and bottom.

        Raises:
            ValueError: If the map is not ready, or they are too many for a list.
        """
        placed = self.get(_PATIENCE, whole=True)
        if placed is None:
            raise ValueError("the map is still being drawn; try again in a moment")
        left, top, right, bottom = map(float, region.split(","))
        found = placed.within(left, top, right, bottom)
        if len(found) > MAX_REGION:
            raise ValueError(f"the region has {len(found):,} items, at most {MAX_REGION:,} can be listed; choose less")
        return found

    def _version(self) -> tuple[str, int]:
        count = len(self._index)
        if abs(count - self._count) > max(_SETTLED * self._count, _FEW) or not self._count:
            self._count = count
        return self._index.metadata.fingerprint, self._count

    def _draw(self) -> PlacedItems:
        self.progress = 0.0
        self._has_some.clear()
        try:
            return self._draw_all()
        finally:
            self._first = None
            self._has_some.set()

    def _draw_all(self) -> PlacedItems:
        every = list(self._point_ids())
        chosen = _spread(every, MAX_ITEMS)
        landmarks, coloured = self._landmarks(chosen, len(every))
        if len(chosen) > _FIRST:
            self._first = self._place(_spread(chosen, _FIRST), landmarks, coloured, len(every), is_whole=False)
            self._has_some.set()
        return self._place(chosen, landmarks, coloured, len(every), is_whole=True)

    def _place(
        self, chosen: Sequence[Any], landmarks: Landmarks, coloured: Sequence[str], total: int, *, is_whole: bool
    ) -> PlacedItems:
        places, kept = [], []
        for number, page in enumerate(pages(chosen, _PAGE)):
            records = self._read(page)
            if records:
                places.append(landmarks.place(self._rows(records), [str(record.id) for record in records]))
                kept += [features_of(record) for record in records]
            if is_whole:
                self.progress = min(1.0, (number + 1) * _PAGE / max(len(chosen), 1))
        layout = np.concatenate(places) if places else np.zeros((0, 2), dtype=np.float32)
        return _placed(kept, layout, coloured, total, is_whole=is_whole)

    def _point_ids(self) -> Iterator[Any]:
        offset: Any = None
        while True:
            found, offset = self._stored.ids(_IDS, offset)
            yield from found
            if offset is None:
                return

    def _landmarks(self, chosen: Sequence[Any], total: int) -> tuple[Landmarks, Sequence[str]]:
        """Landmarks in the unit square: where they were before, if that is known and still serves.

        With them come the labels that have a colour, in the order in which they got it.
        """
        known = kept_map(self._index, self._tenant)
        fingerprint = self._index.metadata.fingerprint
        if known is not None and known.fingerprint == fingerprint and total <= _GROWN * known.items:
            at = dict(zip(known.points, known.places, strict=True))
            records = [record for page in pages(known.points, _PAGE) for record in self._read(page)]
            if 2 * len(records) >= len(known.points):
                return self._landmarks_at(records, np.array([at[record.id] for record in records])), known.labels
        records = [record for page in pages(_spread(chosen, _LANDMARKS), _PAGE) for record in self._read(page)]
        if not records:
            return Landmarks(np.zeros((1, 1), dtype=np.float32), np.zeros((1, 2), dtype=np.float32)), []
        places = _steps(to_unit_square(lay_out(self._rows(records)).layout))
        coloured = _by_frequency(features_of(record) for record in records)[:HUES]
        points = [record.id for record in records]
        keep_map(self._index, self._tenant, KeptMap(fingerprint, total, points, places, coloured))
        return self._landmarks_at(records, places), coloured

    def _landmarks_at(self, records: Sequence[Any], places: npt.NDArray[np.uint16]) -> Landmarks:
        in_square = np.asarray(places / np.float32(FINEST), dtype=np.float32)
        return Landmarks(self._rows(records), in_square, [str(record.id) for record in records])

    def _read(self, points: Sequence[Any]) -> list[Any]:
        vectors = [FEATURES_VECTOR, *([BASE_VECTOR] if self._index.metadata.has_base else [])]
        return self._stored.read(points, _KEYS, vectors)

    def _rows(self, records: Sequence[Any]) -> npt.NDArray[np.float32]:
        features = self._stored.features(records)
        if not self._index.metadata.has_base:
            return features
        base = np.array([record.vector[BASE_VECTOR] for record in records], dtype=np.float32)
        base /= np.maximum(np.linalg.norm(base, axis=1, keepdims=True), 1e-9)
        return np.hstack([base, np.float32(_FEATURES_SHARE) * features])


def _spread(points: Sequence[Any], most: int) -> list[Any]:
    """Points evenly spread over a list, at most so many."""
    if len(points) <= most:
        return list(points)
    return [points[i * len(points) // most] for i in range(most)]


def _steps(places: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Places in the unit square in steps of 1/:data:`FINEST`; what is just outside moves to its edge."""
    return np.asarray(np.rint(places.clip(0.0, 1.0) * FINEST), dtype=np.uint16)


def _by_frequency(features: Iterable[dict[str, Any]]) -> list[str]:
    """Labels, the most frequent first."""
    counts = Counter(one["label"] for one in features if one.get("label") is not None)
    return [name for name, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def _placed(
    features: Sequence[dict[str, Any]],
    layout: npt.NDArray[np.float32],
    coloured: Sequence[str],
    total: int,
    *,
    is_whole: bool,
) -> PlacedItems:
    labels = list(dict.fromkeys([*coloured, *_by_frequency(features)]))
    position = {name: min(place, FINEST - 1) for place, name in enumerate(labels)}
    numbers = [
        [_byte(one["confidence"]), _byte(one.get("familiarity")), _byte((one.get("review") or {}).get("score"))]
        for one in features
    ]
    return PlacedItems(
        ids=[one["id"] for one in features],
        total=total,
        places=_steps(layout),
        labels=labels,
        label=np.array([position.get(one.get("label") or "", FINEST) for one in features], dtype=np.uint16),
        numbers=np.array(numbers, dtype=np.uint8).reshape(len(features), 3).T.copy(),
        gone=np.zeros(len(features), dtype=np.bool_),
        is_whole=is_whole,
    )


def _byte(value: float | None) -> int:
    return UNKNOWN if value is None else round(254 * min(max(value, 0.0), 1.0))

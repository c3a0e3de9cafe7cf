"""Pages of items in an order of their own, each found without reading those before it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from qdrant_client import models
from typing_extensions import Self

from fg_search.engine.port import PointId
from fg_search.ids import is_uuid
from fg_search.index.few_conditions import told_of_conditions
from fg_search.index.items import IndexedItem
from fg_search.index.scores import check_labels_scored
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals, is_empty
from fg_search.layout.keys import CONFIDENCE_KEY, FAMILIARITY_KEY, LABEL_KEY, REVIEW_SCORE_KEY
from fg_search.layout.points import features_of, id_of, is_ours
from fg_search.validation import check_count, is_number

ItemOrder = Literal["id", "label", "confidence", "familiarity", "wrong"]

_NUMBERS = {"confidence": CONFIDENCE_KEY, "familiarity": FAMILIARITY_KEY, "wrong": REVIEW_SCORE_KEY}
_MAX_LABELS = 100_000
_STRANGERS = 1_000  # points of other clients that may stand between two items, a page


@dataclass(frozen=True)
class ItemPage:
    """A page of items.

    Attributes:
        items: Its items.
        total: Number of items on all pages.
        following: Where the next page begins, ``None`` if this is the last one.
    """

    items: Sequence[IndexedItem]
    total: int
    following: str | None


@dataclass(frozen=True)
class Place:
    """Place of an item in an order.

    Attributes:
        value: What the order goes by, ``None`` if the item has none, or it goes by ids.
        point: Engine's id of the item; by it go items of the same value. ``None`` for the first.
    """

    value: float | str | None
    point: PointId | None

    def to_text(self) -> str:
        """The place as letters, digits, ``-`` and ``_``."""
        packed = json.dumps([self.value, self.point], separators=(",", ":"))
        return urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def of_text(cls, text: str, order_by: ItemOrder) -> Self:
        """Read what :meth:`to_text` wrote.

        Raises:
            ValueError: If it is none, or one of another order.
        """
        try:
            value, point = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, TypeError):
            raise _no_place(text) from None
        of_order = value is None or (is_number(value) if order_by in _NUMBERS else isinstance(value, str))
        of_engine = is_uuid(point) if isinstance(point, str) else isinstance(point, int) and 0 <= point < 2**64
        if not of_order or not of_engine or isinstance(point, bool) or (order_by == "id" and value is not None):
            raise _no_place(text)
        return cls(value, point)


async def item_page(
    state: IndexState,
    order_by: ItemOrder,
    descending: bool,
    query_filter: models.Filter | None,
    limit: int,
    after: str | None,
) -> ItemPage:
    """A page of the items that match a filter.

    Raises:
        NotScoredError: If the order needs scores and there are none yet.
        ValueError: If the order is unknown or goes one way only, the limit is less than one, or ``after`` is no place.
    """
    if order_by not in get_args(ItemOrder):
        raise ValueError(f"order_by must be one of {', '.join(map(repr, get_args(ItemOrder)))}, got {order_by!r}")
    if descending and order_by == "id":
        raise ValueError("items are ordered by id one way only; leave out descending")
    check_count(limit, name="limit")
    reader = _Reader(state, query_filter, limit + 1)
    place = None if after is None else Place.of_text(after, order_by)
    with told_of_conditions(state, query_filter):
        total = await state.engine.count(state.collection, state.scope(query_filter))
        if order_by == "id":
            await reader.read(None, None if place is None else place.point)
        elif order_by == "label":
            await _by_label(reader, place, descending)
        else:
            if order_by == "wrong":
                await check_labels_scored(state)
            await _by_number(reader, _NUMBERS[order_by], place, descending)
    records = reader.found
    following = _place_of(records[limit], order_by).to_text() if len(records) > limit else None
    return ItemPage([IndexedItem.of_record(record) for record in records[:limit]], total, following)


class _Reader:
    """Reads items one after the other until there are enough."""

    def __init__(self, state: IndexState, query_filter: models.Filter | None, wanted: int) -> None:
        self.state, self.query_filter, self.wanted = state, query_filter, wanted
        self.found: list[models.Record] = []

    @property
    def room(self) -> int:
        return max(self.wanted - len(self.found), 0)

    async def read(self, condition: models.Condition | None, point: PointId | None) -> None:
        """Read items that meet a condition, by their ids, from this one on."""
        for _ in range(_STRANGERS):
            if not self.room:
                return
            records, point = await self.state.engine.scroll(
                self.state.collection, limit=self.room, scroll_filter=self._scope(condition), offset=point
            )
            self.found += [record for record in records if is_ours(record)]
            if point is None:
                return

    async def ordered(self, order: models.OrderBy, condition: models.Condition) -> list[models.Record]:
        """The first items in an order that meet a condition, as many as there is room for."""
        records, _ = await self.state.engine.scroll(
            self.state.collection, limit=self.room, scroll_filter=self._scope(condition), order_by=order
        )
        return [record for record in records if is_ours(record)]

    def _scope(self, condition: models.Condition | None) -> models.Filter | None:
        return self.state.scope(condition, self.query_filter)


async def _by_label(reader: _Reader, place: Place | None, descending: bool) -> None:
    """By label, in the order of the letters; items without one come last."""
    if place is None or place.value is not None:
        state = reader.state
        hits = await state.engine.facet(
            state.collection, LABEL_KEY, facet_filter=state.scope(reader.query_filter), limit=_MAX_LABELS
        )
        names = sorted({str(hit.value) for hit in hits}, key=_letters, reverse=descending)
        for name in names:
            if place is not None and name != place.value and _comes_before(name, str(place.value), descending):
                continue
            start = place.point if place is not None and name == place.value else None
            await reader.read(equals(LABEL_KEY, name), start)
        place = None
    await reader.read(is_empty(LABEL_KEY), None if place is None else place.point)


async def _by_number(reader: _Reader, key: str, place: Place | None, descending: bool) -> None:
    """By a number; items of the same go by id, and those without one come last.

    The engine orders items of the same number as it likes. The last number on a page may go on on the next, so its
    items are read once more by id.
    """
    direction = models.Direction.DESC if descending else models.Direction.ASC
    if place is None or place.value is not None:
        value = None if place is None else float(place.value or 0.0)
        start = None if place is None else place.point
        while reader.room:
            if value is not None:
                await reader.read(models.FieldCondition(key=key, range=models.Range(gte=value, lte=value)), start)
                if not reader.room:
                    return
            beyond = _beyond(value, descending)
            records = await reader.ordered(
                models.OrderBy(key=key, direction=direction), models.FieldCondition(key=key, range=beyond)
            )
            if not records:
                break
            value, start = _number(records[-1], key), None
            reader.found += [record for record in records if _number(record, key) != value]
        place = None
    await reader.read(is_empty(key), None if place is None else place.point)


def _beyond(value: float | None, descending: bool) -> models.Range:
    if value is None:
        return models.Range(gte=0.0)
    return models.Range(lt=value) if descending else models.Range(gt=value)


def _number(record: models.Record, key: str) -> float:
    features = features_of(record)
    return float(features["review"]["score"] if key == REVIEW_SCORE_KEY else features[key.rpartition(".")[2]])


def _place_of(record: models.Record, order_by: ItemOrder) -> Place:
    item = IndexedItem.of_record(record)
    return Place(None if order_by == "id" else getattr(item, order_by), id_of(record))


def _letters(name: str) -> tuple[str, str]:
    return name.casefold(), name


def _comes_before(name: str, other: str, descending: bool) -> bool:
    return (_letters(name) < _letters(other)) != descending


def _no_place(text: str) -> ValueError:
    return ValueError(f"after={text!r} is no place in this order; take `following` of a page in the same order")

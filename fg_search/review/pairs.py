"""Items of two copies of an index, side by side.

Both are read in the order of the engine's ids, which is the same everywhere, so that one way through each of them finds
what is new, gone, or differs. Vectors stay where they are, and so does what follows from text and encoder: the digest
of an item tells whether it has the same. An owner's payload is read, as other clients may have changed it since.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple

from qdrant_client import models

from fg_search.engine.ordered import id_order
from fg_search.engine.paging import IDS_PER_REQUEST, scroll_pages
from fg_search.engine.port import PointId
from fg_search.index.copies import OURS
from fg_search.index.state import IndexState
from fg_search.layout.items import StoredItem
from fg_search.layout.keys import CONFIDENCE_KEY, CUT_KEY, FAMILIARITY_KEY, PAYLOAD_KEY, TEXT_KEY, UNREAD_KEY
from fg_search.layout.payloads import are_same
from fg_search.layout.points import features_of, id_of, payload_of

_FOLLOWING = [  # from text and encoder
    TEXT_KEY,
    CONFIDENCE_KEY,
    FAMILIARITY_KEY,
    UNREAD_KEY,
    CUT_KEY,
    f"{PAYLOAD_KEY}.codes",
    f"{PAYLOAD_KEY}.groups",
]
_COMPARED = models.PayloadSelectorExclude(exclude=_FOLLOWING)


class Pair(NamedTuple):
    """An item of either copy, as far as it is compared.

    Attributes:
        point: Engine's id.
        own: Its point in the one, ``None`` if it has none.
        theirs: Its point in the other, ``None`` if it has none.
    """

    point: PointId
    own: models.Record | None
    theirs: models.Record | None


async def side_by_side(state: IndexState, other: IndexState) -> AsyncIterator[Pair]:
    """All items that either copy has, in the order of the engine's ids."""
    ours, others = _points(state), _points(other)
    own, theirs = await anext(ours, None), await anext(others, None)
    while own is not None and theirs is not None:
        first, second = id_order(id_of(own)), id_order(id_of(theirs))
        if first < second:
            yield Pair(id_of(own), own, None)
            own = await anext(ours, None)
        elif second < first:
            yield Pair(id_of(theirs), None, theirs)
            theirs = await anext(others, None)
        else:
            yield Pair(id_of(own), own, theirs)
            own, theirs = await anext(ours, None), await anext(others, None)
    while own is not None:
        yield Pair(id_of(own), own, None)
        own = await anext(ours, None)
    while theirs is not None:
        yield Pair(id_of(theirs), None, theirs)
        theirs = await anext(others, None)


def are_copies(own: models.Record, theirs: models.Record) -> bool:
    """Whether two points of the same id are the same item, payload included.

    Payloads are compared themselves, as they may have been changed in the engine since the digest was taken. Where an
    entry of the log is, in the item or in the log already, makes no difference.
    """
    first, second = (StoredItem.of_features(features_of(point)) for point in (own, theirs))
    return (
        _without_json(first) == _without_json(second)
        and are_same(first.review, second.review)
        and are_same(_payload_of_owner(own), _payload_of_owner(theirs))
    )


async def _points(state: IndexState) -> AsyncIterator[models.Record]:
    async for page in scroll_pages(
        state.engine,
        state.points,
        page_size=IDS_PER_REQUEST,
        scroll_filter=models.Filter(must=[OURS]),
        with_payload=_COMPARED,
        copies="active",
    ):
        for record in page:
            yield record


def _without_json(item: StoredItem) -> StoredItem:
    return replace(item, text=None, review=None, model=None, history=item.history.logged())


def _payload_of_owner(record: models.Record) -> dict[str, Any]:
    return {key: value for key, value in payload_of(record).items() if key != PAYLOAD_KEY}

"""Items that two copies of an index exchange: what people decided about them, as it is read, written and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qdrant_client import models

from fg_search.engine.port import PointId
from fg_search.index.state import IndexState
from fg_search.layout.history import History
from fg_search.layout.keys import (
    BASE_VECTOR,
    FEATURES_VECTOR,
    GIVEN_LABEL_KEY,
    HASH_KEY,
    ITEM_HISTORY_KEY,
    LABEL_KEY,
    PAYLOAD_KEY,
    REVIEW_NOTE_KEY,
    REVIEWED_KEY,
    SET_ASIDE_KEY,
)
from fg_search.layout.points import features_of, history_of, id_of, is_ours, payload_of
from fg_search.review.exchange_reports import ExchangeConflict
from fg_search.review.lineage import has_decided

PAGE = 512
"""Items that are read, written and compared at once."""

OF_PEOPLE = (  # every item has the first two
    f"{PAYLOAD_KEY}.id",
    HASH_KEY,
    LABEL_KEY,
    GIVEN_LABEL_KEY,
    REVIEW_NOTE_KEY,
    SET_ASIDE_KEY,
    ITEM_HISTORY_KEY,
)
"""Keys of what people did to an item."""

CHANGED_HERE = "people decided about it here, where it was added with another text"
DELETED_THERE = "it was deleted there, and people decided about it here"
NOT_THERE = "people decided about it here, and it is not there"

_BOTH = "people decided about it here and there"
_CHANGED_THERE = "people decided about it here, and it was added with other content there"
_DELETED_HERE = "it was deleted here, and people decided about it there"
_DELETED_HERE_CHANGED = "it was deleted here, and added with other content there"
_BY_PEOPLE = ("label", GIVEN_LABEL_KEY.removeprefix(f"{PAYLOAD_KEY}."), REVIEWED_KEY, "set_aside")


async def retrieved(state: IndexState, ids: Sequence[PointId]) -> dict[PointId, models.Record]:
    """What people did to items, by engine's id, as far as they are there."""
    found = await state.engine.retrieve(state.points, ids, with_payload=OF_PEOPLE, copies="most") if ids else []
    return {id_of(record): record for record in found if is_ours(record)}


async def with_vectors(state: IndexState, ids: Sequence[PointId], *, has_base: bool) -> list[models.Record]:
    """Whole items, with the vectors that a copy has."""
    vectors = [BASE_VECTOR, FEATURES_VECTOR] if has_base else [FEATURES_VECTOR]
    return await state.engine.retrieve(state.points, ids, with_vectors=vectors, copies="active")


def of_people(record: models.Record) -> dict[str, Any]:
    """What people decided about an item, for our part of the payload."""
    features = features_of(record)
    return {key: features.get(key) for key in _BY_PEOPLE}


def with_history(record: models.Record, history: History) -> dict[str, Any]:
    """Payload of an item with another history."""
    return {**payload_of(record), PAYLOAD_KEY: {**features_of(record), **history.to_payload()}}


def of_both(own: models.Record, theirs: models.Record) -> ExchangeConflict:
    """Conflict about an item that is in both."""
    has_other = has_decided(history_of(theirs), history_of(own))
    return conflict_about(own, theirs, _BOTH if has_other else _CHANGED_THERE)


def of_deleted(theirs: models.Record | models.ScoredPoint, gone: History) -> ExchangeConflict:
    """Conflict about an item that was deleted here, with this history."""
    has_other = has_decided(history_of(theirs), gone)
    return conflict_about(None, theirs, _DELETED_HERE if has_other else _DELETED_HERE_CHANGED)


def conflict_about(
    own: models.Record | None, theirs: models.Record | models.ScoredPoint | None, reason: str
) -> ExchangeConflict:
    """Conflict about an item that is in either."""
    here, there = ({} if one is None else features_of(one) for one in (own, theirs))
    return ExchangeConflict((here or there)["id"], here.get("label"), there.get("label"), reason)

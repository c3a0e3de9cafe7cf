"""Conditional changes of one item: read it, change it unless somebody else has, and find out whether that worked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from fg_search.engine.port import PointId
from fg_search.errors import DecisionConflictError
from fg_search.index.decision_log import is_logged, newest_number, read_entry
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.conditions import has_ids
from fg_search.layout.history import History
from fg_search.layout.items import StoredItem
from fg_search.layout.keys import HASH_KEY, ITEM_HISTORY_KEY, PAYLOAD_KEY
from fg_search.layout.logs import KEY
from fg_search.layout.points import features_of, history_of, id_of
from fg_search.review.decisions import ReviewDecision


@dataclass(frozen=True)
class SeenItem:
    """An item as it was read.

    Attributes:
        record: Its point, with our part of the payload at least.
    """

    record: models.Record | models.ScoredPoint

    @property
    def point(self) -> PointId:
        """Engine's id."""
        return id_of(self.record)

    @property
    def features(self) -> dict[str, Any]:
        """Our part of the payload."""
        return features_of(self.record)

    @property
    def stored(self) -> StoredItem:
        """The item as the index knows it."""
        return StoredItem.of_features(self.features)

    @property
    def history(self) -> History:
        """Changes by people."""
        return history_of(self.record)


async def read_item(state: IndexState, point: PointId, *, with_vectors: bool = False) -> tuple[SeenItem | None, int]:
    """Read an item, ``None`` if it is gone, and the greatest number of a decision that any item has."""
    wanted = models.QueryRequest(
        filter=models.Filter(must=[has_ids([point])]), limit=1, with_payload=True, with_vector=with_vectors
    )
    found, newest = await state.engine.query_batch_points(state.points, [wanted, newest_number()], copies="most")
    numbers = [history_of(record).number for record in newest.points]
    return (SeenItem(found.points[0]) if found.points else None), max(numbers, default=0)


async def change_item(
    state: IndexState,
    seen: SeenItem,
    values: Mapping[str, Any],
    history: History,
    *,
    also: Sequence[models.UpdateOperation] = (),
) -> None:
    """Change an item, unless somebody has changed it since it was read.

    Args:
        state: The index.
        seen: The item as it was read.
        values: Changes of our part of the payload. A key that is set to ``None`` is removed.
        history: History after the change, with its token.
        also: Other writes for the same request.

    Raises:
        DecisionConflictError: If somebody has.
    """
    operations = [*also, _setting(seen, values, history)]
    await state.engine.batch_update_points(state.points, operations)
    await check_changed(state, seen, history)
    await acknowledge(state, [seen.point])
    state.handle.acknowledged.update(entry[KEY] for entry in history.unlogged)


async def mark_item(state: IndexState, seen: SeenItem, history: History) -> None:
    """Give an item a history with another token, unless somebody has changed it since it was read.

    Raises:
        DecisionConflictError: If somebody has.
    """
    await state.engine.batch_update_points(state.points, [_setting(seen, {}, history)])
    await check_changed(state, seen, history)
    await acknowledge(state, [seen.point])


async def check_changed(state: IndexState, seen: SeenItem, wanted: History) -> None:
    """Check that a change took place, by reading the item back.

    Args:
        state: The index.
        seen: The item as it was read before.
        wanted: History after the change. Its last token is that of the change, and so is its last entry, if it has any.

    Raises:
        DecisionConflictError: If somebody else was faster.
    """
    records = await state.engine.retrieve(
        state.points, [seen.point], with_payload=[ITEM_HISTORY_KEY, HASH_KEY], copies="most"
    )
    history = history_of(records[0]) if records else None
    if history is not None and wanted.writers[-1] in history.writers:
        return
    if wanted.unlogged and await is_logged(state, wanted.unlogged[-1][KEY]):
        return  # somebody has deleted the item since, and logged the entry before that
    user_id = seen.features["id"]
    if history is None:
        raise DecisionConflictError(f"somebody deleted {user_id!r} in this very moment")
    if history.number != seen.history.number:
        raise await newer_decision(state, user_id, history)
    raise DecisionConflictError(f"somebody changed {user_id!r} in this very moment; look at it again")


async def newer_decision(state: IndexState, user_id: object, history: History) -> DecisionConflictError:
    """Error to raise if there is a newer decision than the one that a reviewer knew of."""
    newest = next((entry for entry in history.unlogged if entry["number"] == history.number), None)
    if newest is None:
        logged = await read_entry(state, history.number)
        newest = None if logged is None else logged[0]
    return conflict_with(user_id, None if newest is None else ReviewDecision.of_payload(newest))


def conflict_with(user_id: object, newest: ReviewDecision | None) -> DecisionConflictError:
    """Error to raise if there is a newer decision about an item."""
    if newest is None:
        return DecisionConflictError(f"somebody decided about {user_id!r} meanwhile")
    if newest.action == "undo":
        return DecisionConflictError(f"{newest.reviewer} took back a decision about {user_id!r} meanwhile")
    return DecisionConflictError(f"{newest.reviewer} decided about {user_id!r} meanwhile: {newest.action}")


def _setting(seen: SeenItem, values: Mapping[str, Any], history: History) -> models.UpdateOperation:
    """Write that changes an item as it was seen."""
    change = models.SetPayload(
        payload={**values, **history.to_payload()},
        key=PAYLOAD_KEY,
        filter=models.Filter(must=[has_ids([seen.point]), seen.history.unchanged]),
    )
    return models.SetPayloadOperation(set_payload=change)

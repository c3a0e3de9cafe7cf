"""Checks that an item is as a decision assumes, so that nothing is done or undone over a newer change."""

from __future__ import annotations

from fg_search.errors import DecisionConflictError
from fg_search.ids import UserId
from fg_search.index.state import IndexState
from fg_search.layout.keys import PAYLOAD_KEY, REVIEWED_KEY
from fg_search.review.decision_log import entries_that, latest_entry
from fg_search.review.decisions import ReviewDecision
from fg_search.review.deletions import current_features, deleted_point, restored_point, undoes_deletion


async def check_nothing_newer(state: IndexState, user_id: UserId, latest: int) -> None:
    """Check that the latest entry about an item, if there is any, has this number.

    Raises:
        DecisionConflictError: If it has another one.
    """
    newest = await latest_entry(state, entries_that(state, item=user_id))
    if newest is None or newest.number == latest:
        return
    if newest.action == "undo":
        raise DecisionConflictError(f"{newest.reviewer} took back a decision about {user_id!r} meanwhile")
    raise DecisionConflictError(f"{newest.reviewer} decided about {user_id!r} meanwhile: {newest.action}")


async def check_can_be_undone(state: IndexState, decision: ReviewDecision) -> None:
    """Check that the item is as the decision left it, so that undo takes back nothing else.

    Raises:
        DecisionConflictError: If it is not.
        EncoderNotFoundError: If a deleted item must be encoded anew and the encoder is gone.
    """
    if decision.action == "delete":
        await _check_can_come_back(state, decision)
    else:
        await _check_is_as_left(state, decision)


async def check_still_fits(state: IndexState, entry: ReviewDecision) -> None:
    """Check that an interrupted entry fits the item as it is now. The entry may have been carried out in part.

    Raises:
        DecisionConflictError: If it does not.
    """
    features = await current_features(state, entry)
    if entry.action == "delete":
        deleted = (entry.point or {})["payload"][PAYLOAD_KEY]
        if features is not None and features["hash"] != deleted["hash"]:
            raise entry.out_of_date("the item was replaced before it could be deleted")
    elif await undoes_deletion(state, entry):
        return  # bring_back checks it
    elif features is None:
        raise entry.out_of_date("the item is gone")
    elif features.get("label") not in (entry.before, entry.after):
        raise entry.out_of_date(f"the item has the label {features.get('label')!r} by now")


async def _check_is_as_left(state: IndexState, decision: ReviewDecision) -> None:
    features = await current_features(state, decision)
    if features is None:
        raise decision.out_of_date("the item is gone")
    label = features.get("label")
    if label != decision.after:
        raise decision.out_of_date(f"the item has the label {label!r} by now, not {decision.after!r}")
    if features.get(REVIEWED_KEY) != decision.note:
        raise decision.out_of_date("the item was replaced since")


async def _check_can_come_back(state: IndexState, decision: ReviewDecision) -> None:
    if (await current_features(state, decision)) is not None:
        raise decision.out_of_date("there is an item with this id again")
    if restored_point(state, await deleted_point(state, decision.number)) is None:
        await state.engine.work(lambda: state.encoder)  # fails before the entry is logged, not after

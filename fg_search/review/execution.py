"""Execution of decisions: labels are set, items deleted or brought back, and decisions noted with the items."""

from __future__ import annotations

from fg_search.index.labels import relabel
from fg_search.index.state import IndexState
from fg_search.layout.keys import PAYLOAD_KEY, REVIEW_NOTE_KEY, REVIEWED_KEY
from fg_search.review.decision_log import entries_that, latest_entry, set_stage
from fg_search.review.decisions import ReviewDecision
from fg_search.review.deletions import bring_back, undoes_deletion, undone_number


async def carry_out(state: IndexState, entry: ReviewDecision) -> None:
    """Carry out an entry of the log. Doing it twice is doing it once.

    Raises:
        DecisionConflictError: If a deleted item cannot come back, as there is another one with its id.
    """
    if entry.action == "undo":
        await _take_back(state, entry)
        await set_stage(state, entry.number, "over")
        return
    if entry.action == "delete":
        await state.engine.delete(state.collection, [state.point_id(entry.id)])
    else:
        await _set_label(state, entry)
        await _note(state, entry)
    await set_stage(state, entry.number, "standing")


async def _take_back(state: IndexState, entry: ReviewDecision) -> None:
    undone = undone_number(entry)
    if await undoes_deletion(state, entry):
        await bring_back(state, entry)
    else:
        await _set_label(state, entry)
        earlier = await latest_entry(state, entries_that(state, stage="standing", item=entry.id, before=undone))
        if earlier is not None:
            await _note(state, earlier)
        else:
            point = state.point_id(entry.id)
            await state.engine.delete_payload(state.collection, [REVIEW_NOTE_KEY], points=[point])
    await set_stage(state, undone, "over")


async def _set_label(state: IndexState, entry: ReviewDecision) -> None:
    if entry.before != entry.after:
        await relabel(state, {entry.id: entry.after}, keep_scores=True)  # undo brings the item back into its lists


async def _note(state: IndexState, entry: ReviewDecision) -> None:
    """Note the decision with the item, which takes it out of the queue."""
    point = state.point_id(entry.id)
    await state.engine.set_payload(state.collection, {REVIEWED_KEY: entry.note}, points=[point], key=PAYLOAD_KEY)

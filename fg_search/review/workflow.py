"""Workflow of reviewers: a decision is logged in the engine, then carried out, and undone if they want.

The log is a collection beside the index. An entry says whether it was carried out, so that after a crash between the
two steps the next operation on the log carries it out. Mistakes are found before anything is logged. An entry that
cannot be carried out all the same, since somebody else changed the item in between, is marked as failed once and for
all. One handle of an index does these operations one after the other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from fg_search.engine.retries import is_transient
from fg_search.errors import (
    DecisionConflictError,
    EncoderNotFoundError,
    ItemNotFoundError,
    ModelMismatchError,
    NothingToUndoError,
    StorageError,
)
from fg_search.ids import UserId, plain_id
from fg_search.index.labels import hint, ids_in_other_form
from fg_search.index.state import IndexState
from fg_search.layout.keys import REVIEW_KEY
from fg_search.layout.points import features_of
from fg_search.review.decision_checks import check_can_be_undone, check_nothing_newer, check_still_fits
from fg_search.review.decision_log import (
    append_entry,
    entries_that,
    latest_entries,
    latest_entry,
    next_number,
    read_entries,
    read_entry,
    set_stage,
)
from fg_search.review.decisions import ReviewDecision, check_action, check_reviewer, now
from fg_search.review.deletions import point_as_json
from fg_search.review.execution import carry_out
from fg_search.validation import check_count

_MICROSECONDS = 1_000_000
_NO_NUMBER = 2**63  # beyond the engine's integers


async def decide(
    state: IndexState,
    user_id: UserId,
    action: str,
    label: str | None,
    reviewer: str,
    *,
    suggested: str | None = None,
    latest: int | None = None,
) -> ReviewDecision:
    """Log a decision and carry it out.

    Args:
        state: The index.
        user_id: User's id of the item.
        action: Action of the reviewer.
        label: Label for the action ``"label"``.
        reviewer: Name of the reviewer.
        suggested: Suggestion that the reviewer saw and accepts. By default the current one is taken.
        latest: Number of the latest entry about the item that the reviewer knew of, 0 for none. By default it is not
            checked.

    Raises:
        DecisionConflictError: If there is a later entry, or another suggestion.
        ItemNotFoundError: If there is no such item.
        ValueError, TypeError: If the action is unknown, or its label or the reviewer's name is missing or invalid.
    """
    check_reviewer(reviewer)
    point = state.point_id(user_id)
    await finish(state)
    if latest is not None:
        await check_nothing_newer(state, user_id, latest)
    records = await state.engine.retrieve(state.collection, [point], with_vectors=action == "delete")
    if not records:
        meant = hint(await ids_in_other_form(state, [user_id]))
        raise ItemNotFoundError(f"{state.name} has no item {user_id!r}{meant}")
    (record,) = records
    features = features_of(record)
    before = features.get("label")  # the engine removes a key that is set to null
    chosen = check_action(action, label, (features.get(REVIEW_KEY) or {}).get("suggested"), suggested)
    entry = ReviewDecision(
        number=await next_number(state),
        id=plain_id(user_id),
        action=action,  # type: ignore[arg-type]  # checked
        before=before,
        after=before if chosen is None else chosen,
        reviewer=reviewer,
        time=now(),
        point=point_as_json(record) if action == "delete" else None,
        tenant=state.tenant,
    )
    return await _log_and_carry_out(state, entry)


async def undo(state: IndexState, number: int | None, reviewer: str) -> ReviewDecision:
    """Undo the decision of this number, or the latest one that stands.

    Raises:
        NothingToUndoError: If there is no such decision.
        DecisionConflictError: If it was undone already, there is a later one about its item, or the item is not as the
            decision left it.
    """
    check_reviewer(reviewer)
    await finish(state)
    decision = await _latest_standing(state) if number is None else await _standing(state, number)
    await check_can_be_undone(state, decision)
    entry = replace(
        decision,
        number=await next_number(state),
        action="undo",
        before=decision.after,
        after=decision.before,
        reviewer=reviewer,
        time=now(),
        undoes=decision.number,
    )
    return await _log_and_carry_out(state, entry)


async def decisions(
    state: IndexState,
    *,
    limit: int | None = None,
    item_id: UserId | None = None,
    standing: bool = False,
    since: datetime | None = None,
) -> list[ReviewDecision]:
    """Log entries of the tenant, oldest first.

    Raises:
        ValueError: If the limit is less than one.
    """
    if limit is not None:
        check_count(limit, name="limit")
    condition = entries_that(
        state,
        stage="standing" if standing else None,
        item=item_id,
        since=None if since is None else int(since.timestamp() * _MICROSECONDS),
    )
    await finish(state)
    if limit is not None:
        return (await latest_entries(state, condition, limit))[::-1]
    return await read_entries(state, condition, with_point=False)


async def finish(state: IndexState) -> None:
    """Carry out entries that were logged and then interrupted, or mark them as failed."""
    for entry in await read_entries(state, entries_that(state, stage="waiting")):
        try:
            await check_still_fits(state, entry)
            await carry_out(state, entry)
        except Exception as error:
            if _may_succeed_later(error):
                raise
            await set_stage(state, entry.number, "over", failed=str(error))


async def _log_and_carry_out(state: IndexState, entry: ReviewDecision) -> ReviewDecision:
    await append_entry(state, entry)
    try:
        await carry_out(state, entry)
    except Exception as error:
        if not _may_succeed_later(error):
            await set_stage(state, entry.number, "over", failed=str(error))
        raise
    return entry


def _may_succeed_later(error: Exception) -> bool:
    """Whether the entry may be carried out later, or through another handle."""
    if isinstance(error, EncoderNotFoundError):  # a FileNotFoundError, but one that stays
        return False
    return is_transient(error) or isinstance(error, (StorageError, ModelMismatchError, OSError, MemoryError))


async def _latest_standing(state: IndexState) -> ReviewDecision:
    latest = await latest_entry(state, entries_that(state, stage="standing"))
    if latest is None:
        raise NothingToUndoError(f"no decision about an item of {state.name} stands")
    return latest


async def _standing(state: IndexState, number: int) -> ReviewDecision:
    """Decision of this number, which must be the latest standing one about its item."""
    check_count(number, name="number", least=0)
    read = (await read_entry(state, number)) if number < _NO_NUMBER else None
    entry, stage = read if read is not None else (None, None)
    if entry is None or entry.action == "undo" or entry.tenant != state.tenant:
        raise NothingToUndoError(f"{state.name} has no decision {number}")
    if stage != "standing":
        raise DecisionConflictError(f"the decision about {entry.id!r} was taken back already")
    (latest,) = await latest_entries(state, entries_that(state, stage="standing", item=entry.id), 1)
    if latest.number != number:
        raise DecisionConflictError(
            f"there is a later decision about {entry.id!r} ({latest.action} by {latest.reviewer}); take that back first"
        )
    return latest

"""Workflow of reviewers: a decision changes an item and is logged in the same step, and undone if they want.

A decision and its entry for the log are one conditional write on the item, so that either both are there or neither is,
and of two reviewers who decide about an item at the same time one learns that the other was faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from qdrant_client import models

from fg_search.engine.port import PointId
from fg_search.errors import DecisionConflictError, ItemNotFoundError, NothingToUndoError
from fg_search.ids import UserId, plain_id
from fg_search.index.decision_log import (
    clearing,
    entries_that,
    is_logged,
    latest_entries,
    latest_standing,
    log_decisions,
    log_unlogged,
    next_number,
    read_entries,
    read_entry,
)
from fg_search.index.following import on_current_collection
from fg_search.index.labels import hint, ids_in_other_form
from fg_search.index.state import IndexState
from fg_search.layout.history import new_token
from fg_search.layout.items import corrected
from fg_search.layout.keys import REVIEW_KEY, REVIEWED_KEY
from fg_search.layout.logs import now
from fg_search.layout.points import features_of, history_of, id_of
from fg_search.review.decisions import SETTLING, ReviewDecision, check_action, check_reviewer
from fg_search.review.deletions import bring_back, delete_item, finish_deletions, log_deletion
from fg_search.review.item_changes import SeenItem, change_item, conflict_with, newer_decision, read_item
from fg_search.validation import check_count

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
    opinion_on: int | None = None,
) -> ReviewDecision:
    """Carry out a decision, with its entry for the log.

    Args:
        state: The index.
        user_id: User's id of the item.
        action: Action of the reviewer.
        label: Label for the action ``"label"``.
        reviewer: Name of the reviewer.
        suggested: Suggestion that the reviewer saw and accepts. By default the current one is taken.
        latest: Number of the latest entry about the item that the reviewer knew of, 0 for none. By default it is not
            checked.
        opinion_on: Number of another reviewer's decision that this is a second opinion on. To keep the label is then to
            keep the one that the data give.

    Raises:
        DecisionConflictError: If there is a later entry, or another suggestion, or somebody else changes the item in
            the same moment.
        ItemNotFoundError: If there is no such item.
        ValueError, TypeError: If the action is unknown, or its label or the reviewer's name is missing or invalid, or
            the second opinion is the first reviewer's.
    """
    check_reviewer(reviewer)
    point = state.point_id(user_id)
    token, key, made = new_token(), str(uuid4()), None

    async def write(state: IndexState) -> ReviewDecision:
        nonlocal made
        if made is not None and made.point is not None:  # a deletion that was logged before the index moved
            await delete_item(state, made)
            return made
        seen, newest = await read_item(state, point, with_vectors=action == "delete")
        if seen is not None and made is not None and token in seen.history.writers:
            return made  # carried out before the index moved
        try:
            seen = await _checked(state, user_id, seen, latest)
            if opinion_on is not None:
                await _check_opinion(state, user_id, seen, opinion_on, reviewer)
        except (DecisionConflictError, ItemNotFoundError):
            if made is None or not await is_logged(state, key):
                raise
            return made  # carried out and logged before the index moved; what came since came later
        number = None
        if made is not None and await is_logged(state, key):
            # somebody has logged it from the collection that the index has moved from, where it was not acknowledged
            if seen.history.number > made.number:
                return made  # somebody else has decided since
            number = made.number
        features = seen.features
        before = features.get("label")  # the engine removes a key that is set to null
        chosen = check_action(action, label, (features.get(REVIEW_KEY) or {}).get("suggested"), suggested)
        kept = seen.stored.given_label if opinion_on is not None and action == "keep" else before
        after = kept if chosen is None else chosen
        made = ReviewDecision(
            number=next_number(state, max(newest, seen.history.number)) if number is None else number,
            id=plain_id(user_id),
            action=action,  # type: ignore[arg-type]  # checked
            before=before,
            after=after,
            reviewer=reviewer,
            time=now(),
            tenant=state.tenant,
            seen=_restored_by_undo(features),
            opinion_on=opinion_on,
        )
        if action == "delete":
            made = await log_deletion(state, seen, made, key)
            await delete_item(state, made)
            return made
        values = {REVIEWED_KEY: made.note} | ({} if after == before else corrected(seen.stored, after))
        await change_item(state, seen, values, seen.history.decided(token, made.number, made.to_unlogged(key)))
        return made

    return await on_current_collection(state, write)


async def undo(state: IndexState, number: int | None, reviewer: str) -> ReviewDecision:
    """Undo the decision of this number, or the latest one that stands.

    Raises:
        NothingToUndoError: If there is no such decision.
        DecisionConflictError: If it was undone already, there is a later one about its item, or the item is not as the
            decision left it.
    """
    check_reviewer(reviewer)
    if number is not None:
        check_count(number, name="number", least=0)
    token, key = new_token(), str(uuid4())
    made: ReviewDecision | None = None
    decision: ReviewDecision | None = None

    async def write(state: IndexState) -> ReviewDecision:
        nonlocal made, decision
        unlogged, newest = await log_unlogged(state)
        if made is not None and any(token in history_of(record).writers for record in unlogged):
            return made  # carried out before the index moved
        # somebody may have logged it from the collection that the index has moved from, where it was not acknowledged
        logged = made if made is not None and await is_logged(state, key) else None
        if decision is None:
            decision = await _latest_standing(state) if number is None else await _standing(state, number)
        made = logged or decision.taken_back(next_number(state, max(newest, decision.number)), reviewer)
        try:
            await _take_back(state, decision, made, unlogged, token, key)
        except DecisionConflictError:
            if logged is None:
                raise
        return made

    return await on_current_collection(state, write)


async def _take_back(
    state: IndexState,
    decision: ReviewDecision,
    entry: ReviewDecision,
    unlogged: Sequence[models.ScoredPoint],
    token: str,
    key: str,
) -> None:
    """Carry out an undo, with its entry for the log.

    Raises:
        DecisionConflictError: If the item is not as the decision left it.
    """
    if decision.action == "delete":
        if unlogged:
            await state.engine.batch_update_points(state.points, clearing(unlogged))
        await bring_back(state, decision, entry, token, key)
        return
    seen = await _as_left(state, decision, unlogged)
    earlier = await _before(state, decision, seen)
    others = [record for record in unlogged if id_of(record) != seen.point]
    history = seen.history.logged().decided(token, entry.number, entry.to_unlogged(key))
    await change_item(state, seen, earlier, history, also=clearing(others))


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
        since=since,
    )

    async def settle(state: IndexState) -> None:
        await log_decisions(state, copies="active")
        await finish_deletions(state)

    await on_current_collection(state, settle)
    if limit is not None:
        found = (await latest_entries(state, condition, limit))[::-1]
    else:
        found = await read_entries(state, condition, with_point=False)
    return [ReviewDecision.of_payload(entry) for entry, _ in found]


def _restored_by_undo(features: Mapping[str, Any]) -> dict[str, Any]:
    """What of an item a decision may change, as it is before that."""
    return {key: features[key] for key in ("label", "given_label", REVIEWED_KEY) if features.get(key) is not None}


async def _checked(state: IndexState, user_id: UserId, seen: SeenItem | None, latest: int | None) -> SeenItem:
    """Item to decide about, if it is there and nobody has decided about it since."""
    await _check_nothing_newer(state, user_id, seen, latest)
    if seen is None:
        meant = hint(await ids_in_other_form(state, [user_id]))
        raise ItemNotFoundError(f"{state.name} has no item {user_id!r}{meant}")
    return seen


async def _check_opinion(state: IndexState, user_id: UserId, seen: SeenItem, number: int, reviewer: str) -> None:
    """Check that the decision of this number is the latest about an item, settled it, and is somebody else's.

    Raises:
        DecisionConflictError: If another one is the latest.
        ValueError: If it is the reviewer's own, settled nothing, or is a second opinion itself.
    """
    note = seen.features.get(REVIEWED_KEY) or {}
    if note.get("number") != number:
        raise await newer_decision(state, user_id, seen.history)
    if note["reviewer"] == reviewer:
        raise ValueError(f"{reviewer} made the decision {number}; a second opinion is somebody else's")
    if note["action"] not in SETTLING or "opinion_on" in note or "differ" in note:
        raise ValueError(f"the decision {number} needs no second opinion: see index.review(kind='second')")


async def _check_nothing_newer(state: IndexState, user_id: UserId, seen: SeenItem | None, latest: int | None) -> None:
    """Check that the latest entry about an item, if there is any, has this number.

    Raises:
        DecisionConflictError: If it has another one.
    """
    if latest is None:
        return
    if seen is not None and seen.history.number:
        if seen.history.number > latest:
            raise await newer_decision(state, user_id, seen.history)
        if seen.history.number == latest:
            return
    # an item that was taken from another copy of the index in place of what was decided here, that was decided about
    # before it was deleted and added again, or by a release before 0.2
    found = await latest_entries(state, entries_that(state, item=user_id), 1)
    if found and found[0][0]["number"] != latest:
        raise conflict_with(user_id, ReviewDecision.of_payload(found[0][0]))


async def _latest_standing(state: IndexState) -> ReviewDecision:
    found, is_waiting = await latest_standing(state)
    if is_waiting:
        await finish_deletions(state)
        found, _ = await latest_standing(state)
    if found is None:
        raise NothingToUndoError(f"no decision about an item of {state.name} stands")
    return ReviewDecision.of_payload(found[0])


async def _standing(state: IndexState, number: int) -> ReviewDecision:
    """Decision of this number, which must be the latest standing one about its item."""
    await finish_deletions(state)
    read = (await read_entry(state, number)) if number < _NO_NUMBER else None
    entry, stage = (ReviewDecision.of_payload(read[0]), read[1]) if read is not None else (None, None)
    if entry is None or entry.action == "undo":
        raise NothingToUndoError(f"{state.name} has no decision {number}")
    if stage != "standing":
        raise DecisionConflictError(f"the decision about {entry.id!r} was taken back already")
    latest = await latest_entries(state, entries_that(state, stage="standing", item=entry.id), 1)
    if latest and latest[0][0]["number"] != number:
        later = ReviewDecision.of_payload(latest[0][0])
        raise DecisionConflictError(
            f"there is a later decision about {entry.id!r} ({later.action} by {later.reviewer}); take that back first"
        )
    return entry


async def _as_left(state: IndexState, decision: ReviewDecision, known: Sequence[models.ScoredPoint]) -> SeenItem:
    """Item of a decision, which must be as the decision left it, so that undo takes back nothing else.

    Raises:
        DecisionConflictError: If it is not.
    """
    point: PointId = state.point_id(decision.id)
    record: models.Record | models.ScoredPoint | None = next((one for one in known if id_of(one) == point), None)
    if record is None:
        record = next(iter(await state.engine.retrieve(state.points, [point], copies="most")), None)
    if record is None:
        raise decision.out_of_date("the item is gone")
    features = features_of(record)
    label = features.get("label")
    if label != decision.after:
        raise decision.out_of_date(f"the item has the label {label!r} by now, not {decision.after!r}")
    if not decision.is_noted_in(features.get(REVIEWED_KEY)):
        raise decision.out_of_date("the item was replaced since")
    return SeenItem(record)


async def _before(state: IndexState, decision: ReviewDecision, seen: SeenItem) -> dict[str, Any]:
    """Changes that give an item back what it had before a decision."""
    if decision.seen is not None:
        return {key: decision.seen.get(key) for key in ("label", "given_label", REVIEWED_KEY)}
    # a release before 0.2 logged it, without what it changed
    found = await latest_entries(
        state, entries_that(state, stage="standing", item=decision.id, before=decision.number), 1
    )
    note = ReviewDecision.of_payload(found[0][0]).note if found else None
    values: dict[str, Any] = {REVIEWED_KEY: note}
    return values if decision.before == decision.after else values | corrected(seen.stored, decision.before)

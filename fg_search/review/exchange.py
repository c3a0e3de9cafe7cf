"""Exchange between two copies of an index, such as one on a device and one on a server, both of which people work on.

What people do to an item leaves tokens in its history, and in the log if they delete it. Where the tokens of one copy
go on from those of the other, nobody has decided otherwise there, and the item is brought up to date; where they go
apart, both stay as they are, and the item is named, until somebody chooses one: then its history goes on from both, and
what was decided in the other copy is logged as taken back.

What is the same in both is not moved: items are compared by digest, history and payload, and the vectors of those alone
that are taken are read. The engine's partial snapshots do not serve here: they replace the files of a shard that are
older by the count of its writes, which two shards that are both written to do not share.

Logs are read before items. An interruption, or what is decided meanwhile, leaves items ahead of a log, which gets the
rest next time, and never a log that tells of what was not carried out.
"""

from __future__ import annotations

from fg_search.engine.answers import FORBIDDEN
from fg_search.errors import ModelMismatchError, ServerError, UnsupportedError
from fg_search.index.copies import copy_notes
from fg_search.index.decision_log import append_records, log_decisions
from fg_search.index.following import followed
from fg_search.index.info import count_all
from fg_search.index.rights import IndexMovedError
from fg_search.index.state import IndexState
from fg_search.model.progress import progress_bar
from fg_search.review.deletions import finish_deletions
from fg_search.review.exchange_reports import PullReport, PushReport
from fg_search.review.exchanged_log import (
    Choice,
    histories_of_deleted,
    is_deletion,
    missing_entries,
    standing_by_item,
    without_items,
)
from fg_search.review.giving import ABOUT, Giving
from fg_search.review.taking import Taking


async def pull(
    state: IndexState, other: IndexState, choice: Choice, *, remove_extra: bool, show_progress: bool | None
) -> PullReport:
    """Bring an index up to date from another copy of it, see :meth:`fg_search.ConfidenceIndex.pull`."""
    if state.metadata.source is not None:
        raise UnsupportedError(
            f"{state.name} was adopted: others write its items; bring it up to date with index.sync()"
        )
    while True:
        try:
            return await _pull(state, other, choice, remove_extra=remove_extra, show_progress=show_progress)
        except IndexMovedError:
            continue  # somebody has just re-encoded it; what was taken is not taken twice


async def push(state: IndexState, other: IndexState, choice: Choice, *, show_progress: bool | None) -> PushReport:
    """Give another copy of an index what people decided here, see :meth:`fg_search.ConfidenceIndex.push`."""
    while True:
        try:
            return await _push(state, other, choice, show_progress=show_progress)
        except IndexMovedError:
            continue


async def _pull(
    state: IndexState, other: IndexState, choice: Choice, *, remove_extra: bool, show_progress: bool | None
) -> PullReport:
    state, other = await _both(state, other)
    if state.metadata.fingerprint != other.metadata.fingerprint:
        raise ModelMismatchError(
            f"{state.name} was filled by the encoder {state.metadata.fingerprint}, {other.name} by "
            f"{other.metadata.fingerprint}; push what was decided here, then copy that one anew: `fg-search copy`"
        )
    if state.metadata.has_base and not other.metadata.has_base:
        raise ValueError(f"{other.name} keeps no base vectors, and {state.name} does; name a copy that has them")
    entries, own_entries = await missing_entries(other, state), await missing_entries(state, other)
    taking = Taking(state, other, choice, standing_by_item(own_entries), histories_of_deleted(own_entries))
    with progress_bar(await count_all(other), show_progress, "pull") as advance:
        await taking.take_newer(advance)
    await taking.remove_gone(histories_of_deleted(entries), remove_extra=remove_extra)
    await append_records(state, without_items(entries, taking.conflicts))
    await copy_notes(other, state.engine, state.points)
    await followed(state)
    conflicts = tuple(taking.conflicts.values())
    return PullReport(taking.points, taking.written, taking.removed, taking.ahead, taking.only_here, conflicts)


async def _push(state: IndexState, other: IndexState, choice: Choice, *, show_progress: bool | None) -> PushReport:
    state, other = await _both(state, other)
    entries = await missing_entries(state, other)
    giving = Giving(state, other, choice, standing_by_item(await missing_entries(other, state)))
    touched = await state.engine.count(state.points, ABOUT)
    with progress_bar(touched, show_progress, "push") as advance:
        await giving.give_newer(advance)
    for entry in filter(is_deletion, entries):
        await giving.delete(entry)
    others = [entry for entry in entries if not is_deletion(entry)]
    await append_records(other, without_items([*others, *giving.taken_back], giving.conflicts))
    return PushReport(giving.items, giving.deleted, tuple(giving.conflicts.values()))


async def _both(state: IndexState, other: IndexState) -> tuple[IndexState, IndexState]:
    """Both as they are now, with all decisions in their logs and all deletions carried out."""
    state, other = await followed(state), await followed(other)
    await _settle(state)
    try:
        await _settle(other)
    except ServerError as error:
        if error.status != FORBIDDEN:
            raise  # with a key that may only read, what is not in the log there comes along with its items
    return state, other


async def _settle(state: IndexState) -> None:
    await log_decisions(state)
    await finish_deletions(state)

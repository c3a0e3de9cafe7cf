"""Entries of the logs of decisions of two copies of an index: which one lacks, and which are not to stand any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from qdrant_client import models

from fg_search.engine.paging import pages, scroll_pages
from fg_search.engine.port import PointId
from fg_search.ids import UserId, plain_id
from fg_search.index.decision_log import append_records, next_number
from fg_search.index.logs import entries_in, in_log
from fg_search.index.state import IndexState
from fg_search.layout.history import History
from fg_search.layout.logs import DECISION_LOG_INDEXES, ITEM, NUMBER, STAGE, decision_log
from fg_search.layout.points import payload_of
from fg_search.review.decisions import ReviewDecision, check_reviewer
from fg_search.review.deletions import history_of_deleted
from fg_search.validation import check_list

_PAGE = 512


@dataclass(frozen=True)
class Choice:
    """Items of which the copy that an exchange reads is to count, whatever people decided in the other.

    Attributes:
        ids: User's ids of the items.
        reviewer: Name of who says so, for the log.
    """

    ids: frozenset[UserId] = frozenset()
    reviewer: str = "anonymous"

    @classmethod
    def checked(cls, ids: Collection[UserId], reviewer: str) -> Choice:
        """The choice of these items.

        Raises:
            TypeError, ValueError: If the ids are no list, one is no id, or the reviewer's name is missing.
        """
        check_reviewer(reviewer)
        check_list(ids, "overwrite")
        return cls(frozenset(map(plain_id, ids)), reviewer)


async def missing_entries(source: IndexState, destination: IndexState) -> list[models.Record]:
    """Entries of one log of decisions that the other lacks, but for deletions that are still to be carried out."""
    log = decision_log(source.collection)
    known = set(await entries_in(destination.engine, decision_log(destination.collection)))
    missing = [entry for entry in await entries_in(source.engine, log) if entry not in known]
    read = [entry for page in pages(missing, _PAGE) for entry in await source.engine.retrieve(log, page, copies="most")]
    return [entry for entry in read if payload_of(entry)[STAGE] != "waiting"]


def without_items(entries: Sequence[models.Record], left: Mapping[PointId, object]) -> list[models.Record]:
    """Entries about other items: a log that tells of what was not carried out is in the way of undo."""
    names = {str(point) for point in left}
    return [entry for entry in entries if payload_of(entry)[ITEM] not in names]


def standing_by_item(entries: Iterable[models.Record]) -> dict[str, list[models.Record]]:
    """Decisions that stand, by the engine's id of their item."""
    found: dict[str, list[models.Record]] = {}
    for entry in entries:
        if payload_of(entry)[STAGE] == "standing":
            found.setdefault(payload_of(entry)[ITEM], []).append(entry)
    return found


def is_deletion(entry: models.Record) -> bool:
    """Whether an entry is of a deletion that stands."""
    payload = payload_of(entry)
    return bool(payload["action"] == "delete" and payload[STAGE] == "standing")


def histories_of_deleted(entries: Iterable[models.Record]) -> dict[str, History]:
    """Histories of the items that standing deletions have removed, the latest of each, by the engine's id as text."""
    deletions = sorted(filter(is_deletion, entries), key=lambda entry: int(payload_of(entry)[NUMBER]))
    return {payload_of(entry)[ITEM]: history_of_deleted(payload_of(entry)) for entry in deletions}


async def deleted_there(other: IndexState, points: Sequence[PointId]) -> dict[str, History]:
    """Histories of those of some items that standing deletions in another copy have removed."""
    log = decision_log(other.collection)
    about = models.FieldCondition(key=ITEM, match=models.MatchAny(any=[str(point) for point in points]))

    async def read() -> list[models.Record]:
        found = scroll_pages(other.engine, log, page_size=_PAGE, scroll_filter=models.Filter(must=[about]))
        return [entry async for records in found for entry in records]

    return histories_of_deleted(await in_log(other, log, DECISION_LOG_INDEXES, read, [])) if points else {}


async def take_back(
    state: IndexState, standing: Sequence[models.Record], reviewer: str, *, known: int
) -> list[models.Record]:
    """Log that decisions that stand are taken back, as those of the other copy are to count. Return the entries.

    Decisions of the other copy come into the log with that.

    Args:
        state: The index.
        standing: Entries of the decisions, of this log or the other's.
        reviewer: Name of who says so.
        known: Greatest number of an entry about their item that is known.
    """
    undone = []
    for entry in standing:
        decision = ReviewDecision.of_payload(payload_of(entry))
        undo = decision.taken_back(next_number(state, max(known, decision.number)), reviewer)
        values = {name: value for name, value in undo.to_payload().items() if value is not None}
        undone.append(models.Record(id=str(uuid4()), payload={**values, STAGE: "over", ITEM: payload_of(entry)[ITEM]}))
    if undone:
        await append_records(state, [*standing, *undone])
    return undone

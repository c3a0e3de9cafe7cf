"""Decisions about logged queries: they become items, are dismissed, reopened, or forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import get_args

from fg_search.errors import DecisionConflictError, ItemNotFoundError
from fg_search.index.ingestion import add
from fg_search.index.removal import delete
from fg_search.index.state import IndexState
from fg_search.layout.item_input import checked_items
from fg_search.queries.entries import LoggedQuery, QueryAction, Resolution
from fg_search.queries.log import read_queries, remove_queries, sorted_queries, write_resolution
from fg_search.review.decisions import now
from fg_search.validation import check_count, check_label, check_list, plain_text


async def logged(state: IndexState, limit: int, offset: int, *, only_open: bool) -> list[LoggedQuery]:
    """A page of logged queries, the most frequent first, the latest first among equals."""
    check_count(limit, name="limit")
    check_count(offset, name="offset", least=0)
    queries = await sorted_queries(state, only_open=only_open)
    return queries[offset : offset + limit]


async def decide_queries(
    state: IndexState,
    ids: Sequence[str],
    action: QueryAction,
    label: str | None,
    reviewer: str,
    *,
    batch_size: int,
) -> list[LoggedQuery]:
    """Settle logged queries, or reopen them.

    The index is changed first, the log after it. Either change done twice is the same as done once, so that after an
    interruption the queries are still open, and the same decision goes on from there.

    Raises:
        ItemNotFoundError: If a query is not in the log. Nothing is changed then.
        DecisionConflictError: If somebody else decides about one in the same moment. The others are settled.
        ValueError: If the action is unknown, or its label is missing.
    """
    _check_action(action, label)
    wanted = _checked_ids(ids)
    found = {query.id: query for query in (await read_queries(state, wanted))}
    missing = [query_id for query_id in wanted if query_id not in found]
    if missing:
        raise ItemNotFoundError(
            f"the log of {state.name} has no query {missing[0]!r} ({len(missing)} such id(s)); nothing changed"
        )
    if action == "add":
        await _add(state, [found[query_id] for query_id in wanted], label, batch_size)
    else:
        added = [query.id for query in found.values() if query.was_added]
        if added:
            await delete(state, added, None)
    resolution = None if action == "reopen" else Resolution(action, label, reviewer, now())
    noted = None if resolution is None else vars(resolution)
    lost = await write_resolution(state, [found[query_id] for query_id in wanted], noted)
    after = await read_queries(state, wanted)
    if lost:
        # the item of a query that somebody else has closed in another way must not stay
        unwanted = [query.id for query in after if query.id in lost and not query.was_added] if action == "add" else []
        if unwanted:
            await delete(state, unwanted, None)
        raise DecisionConflictError(
            f"somebody else decided about {len(lost)} of the {len(wanted)} queries in this very moment, such as "
            f"{min(lost)!r}; look at them again"
        )
    return after


async def forget_queries(state: IndexState, ids: Sequence[str] | None, before: datetime | None) -> int:
    """Remove queries from the log, those with these ids and last asked before this moment.

    Returns:
        Number of queries removed.
    """
    if before is not None and before.tzinfo is None:
        raise ValueError("before has no time zone; use datetime.now(timezone.utc) and the like")
    queries = await read_queries(state, None if ids is None else _checked_ids(ids))
    limit = None if before is None else before.astimezone(timezone.utc)
    removed = [query.id for query in queries if limit is None or datetime.fromisoformat(query.last) < limit]
    if removed:
        await remove_queries(state, removed)
    return len(removed)


async def _add(state: IndexState, queries: Sequence[LoggedQuery], label: str | None, batch_size: int) -> None:
    """Make items of queries, with the ids they have in the log."""
    items = checked_items(
        [query.text for query in queries],
        [query.id for query in queries],
        [label] * len(queries),
        None,
        tenant_key=state.metadata.settings.tenant_key,
        tenant=state.tenant,
    )
    await add(state, items, None, batch_size=batch_size, progress=lambda _: None)


def _checked_ids(ids: Sequence[str]) -> list[str]:
    check_list(ids, "ids")
    wanted = list(dict.fromkeys(ids))
    for query_id in wanted:
        if not isinstance(query_id, str):
            raise TypeError(f"the id of a query is a string, got {query_id!r}")
    return [plain_text(query_id) for query_id in wanted]


def _check_action(action: str, label: str | None) -> None:
    """Check that the action exists, and that a label is given if and only if it needs one.

    Raises:
        TypeError, ValueError: If not.
    """
    if action not in get_args(QueryAction):
        raise ValueError(f"action must be one of {', '.join(map(repr, get_args(QueryAction)))}, got {action!r}")
    if action == "add":
        if label is None:
            raise ValueError("action='add' needs the label of the new item")
        if check_label(label, "label") is None:
            raise ValueError("action='add' needs the label of the new item")
    elif label is not None:
        raise ValueError(f"action={action!r} takes no label; use action='add'")

"""Decisions about logged queries: they become items, are dismissed, reopened, or forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import get_args

from fg_search.errors import DecisionConflictError, ItemNotFoundError
from fg_search.index.ingestion import add
from fg_search.index.removal import delete
from fg_search.index.state import IndexState
from fg_search.layout.history import new_token
from fg_search.layout.item_input import checked_items
from fg_search.layout.logs import now
from fg_search.model.progress import unwatched
from fg_search.queries.entries import LoggedQuery, QueryAction, Resolution
from fg_search.queries.log import claim_queries, read_queries, remove_queries, settle_queries, sorted_queries
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
    batch_size: int | None,
) -> list[LoggedQuery]:
    """Settle logged queries, or reopen them.

    The decision is noted as pending, then the index is changed, then the decision noted as carried out. After an
    interruption the queries are still open, and the next decision goes on from there.

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
    token, noted = new_token(), vars(Resolution(action, label, reviewer, now()))
    lost = await claim_queries(state, [found[query_id] for query_id in wanted], token, noted)
    won = [found[query_id] for query_id in wanted if query_id not in lost]
    if action == "add":
        await _add(state, won, label, batch_size)
    else:
        await _remove(state, [query.id for query in won if query.was_added])
    overtaken = await settle_queries(state, [query.id for query in won], token, None if action == "reopen" else noted)
    after = await read_queries(state, wanted)
    if overtaken:
        await _agree(state, overtaken, {query.id: query for query in after}, batch_size)
    lost |= overtaken
    if lost:
        raise DecisionConflictError(
            f"somebody else decided about {len(lost)} of the {len(wanted)} queries in this very moment, such as "
            f"{min(lost)!r}; look at them again"
        )
    return after


async def _agree(
    state: IndexState, ids: Iterable[str], found: Mapping[str, LoggedQuery], batch_size: int | None
) -> None:
    """Make the index agree with what somebody else has decided about queries while it was being changed here."""
    unwanted = []
    for query_id in ids:
        query = found.get(query_id)
        decision = None if query is None else query.pending or query.resolution
        if query is not None and decision is not None and decision.action == "add":
            await _add(state, [query], decision.label, batch_size)
        else:
            unwanted.append(query_id)
    await _remove(state, unwanted)


async def _remove(state: IndexState, ids: Sequence[str]) -> None:
    if ids:
        await delete(state, ids, None)


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


async def _add(state: IndexState, queries: Sequence[LoggedQuery], label: str | None, batch_size: int | None) -> None:
    """Make items of queries, with the ids they have in the log."""
    items = checked_items(
        [query.text for query in queries],
        [query.id for query in queries],
        [label] * len(queries),
        None,
        tenant_key=state.metadata.settings.tenant_key,
        tenant=state.tenant,
    )
    await add(state, items, None, batch_size=batch_size, progress=unwatched)


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

"""Logged queries: listing, clustering, deciding about and removing them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.errors import ItemNotFoundError
from fg_search.index.ingestion import add
from fg_search.index.query_vectors import query_vectors
from fg_search.index.removal import delete
from fg_search.index.search import check_model
from fg_search.index.state import IndexState
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, LABEL_KEY, PAYLOAD_KEY
from fg_search.layout.points import checked_items, payload_of
from fg_search.queries.clusters import MissingLabel, cluster_queries, proposed_name
from fg_search.queries.entries import LoggedQuery, QueryAction, Resolution
from fg_search.queries.log import (
    read_embeddings,
    read_queries,
    remove_queries,
    write_embeddings,
    write_resolution,
)
from fg_search.review.decisions import now
from fg_search.validation import check_count, check_label

_MOST_CLUSTERED = 5_000
_BACKGROUND = 2_000  # items whose words the terms of a cluster stand out from
_QUERIES_PER_REQUEST = 128


async def logged(state: IndexState, limit: int, offset: int, *, only_open: bool) -> list[LoggedQuery]:
    """Entries of the log: those asked most often first, of those the latest."""
    check_count(limit, name="limit")
    check_count(offset, name="offset", least=0)
    queries = await _sorted(state, only_open=only_open)
    return queries[offset : offset + limit]


async def missing_labels(state: IndexState, similarity: float, min_size: int, *, batch_size: int) -> list[MissingLabel]:
    """Clusters of the queries that got no sure answer and that nobody decided about."""
    queries = (await _sorted(state, only_open=True))[:_MOST_CLUSTERED]
    base = await _embeddings(state, queries, batch_size)
    items, _ = await state.engine.scroll(
        state.collection, scroll_filter=state.scope(), limit=_BACKGROUND, with_payload=[f"{PAYLOAD_KEY}.text"]
    )
    texts = [query.text for query in queries]
    clusters = await state.engine.work(
        partial(
            cluster_queries,
            base,
            texts,
            [query.count for query in queries],
            background=[payload_of(item)[PAYLOAD_KEY]["text"] for item in items],
            similarity=similarity,
            min_size=min_size,
        )
    )
    near = await _nearest_labels(state, [cluster.centre for cluster in clusters])
    return [
        MissingLabel(
            name=proposed_name(cluster, texts),
            terms=cluster.terms,
            size=cluster.size,
            cohesion=cluster.cohesion,
            nearest_label=label,
            nearest_similarity=similar,
            queries=tuple(queries[row] for row in cluster.rows),
        )
        for cluster, (label, similar) in zip(clusters, near, strict=True)
    ]


async def decide_queries(
    state: IndexState,
    ids: Sequence[str],
    action: QueryAction,
    label: str | None,
    reviewer: str,
    *,
    batch_size: int,
) -> list[LoggedQuery]:
    """Decide about entries of the log, and carry it out.

    The index is changed first and the log after it, both in a way that doing it twice is doing it once: after an
    interruption the entries are open still, and deciding again goes on from there.

    Raises:
        ItemNotFoundError: If the log lacks one of them; nothing is changed then.
        ValueError: If there is no such action, or its label is missing.
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
        added = [one.id for one in found.values() if one.resolution is not None and one.resolution.action == "add"]
        if added:
            await delete(state, added, None)
    resolution = None if action == "reopen" else Resolution(action, label, reviewer, now())
    await write_resolution(state, wanted, None if resolution is None else vars(resolution))
    return await read_queries(state, wanted)


async def forget_queries(state: IndexState, ids: Sequence[str] | None, before: datetime | None) -> int:
    """Remove entries of the log; of ids and time, what is given must fit.

    Returns:
        How many were removed.
    """
    if before is not None and before.tzinfo is None:
        raise ValueError("before has no time zone; use datetime.now(timezone.utc) and the like")
    queries = await read_queries(state, None if ids is None else _checked_ids(ids))
    limit = None if before is None else before.astimezone(timezone.utc)
    gone = [query.id for query in queries if limit is None or datetime.fromisoformat(query.last) < limit]
    if gone:
        await remove_queries(state, gone)
    return len(gone)


async def _sorted(state: IndexState, *, only_open: bool) -> list[LoggedQuery]:
    queries = await read_queries(state)
    chosen = sorted((one for one in queries if one.is_open or not only_open), key=lambda one: one.id)
    chosen.sort(key=lambda one: one.last, reverse=True)
    chosen.sort(key=lambda one: one.count, reverse=True)
    return chosen


async def _embeddings(state: IndexState, queries: Sequence[LoggedQuery], batch_size: int) -> npt.NDArray[np.float32]:
    """``(n, d)`` base embeddings of entries; those of another base model are made anew, once."""
    ids = [query.id for query in queries]
    known = await read_embeddings(state, ids)
    stale = [i for i, row in enumerate(known) if row is None]
    if stale:
        texts = [queries[i].text for i in stale]
        made = await state.engine.work(partial(state.encode, texts, batch_size))
        for i, row in zip(stale, made.base, strict=True):
            known[i] = row
        await write_embeddings(state, [ids[i] for i in stale], made.base)
    return np.array(known, dtype=np.float32).reshape(len(known), state.metadata.dimension)


async def _nearest_labels(
    state: IndexState, centres: Sequence[npt.NDArray[np.float32]]
) -> list[tuple[str | None, float | None]]:
    """The label of the item nearest to each centre, and how near it is."""
    if not centres:
        return []
    if state.metadata.has_base:
        vectors: list[Any] = [centre.tolist() for centre in centres]
    else:
        embeddings = await state.engine.work(partial(_features, state, centres))
        vectors = [query.features for query in query_vectors(embeddings)]
    labelled = models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=LABEL_KEY))])
    requests = [
        models.QueryRequest(
            query=vector,
            using=BASE_VECTOR if state.metadata.has_base else FEATURES_VECTOR,
            filter=state.scope(labelled),
            limit=1,
            with_payload=[PAYLOAD_KEY],
        )
        for vector in vectors
    ]
    near: list[tuple[str | None, float | None]] = []
    for page in pages(requests, _QUERIES_PER_REQUEST):
        for response in await state.engine.query_batch_points(state.collection, page):
            check_model(state, response.points)
            first = response.points[0] if response.points else None
            near.append((None, None) if first is None else (payload_of(first)[PAYLOAD_KEY]["label"], first.score))
    return near


def _features(state: IndexState, centres: Sequence[npt.NDArray[np.float32]]) -> Any:
    return state.encoder.features(np.stack(centres))


async def _add(state: IndexState, queries: Sequence[LoggedQuery], label: str | None, batch_size: int) -> None:
    """Make items of queries, with the ids that these have in the log."""
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
    if isinstance(ids, str):
        raise TypeError(f"ids must be a list, got one string; wrap it: [{ids!r}]")
    wanted = list(dict.fromkeys(ids))
    for query_id in wanted:
        if not isinstance(query_id, str):
            raise TypeError(f"the id of a query is a string, got {query_id!r}")
    return wanted


def _check_action(action: str, label: str | None) -> None:
    """Make sure that there is such an action, with a label where one is needed and nowhere else.

    Raises:
        TypeError, ValueError: If not.
    """
    if action not in get_args(QueryAction):
        raise ValueError(f"action must be one of {', '.join(map(repr, get_args(QueryAction)))}, got {action!r}")
    if action == "add":
        if label is None:
            raise ValueError("action='add' needs the label of the new item")
        check_label(label, "label")
    elif label is not None:
        raise ValueError(f"action={action!r} takes no label; use action='add'")

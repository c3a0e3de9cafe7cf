"""Points grouped by a field of their payload, with the scores that they have without groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from qdrant_client import models
from qdrant_client.local.payload_value_extractor import value_by_key

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.index.candidates import MOST, Candidates, RankedPoint, in_steps
from fg_search.index.following import check_payloads
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.ranked_points import best_points, candidates, weighted
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals, is_present
from fg_search.layout.keys import PAYLOAD_KEY
from fg_search.layout.points import id_of, payload_of

GroupValue: TypeAlias = str | int
Groups: TypeAlias = dict[GroupValue, list[RankedPoint]]

_INT64 = range(-(2**63), 2**63)


async def group_points(
    state: IndexState,
    query: QueryVectors,
    options: SearchOptions,
    rank_by: RankBy,
    group_by: str,
    group_size: int,
    scope: models.Filter | None,
) -> Groups:
    """Best points of each group, the group of the best point first.

    Args:
        state: The index.
        query: Vectors of the query.
        options: Options of the search; their limit is the number of groups.
        rank_by: Ranking other than ``"auto"``.
        group_by: Payload field whose values make the groups.
        group_size: Largest number of points in a group.
        scope: Filter for the points that the search considers.
    """
    has_value = models.Filter(must=[*([] if scope is None else [scope]), is_present(group_by)])
    keys = [PAYLOAD_KEY, group_by]
    count = in_steps(options.limit * group_size)
    while True:
        (found,) = await candidates(state, [query], rank_by, has_value, count, keys)
        ranked = _weighted(state, found, options)
        groups = _groups_of(ranked, group_by, options.limit, group_size)
        lacking = [value for value, points in groups.items() if len(points) < group_size]
        if found.is_all or len(groups) == options.limit or count >= MOST:
            break
        count = in_steps(count + 1)
    if not found.is_all and lacking:
        groups |= await _members(state, query, options, rank_by, scope, group_by, group_size, lacking)
    return await _with_payloads(state, groups)


async def _members(
    state: IndexState,
    query: QueryVectors,
    options: SearchOptions,
    rank_by: RankBy,
    scope: models.Filter | None,
    group_by: str,
    group_size: int,
    values: Sequence[GroupValue],
) -> Groups:
    """Best points of some groups, each looked for by itself."""
    groups: Groups = {}
    for value in values:
        if isinstance(value, int) and value not in _INT64:
            continue
        own = models.Filter(must=[*([] if scope is None else [scope]), equals(group_by, value)])
        (points,) = await best_points(state, [query], replace(options, limit=group_size, offset=0), rank_by, own)
        groups[value] = [point for point in points if value in _values(point, group_by)]
    return groups


def _weighted(state: IndexState, found: Candidates, options: SearchOptions) -> list[RankedPoint]:
    check_payloads(state, [point.payload for point in found.points])
    return weighted(state, found.points, options)


async def _with_payloads(state: IndexState, groups: Groups) -> Groups:
    """Groups whose points have all of their payloads, without those that were deleted meanwhile."""
    ids = list(dict.fromkeys(point.id for points in groups.values() for point in points))
    payloads: dict[PointId, dict[str, Any]] = {}
    for page in pages(ids):
        records = await state.engine.retrieve(state.collection, page, tenant=state.chosen_tenant)
        payloads |= {id_of(record): payload_of(record) for record in records}
    whole = {
        value: [replace(point, payload=payloads[point.id]) for point in points if point.id in payloads]
        for value, points in groups.items()
    }
    return {value: points for value, points in whole.items() if points}


def _groups_of(ranked: Sequence[RankedPoint], group_by: str, limit: int, size: int) -> Groups:
    """The first groups among ranked points."""
    groups: Groups = {}
    for point in ranked:
        for value in _values(point, group_by):
            if value not in groups and len(groups) == limit:
                continue
            members = groups.setdefault(value, [])
            if len(members) < size:
                members.append(point)
    return groups


def _values(point: RankedPoint, group_by: str) -> list[GroupValue]:
    """Groups of a point: none if one of its values is neither a text nor an integer, as on a server."""
    values = list(_flat(value_by_key(dict(point.payload), group_by) or []))
    return list(dict.fromkeys(values)) if all(type(value) in (int, str) for value in values) else []


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value

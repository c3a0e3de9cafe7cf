"""Points grouped by a field of their payload, with the scores that they have without groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from qdrant_client import models
from qdrant_client.local.payload_value_extractor import value_by_key

from fg_search.index.query_vectors import QueryVectors
from fg_search.index.ranked_points import Ranked, RankedPoint, rank
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals, is_present

GroupValue: TypeAlias = str | int
Groups: TypeAlias = dict[GroupValue, list[RankedPoint]]

_MOST_FUSED = 2_000  # candidates of either vector, among which the hits of a group are looked for
_MOST = 20_000  # candidates, among which groups are looked for
_INT64 = range(-(2**63), 2**63)


async def group_points(
    state: IndexState,
    query: QueryVectors,
    options: SearchOptions,
    rank_by: RankBy,
    scope: models.Filter | None,
    group_by: str,
    group_size: int,
) -> Groups:
    """Best points of each group, the group of the best point first.

    Args:
        state: The index.
        query: Vectors of the query.
        options: Options of the search; their limit is the number of groups.
        rank_by: Ranking other than ``"auto"``.
        scope: Filter for the points that the search considers.
        group_by: Payload field whose values make the groups.
        group_size: Largest number of points in a group.
    """
    has_value = models.Filter(must=[*([] if scope is None else [scope]), is_present(group_by)])
    wanted = replace(options, offset=0, limit=options.limit * group_size)
    candidates = 0
    while True:
        (ranked,) = await rank(state, [query], wanted, rank_by, has_value, keys=[group_by], candidates=candidates)
        groups = _groups_of(ranked, group_by, options.limit, group_size)
        lacking = [value for value, points in groups.items() if len(points) < group_size]
        looked_at = len(ranked.points)
        is_enough = len(groups) == options.limit and (rank_by != "both" or not lacking or looked_at >= _MOST_FUSED)
        if ranked.is_all or is_enough or looked_at >= _MOST:
            break
        candidates = looked_at + 1
    if lacking and not ranked.is_all and rank_by != "both":  # the rank of a point among its group would be another one
        for value in lacking:
            if isinstance(value, int) and value not in _INT64:
                continue
            own = models.Filter(must=[*([] if scope is None else [scope]), equals(group_by, value)])
            (members,) = await rank(state, [query], replace(wanted, limit=group_size), rank_by, own, keys=[group_by])
            groups[value] = [point for point in members.points if value in _values(point, group_by)][:group_size]
    return groups


def _groups_of(ranked: Ranked, group_by: str, limit: int, size: int) -> Groups:
    """The first groups among ranked points."""
    groups: Groups = {}
    for point in ranked.points:
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


def points_in(groups: Mapping[GroupValue, Sequence[RankedPoint]]) -> list[RankedPoint]:
    """All points of groups, in order."""
    return [point for points in groups.values() for point in points]

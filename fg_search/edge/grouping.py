"""Searches whose hits are grouped by a payload field, out of requests that know no groups.

As Qdrant's server does it: requests go on, each without the points that were seen and the groups that are full,
until there are enough groups; then for the groups that lack hits only. Unlike the server's they are not cut off after
a few rounds, so that the answer is exact.

The hits of a fusion, of a formula over prefetches and of a diversified search (MMR) depend on which other points are
candidates. There, one request with many candidates is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from qdrant_client import models
from qdrant_client.local.payload_value_extractor import value_by_key

Hit = models.ScoredPoint
Search = Callable[[models.QueryRequest], Sequence[Hit]]
GroupValue = int | str

# of each prefetch, or as many as there are points; local mode takes all, a server the limit times the group size
_CANDIDATES = 10_000
_INT64 = range(-(2**63), 2**63)


class Groups:
    """The groups found so far, best first: each has the hits with its value of the field, best first."""

    def __init__(self, group_by: str, limit: int, size: int) -> None:
        self._group_by = group_by
        self._limit = limit
        self._size = size
        self._hits: dict[GroupValue, list[Hit]] = {}
        self.seen: list[models.ExtendedPointId] = []

    def add(self, hits: Iterable[Hit]) -> bool:
        """Take hits that are no better than those before; return whether one of them was of use."""
        of_use = False
        for hit in hits:
            self.seen.append(hit.id)
            for value in self._values(hit):
                group = self._hits.setdefault(value, [])
                if len(group) < self._size:
                    group.append(hit)
                    of_use = True
        return of_use

    def _values(self, hit: Hit) -> list[GroupValue]:
        values = value_by_key(hit.payload or {}, self._group_by) or []
        # as on the server, a value that is neither keeps its point out of every group; True is no integer
        return list(dict.fromkeys(values)) if all(type(value) in (int, str) for value in values) else []

    @property
    def best(self) -> dict[GroupValue, list[Hit]]:
        """The groups that are asked for."""
        return dict(list(self._hits.items())[: self._limit])

    @property
    def are_enough(self) -> bool:
        """Whether the best groups are known, though not yet all their hits."""
        return len(self._hits) >= self._limit

    def full(self) -> list[GroupValue]:
        """Return the groups that need no more hits."""
        return [value for value, hits in self._hits.items() if len(hits) >= self._size]

    def lacking(self) -> list[GroupValue]:
        """Return which of the best groups might have more hits."""
        return [value for value, hits in self.best.items() if len(hits) < self._size]


def _by_type(values: Sequence[GroupValue]) -> list[list[Any]]:
    """Text and numbers apart, as a condition takes either; numbers that it does not take are left out."""
    text = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int) and value in _INT64]
    return [some for some in (text, numbers) if some]


def _beyond(groups: Groups, group_by: str) -> models.Filter:
    """What might start a group, or belong to one that is not full: no full value at all, or another one as well."""
    full = _by_type(groups.full())
    if not full:
        return models.Filter()
    is_full: list[models.Condition] = [
        models.FieldCondition(key=group_by, match=models.MatchAny(any=some)) for some in full
    ]
    # alone it would miss the integers of a field that has a keyword index, and the other way round
    is_other: list[models.Condition] = [
        models.FieldCondition(key=group_by, match=models.MatchExcept(**{"except": some})) for some in full
    ]
    return models.Filter(should=[models.Filter(must_not=is_full), models.Filter(must=is_other)])


def _within(groups: Groups, group_by: str) -> models.Filter:
    """What belongs to one of the groups that lack hits."""
    lacking = groups.lacking()
    if not all(isinstance(value, str) or value in _INT64 for value in lacking):
        return models.Filter()
    return models.Filter(
        should=[models.FieldCondition(key=group_by, match=models.MatchAny(any=some)) for some in _by_type(lacking)]
    )


def _narrowed(
    request: models.QueryRequest, group_by: str, groups: Groups, more: models.Filter, limit: int
) -> models.QueryRequest:
    keyless = models.IsEmptyCondition(is_empty=models.PayloadField(key=group_by))
    unwanted: list[models.Condition] = [keyless, models.HasIdCondition(has_id=groups.seen)]
    own = [] if request.filter is None else [request.filter]
    narrowed = models.Filter(must=[*own, more], must_not=unwanted)
    return request.model_copy(update={"filter": narrowed, "limit": limit})


def _one_by_one(search: Search, request: models.QueryRequest, group_by: str, groups: Groups, limit: int) -> None:
    """Collect groups of hits whose scores do not depend on one another."""

    def is_exhausted(more: models.Filter) -> bool:
        nonlocal limit
        asked = limit
        hits = search(_narrowed(request, group_by, groups, more, limit))
        if not groups.add(hits):
            limit *= 2  # so that many points without a value to group by are passed in few steps
        return len(hits) < asked

    while not groups.are_enough and not is_exhausted(_beyond(groups, group_by)):
        pass
    while groups.lacking() and not is_exhausted(_within(groups, group_by)):
        pass


def _candidates(limit: int | None, size: int, points: int) -> int:
    if limit is not None and limit < 1:
        return limit  # to be refused
    return min(max(_CANDIDATES, (limit or 1) * size), max(points, 1))


def _with_candidates(prefetch: Any, size: int, points: int) -> list[models.Prefetch]:
    prefetches = prefetch if isinstance(prefetch, list) else [] if prefetch is None else [prefetch]
    return [
        one.model_copy(
            update={
                "limit": _candidates(one.limit, size, points),
                "prefetch": _with_candidates(one.prefetch, size, points),
            }
        )
        for one in prefetches
    ]


def find_groups(
    search: Search, request: models.QueryRequest, group_by: str, limit: int, size: int, points: int
) -> dict[GroupValue, list[Hit]]:
    """Search and group.

    Args:
        search: Answers a request with hits that bring the field ``group_by`` of their payload.
        request: Query, prefetches, filter, threshold; its limit is of no account.
        group_by: Payload field; each of its integers and texts is a group.
        limit: Most groups.
        size: Most hits of a group.
        points: About how many points there are to search in.

    Returns:
        Value → hits, best first in both.
    """
    if limit < 1:
        raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
    if size < 1:
        raise ValueError(f"group_size value {size} is invalid. Must be 1 or larger.")
    groups = Groups(group_by, limit, size)
    is_diversified = isinstance(request.query, models.NearestQuery) and request.query.mmr is not None
    if not request.prefetch and not is_diversified:
        _one_by_one(search, request, group_by, groups, limit * size)
        return groups.best
    prefetches = _with_candidates(request.prefetch, size, points)
    candidates = sum(one.limit or 0 for one in prefetches) or _CANDIDATES
    groups.add(search(request.model_copy(update={"prefetch": prefetches, "limit": max(min(candidates, points), 1)})))
    return groups.best

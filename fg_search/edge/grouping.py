"""Grouped search, built from plain searches.

The method is that of Qdrant's server. It repeats the request, each time excluding the points already seen and the
groups already full, until there are enough groups; then it repeats the request for the groups that still lack hits.
The server stops after a few rounds; this module does not, so the result is exact.

The hits of a fusion, of a formula over prefetches and of a diversified search (MMR) depend on the other candidates.
For these, a single request with many candidates is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from qdrant_client import models
from qdrant_client.local.payload_value_extractor import value_by_key

Hit = models.ScoredPoint
Search = Callable[[models.QueryRequest], Sequence[Hit]]
GroupValue = int | str

# minimum per prefetch, if there are as many points; local mode takes all points, a server limit times group_size
_CANDIDATES = 10_000
_INT64 = range(-(2**63), 2**63)


class Groups:
    """Groups found so far, one per value of the field; groups and the hits in them are sorted best first."""

    def __init__(self, group_by: str, limit: int, size: int) -> None:
        self._group_by = group_by
        self._limit = limit
        self._size = size
        self._hits: dict[GroupValue, list[Hit]] = {}
        self.seen: list[models.ExtendedPointId] = []

    def add(self, hits: Iterable[Hit]) -> bool:
        """Add hits, none better than those added before, and return whether any of them was used."""
        is_any_used = False
        for hit in hits:
            self.seen.append(hit.id)
            for value in self._values(hit):
                group = self._hits.setdefault(value, [])
                if len(group) < self._size:
                    group.append(hit)
                    is_any_used = True
        return is_any_used

    def _values(self, hit: Hit) -> list[GroupValue]:
        values = value_by_key(hit.payload or {}, self._group_by) or []
        # as on the server, one value of another type keeps the point out of all groups; a bool is not an int here
        return list(dict.fromkeys(values)) if all(type(value) in (int, str) for value in values) else []

    @property
    def best(self) -> dict[GroupValue, list[Hit]]:
        """The first ``limit`` groups."""
        return dict(list(self._hits.items())[: self._limit])

    @property
    def are_enough(self) -> bool:
        """Whether the best groups are known; their hits may still be incomplete."""
        return len(self._hits) >= self._limit

    def full(self) -> list[GroupValue]:
        """Return the groups that need no more hits."""
        return [value for value, hits in self._hits.items() if len(hits) >= self._size]

    def lacking(self) -> list[GroupValue]:
        """Return the best groups that may still get more hits."""
        return [value for value, hits in self.best.items() if len(hits) < self._size]


def _by_type(values: Sequence[GroupValue]) -> list[list[Any]]:
    """Separate strings from integers, since a condition accepts one type; integers beyond 64 bits are left out."""
    strings = [value for value in values if isinstance(value, str)]
    integers = [value for value in values if isinstance(value, int) and value in _INT64]
    return [same_type for same_type in (strings, integers) if same_type]


def _outside_full_groups(groups: Groups, group_by: str) -> models.Filter:
    """Match points that may start a group or join one: none of their values is full, or one is not."""
    full = _by_type(groups.full())
    if not full:
        return models.Filter()
    is_full: list[models.Condition] = [
        models.FieldCondition(key=group_by, match=models.MatchAny(any=values)) for values in full
    ]
    # not enough alone: with a keyword index it misses integers, with an integer index strings
    is_other: list[models.Condition] = [
        models.FieldCondition(key=group_by, match=models.MatchExcept(**{"except": values})) for values in full
    ]
    return models.Filter(should=[models.Filter(must_not=is_full), models.Filter(must=is_other)])


def _in_lacking_groups(groups: Groups, group_by: str) -> models.Filter:
    """Match points of the groups that lack hits."""
    lacking = groups.lacking()
    if not all(isinstance(value, str) or value in _INT64 for value in lacking):
        return models.Filter()
    return models.Filter(
        should=[models.FieldCondition(key=group_by, match=models.MatchAny(any=values)) for values in _by_type(lacking)]
    )


def _narrowed(
    request: models.QueryRequest, group_by: str, groups: Groups, more: models.Filter, limit: int
) -> models.QueryRequest:
    keyless = models.IsEmptyCondition(is_empty=models.PayloadField(key=group_by))
    unwanted: list[models.Condition] = [keyless, models.HasIdCondition(has_id=groups.seen)]
    own = [] if request.filter is None else [request.filter]
    narrowed = models.Filter(must=[*own, more], must_not=unwanted)
    return request.model_copy(update={"filter": narrowed, "limit": limit})


def _search_repeatedly(search: Search, request: models.QueryRequest, group_by: str, groups: Groups, limit: int) -> None:
    """Collect groups by repeated requests; each hit's score must be independent of the other hits."""

    def is_exhausted(more: models.Filter) -> bool:
        nonlocal limit
        asked = limit
        hits = search(_narrowed(request, group_by, groups, more, limit))
        if not groups.add(hits):
            limit *= 2  # skips many points without a usable value in few requests
        return len(hits) < asked

    while not groups.are_enough and not is_exhausted(_outside_full_groups(groups, group_by)):
        pass
    while groups.lacking() and not is_exhausted(_in_lacking_groups(groups, group_by)):
        pass


def _candidates(limit: int | None, size: int, points: int) -> int:
    if limit is not None and limit < 1:
        return limit  # refused later
    return min(max(_CANDIDATES, (limit or 1) * size), max(points, 1))


def _with_candidates(prefetch: Any, size: int, points: int) -> list[models.Prefetch]:
    prefetches = prefetch if isinstance(prefetch, list) else [] if prefetch is None else [prefetch]
    return [
        inner.model_copy(
            update={
                "limit": _candidates(inner.limit, size, points),
                "prefetch": _with_candidates(inner.prefetch, size, points),
            }
        )
        for inner in prefetches
    ]


def find_groups(
    search: Search, request: models.QueryRequest, group_by: str, limit: int, size: int, points: int
) -> dict[GroupValue, list[Hit]]:
    """Search and group.

    Args:
        search: Function that answers a request with hits whose payload includes ``group_by``.
        request: Query, prefetches, filter and threshold; its limit is ignored.
        group_by: Payload field; each of its integers and strings is a group.
        limit: Maximum number of groups.
        size: Maximum number of hits per group.
        points: Approximate number of points in the collection.

    Returns:
        Value → hits; groups and hits are sorted best first.
    """
    if limit < 1:
        raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
    if size < 1:
        raise ValueError(f"group_size value {size} is invalid. Must be 1 or larger.")
    groups = Groups(group_by, limit, size)
    is_diversified = isinstance(request.query, models.NearestQuery) and request.query.mmr is not None
    if not request.prefetch and not is_diversified:
        _search_repeatedly(search, request, group_by, groups, limit * size)
        return groups.best
    prefetches = _with_candidates(request.prefetch, size, points)
    candidates = sum(inner.limit or 0 for inner in prefetches) or _CANDIDATES
    groups.add(search(request.model_copy(update={"prefetch": prefetches, "limit": max(min(candidates, points), 1)})))
    return groups.best

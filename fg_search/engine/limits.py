"""How much one request may hold: what a server takes, and what the strict mode of a collection allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

from pydantic_core import to_json
from qdrant_client import models

from fg_search.engine.answers import Answer

Part = Literal["points", "ids", "queries"]

LARGEST_REQUEST = 31 * 2**20  # bytes; a server takes 32 MiB unless it is told otherwise
_NUMBER = 16  # bytes; the most that a number of a vector takes as text, with its comma
_POINT = 100  # bytes of its id, names and brackets
_ENVELOPE = 1024  # bytes of a request beside its points


@dataclass(frozen=True)
class Limits:
    """Most that one request to a collection may hold. ``None`` is no limit.

    Attributes:
        points: Points to write.
        ids: Points to read by their ids.
        queries: Queries.
        hits: Points that a query, a page or a facet returns.
    """

    points: int | None = None
    ids: int | None = None
    queries: int | None = None
    hits: int | None = None

    @classmethod
    def of(cls, info: models.CollectionInfo) -> Limits:
        """Limits in the description of a collection."""
        config = info.config.strict_mode_config
        if config is None or not config.enabled:
            return cls()
        return cls(
            # a rate limit is a bucket of so many points a minute: a request with more is never taken
            points=_least(config.upsert_max_batchsize, config.write_rate_limit),
            ids=config.read_rate_limit,
            queries=config.search_max_batchsize,
            hits=config.max_query_limit,
        )

    def most(self, part: Part) -> int | None:
        """Limit of one kind of request."""
        return {"points": self.points, "ids": self.ids, "queries": self.queries}[part]

    def lower(self, part: Part, answer: Answer, sent: int) -> Limits:
        """Limits after a request was refused as too large.

        Args:
            part: What the request holds.
            answer: The refusal.
            sent: How much it held.
        """
        most = max(1, min(answer.most_items or sent // 2, sent - 1))
        return replace(self, **{part: most})


def lower_size(answer: Answer, sent: int) -> int:
    """Bytes that a request may have after one of so many was refused as too large."""
    named = answer.largest
    return named - _ENVELOPE if named is not None and _ENVELOPE < named < sent else sent // 2


def fitting(sizes: Sequence[int], most: int | None, largest: int) -> int:
    """How many of the next items go into one request, at least one.

    Args:
        sizes: Bytes of each item.
        most: Largest number of items.
        largest: Largest number of bytes.
    """
    count = sum(1 for total in accumulate(sizes[:most]) if total <= largest)
    return max(1, count)


def size_of(point: models.PointStruct) -> int:
    """Bytes of a point in a request, at most."""
    return _POINT + _NUMBER * _numbers(point.vector) + len(to_json(point.payload, serialize_unknown=True))


def _numbers(vector: Any) -> int:
    """Numbers in the vectors of a point."""
    if isinstance(vector, dict):
        return sum(_numbers(one) for one in vector.values())
    if isinstance(vector, models.SparseVector):
        return 2 * len(vector.values)
    if isinstance(vector, list):
        return sum(_numbers(one) for one in vector) if vector and isinstance(vector[0], list) else len(vector)
    return 1


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)

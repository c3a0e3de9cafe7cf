"""One order of equal scores, by id, so that pages neither repeat nor lose points.

The engine sorts hits by score. It leaves equal scores in the order in which it met them, which for a fusion or a
formula changes from call to call, and which of them end up on a page depends on the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

_GROWTH = 4  # each further request asks for that many times the hits
_MIN_EXTENSION = 256
# A search meets runs of any length, such as all points outside the reach of a context query. Beyond this many hits the
# engine decides which of them come first. It decides in the same way for each page; a fusion or formula does not.
_MAX_EXTENSION = 16_384


def has_scores_to_tie(query: Any) -> bool:
    """Whether the hits of a query are sorted by score alone."""
    if query is None or isinstance(query, (models.OrderByQuery, models.SampleQuery)):
        return False
    return not (isinstance(query, models.NearestQuery) and query.mmr is not None)


def id_order(point_id: edge.PointId) -> tuple[bool, Any]:
    """Sort key of point ids: integers first, then UUIDs, as in the engine."""
    return type(point_id) is not int, point_id


def _by_score_and_id(hits: Sequence[edge.ScoredPoint]) -> Sequence[edge.ScoredPoint]:
    scores = [hit.score for hit in hits]
    if len(set(scores)) == len(scores):  # the usual case
        return hits
    ordered = list(hits)
    start = 0
    for end in range(1, len(scores) + 1):
        if end == len(scores) or scores[end] != scores[start]:
            if end - start > 1:
                ordered[start:end] = sorted(ordered[start:end], key=lambda hit: id_order(hit.id))
            start = end
    return ordered


@dataclass(slots=True)
class Page:
    """The hits from ``start`` to ``end`` in the order of score and id.

    Attributes:
        start: Number of hits before the page.
        end: Number of hits up to its end.
        asked: Number of hits to ask the engine for: more than ``end``, to see whether the last score goes on.
        is_merged: Whether the hits are those of prefetches, and so limited in number.
    """

    start: int
    end: int
    asked: int
    is_merged: bool

    def wider(self) -> Page:
        """Ask for more hits."""
        asked = _MIN_EXTENSION  # not a multiple of the page's end: all pages come to the same requests
        while asked <= self.asked:
            asked *= _GROWTH
        return replace(self, asked=asked)

    def is_cut(self, hits: Sequence[edge.ScoredPoint]) -> bool:
        """Whether hits that were not returned may belong on the page: they may share its last score."""
        if len(hits) < self.asked or hits[self.end - 1].score != hits[-1].score:
            return False
        return self.is_merged or self.asked < _MAX_EXTENSION

    def of(self, hits: Sequence[edge.ScoredPoint]) -> Sequence[edge.ScoredPoint]:
        """Return the page. Only hits that share a score with its first or its last one are looked at besides."""
        if self.start >= len(hits):
            return []
        first, last = self.start, min(self.end, len(hits))
        while first > 0 and hits[first - 1].score == hits[first].score:
            first -= 1
        while 0 < last < len(hits) and hits[last].score == hits[last - 1].score:
            last += 1
        return _by_score_and_id(hits[first:last])[self.start - first : self.end - first]

"""Ways to rank, compared on judged queries: which one an index should be calibrated for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import getLogger
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex

RankedBy = Literal["features", "base", "both"]


@dataclass(frozen=True)
class Ranking:
    """What one way to rank does on judged queries.

    Attributes:
        rank_by: The way.
        recall_at_1: Share of the queries with an answer whose first hit is right, in [0, 1].
        aurc: Area under the risk-coverage curve of the score, in [0, 1]; lower is better.
        coverage_at_95: Share of the queries that could be answered at a precision of 95 %, in [0, 1].
        in_scope: Number of queries that have an answer.
    """

    rank_by: RankedBy
    recall_at_1: float
    aurc: float
    coverage_at_95: float
    in_scope: int


def compared(
    index: ConfidenceIndex, queries: Sequence[str] | None, answers: Sequence[Any], how: Mapping[str, Any]
) -> list[Ranking]:
    """Judge the first hits of each way to rank that the index has, the best one first."""
    found = []
    with _quiet():
        for rank_by in get_args(RankedBy):
            try:
                report = index.evaluate(queries, answers, rank_by=rank_by, **how).reports["score"]
            except ValueError:  # an index without base embeddings
                continue
            found.append(Ranking(rank_by, report.recall_at_1, report.aurc, report.coverage_at_95, report.in_scope))
    return sorted(found, key=lambda ranking: ranking.aurc)


def advice(rankings: Sequence[Ranking], chosen: str) -> str:
    """Which way to take, in words; empty if there is nothing to choose between."""
    if len(rankings) < 2:
        return ""
    best, at = rankings[0], next((each for each in rankings if each.rank_by == chosen), rankings[0])
    if best.rank_by == chosen or at.aurc - best.aurc < _MATTERS:
        return f"ranking by {chosen} is as good as any on these queries"
    return (
        f"ranking by {best.rank_by} was better on these queries (AURC·10³ {best.aurc * 1000:.1f}, by {chosen} "
        f"{at.aurc * 1000:.1f}); --rank-by {best.rank_by} calibrates for it, and searches by it"
    )


_MATTERS = 0.002  # of the area: less may be chance, and the present way needs no option


@contextmanager
def _quiet() -> Iterator[None]:
    """What the library says of the queries, it says once: when it calibrates."""
    library = getLogger("fg_search.index.held_out")
    was_disabled, library.disabled = library.disabled, True
    try:
        yield
    finally:
        library.disabled = was_disabled

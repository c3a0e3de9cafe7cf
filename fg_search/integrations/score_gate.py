"""A precision gate behind whatever retriever, fusion or reranker gives scores: lists of any length, query by query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence.gate import PrecisionGate
from fg_search.integrations.outcomes import Outcome, metadata

_FEWEST = 2  # columns of a table of scores: the lead over the second result tells much
_EMPTY = "nothing was retrieved"


@dataclass(frozen=True)
class GateDecision:
    """Decision about the results of one query.

    Attributes:
        answer: Whether to answer.
        confidence: Probability that the query is answered rightly, ``None`` if nothing was retrieved.
        reason: Sentence that explains the decision.
        target_precision: The precision that answers are to reach.
    """

    answer: bool
    confidence: float | None
    reason: str
    target_precision: float

    @property
    def outcome(self) -> Outcome:
        """What was found, in one word."""
        if self.answer:
            return "answer"
        return "nothing" if self.confidence is None else "weak"

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the results."""
        return metadata(
            self.outcome,
            decision="answer" if self.answer else "abstain",
            reason=self.reason,
            confidence=self.confidence,
            target_precision=self.target_precision,
        )


class ScoreGate:
    """A :class:`~fg_search.PrecisionGate` for lists of scores as retrievers give them, best first.

    Lists may be shorter or longer than those of :meth:`fit`: what is missing is missing, and what is more is not looked
    at. A query for which nothing was retrieved is not answered.
    """

    def __init__(self) -> None:
        self.gate = PrecisionGate()
        self._width = _FEWEST

    def fit(self, scores: Sequence[Sequence[float]], relevant: Sequence[Sequence[bool]], *, seed: int = 0) -> Self:
        """Learn from judged queries.

        Args:
            scores: Scores of each query's results, best first; more is better.
            relevant: Whether each of these results is right. A query has an answer if one of them is.
            seed: Random seed of the folds.

        Raises:
            ValueError: If lengths differ, scores are not in order, too few queries are judged, or nearly all first
                results are right or wrong.
        """
        _check_length(scores, relevant, "relevant")
        found = [(row, judged) for row, judged in zip(scores, relevant, strict=True) if row]
        if not found:
            raise ValueError("nothing was retrieved for any of the judged queries, so there is nothing to learn from")
        width = max(_FEWEST, *(len(row) for row, _ in found))
        table, right = _table([row for row, _ in found], width), np.zeros((len(found), width), dtype=bool)
        for i, (row, judged) in enumerate(found):
            if len(judged) != len(row):
                raise ValueError(f"query {i} has {len(row)} results, of which {len(judged)} are judged")
            right[i, : len(judged)] = judged
        gate = PrecisionGate().fit(table, right, seed=seed)
        self.gate, self._width = gate, width
        return self

    def adapt(
        self,
        scores: Sequence[Sequence[float]] | None = None,
        *,
        counts: Sequence[int] | None = None,
        expected_unanswerable: float | None = None,
    ) -> None:
        """Follow the traffic, see :meth:`fg_search.PrecisionGate.adapt`.

        Args:
            scores: Scores of the results of each different query; nobody need have judged them.
            counts: How often each query was asked; by default once.
            expected_unanswerable: The share of queries without an answer, in [0, 1), if you know it.
        """
        table, asked = None, None
        if scores is not None:
            _check_length(scores, counts, "counts")
            found = [i for i, row in enumerate(scores) if row]
            table = _table([scores[i] for i in found], self._width)
            asked = None if counts is None else [counts[i] for i in found]
        self.gate = self.gate.adapt(table, counts=asked, expected_unanswerable=expected_unanswerable)

    def decide(self, scores: Sequence[float], target_precision: float) -> GateDecision:
        """Answer one query, or abstain.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If the scores are not in order, or the target is out of range.
        """
        threshold = self.gate.threshold(target_precision)
        if not len(scores):
            return GateDecision(answer=False, confidence=None, reason=_EMPTY, target_precision=target_precision)
        confidence = float(self.gate.confidence(_table([scores], self._width))[0])
        if threshold.threshold is None:
            return GateDecision(
                answer=False, confidence=confidence, reason=threshold.reason, target_precision=target_precision
            )
        answer = confidence >= threshold.threshold
        wanted = f"what a precision of {target_precision:.1%} takes ({threshold.threshold:.3f})"
        return GateDecision(
            answer=answer,
            confidence=confidence,
            reason=f"confidence {confidence:.3f} {'reaches' if answer else 'is below'} {wanted}",
            target_precision=target_precision,
        )

    def to_dict(self) -> dict[str, Any]:
        """The fitted gate as JSON values; the inverse of :meth:`from_dict`."""
        return {"width": self._width, "gate": self.gate.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a gate from :meth:`to_dict`.

        Raises:
            FormatVersionError: If a newer release wrote it.
        """
        known = cls()
        known._width, known.gate = int(data["width"]), PrecisionGate.from_dict(data["gate"])
        return known


def scores_of(kind: str, results: Iterable[tuple[str, float | None]]) -> list[float]:
    """Scores of what a framework has retrieved for a query.

    Args:
        kind: What the framework calls a result.
        results: Id and score of each.

    Raises:
        ValueError: If one has no score.
    """
    scores = []
    for name, score in results:
        if score is None:
            raise ValueError(f"the {kind} {name!r} has no score, by which it could be decided")
        scores.append(score)
    return scores


def _table(scores: Sequence[Sequence[float]], width: int) -> npt.NDArray[np.float64]:
    """``(n, width)`` scores, NaN where there is no result."""
    table = np.full((len(scores), width), np.nan)
    for i, row in enumerate(scores):
        kept = list(row)[:width]
        table[i, : len(kept)] = kept
    return table


def _check_length(scores: Sequence[Any], given: Sequence[Any] | None, name: str) -> None:
    if given is not None and len(given) != len(scores):
        raise ValueError(f"{name} has {len(given)} queries, scores has {len(scores)}")

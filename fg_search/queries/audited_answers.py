"""Answers in the log: the best hits of logged queries, what people found them to be, and how sure they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fg_search.confidence.answer_model import AnswerEvidence
from fg_search.engine.paging import pages
from fg_search.ids import UserId
from fg_search.index.calibration import Calibration
from fg_search.index.state import IndexState
from fg_search.layout.keys import HASH_KEY, LABEL_KEY, SET_ASIDE_KEY, TEXT_KEY
from fg_search.layout.points import features_of, id_of
from fg_search.queries.entries import Judgement, LoggedQuery, Verdict
from fg_search.queries.log import read_queries

_PAGE = 1_000


@dataclass(frozen=True)
class AuditedAnswer:
    """An answer that the index gave: the best hit of a logged query.

    Attributes:
        query_id: Id of the query in the log.
        query: Text of the query.
        count: Number of times it was asked while all queries were logged, so that it stands for the traffic.
        item: User's id of the item that is the answer.
        label: Label of that item.
        text: Text of that item.
        confidence: Calibrated probability that it is right, in [0, 1], for the traffic's present share of unanswerable
            queries.
        judgement: What somebody found it to be, ``None`` if nobody did.
        turn: Number of judgements about the query.
    """

    query_id: str
    query: str
    count: int
    item: UserId
    label: str | None
    text: str
    confidence: float
    judgement: Judgement | None
    turn: int

    @property
    def verdict(self) -> Verdict | None:
        """What this very answer was found to be."""
        found = self.judgement
        return found.verdict if found is not None and found.is_about(self.item, self.label) else None

    def judged_row(self, column: Literal["label", "id"]) -> dict[str, Any]:
        """A row for a file of judged queries, whose right answer is not known where this one is wrong.

        Args:
            column: What is right: the label or the id.
        """
        given, judgement = (self.item if column == "id" else self.label), self.judgement
        return {
            "text": self.query,
            column: given if self.verdict == "right" else None,
            "answer": given,
            "verdict": self.verdict,
            "reviewer": None if judgement is None else judgement.reviewer,
        }

    @property
    def judged_at(self) -> str:
        """When it was judged, in ISO 8601; empty if nobody did."""
        return "" if self.judgement is None else self.judgement.time


async def judged_answers(state: IndexState) -> list[AuditedAnswer]:
    """Answers that were judged right or wrong and are still the answers, the latest first."""
    judged = [query for query in await read_queries(state) if query.judgement is not None]
    known = [answer for answer in await answers_of(state, judged) if answer.verdict in ("right", "wrong")]
    return sorted(known, key=lambda answer: answer.judged_at, reverse=True)


async def answers_of(state: IndexState, queries: Sequence[LoggedQuery]) -> list[AuditedAnswer]:
    """Answers to queries, with the labels that their items have now. Those whose item is gone are left out."""
    given = [query for query in queries if query.nearest is not None and query.confidence is not None]
    points = {query.nearest.id: state.point_id(query.nearest.id) for query in given if query.nearest is not None}
    features = await _features(state, list(points.values()), [LABEL_KEY, SET_ASIDE_KEY])
    answers = []
    for query, confidence in zip(given, _confidences(given, state.calibration), strict=True):
        assert query.nearest is not None  # noqa: S101  looked at above
        found = features.get(points[query.nearest.id])
        if found is None or found.get("set_aside"):
            continue
        answers.append(
            AuditedAnswer(
                query_id=query.id,
                query=query.text,
                count=query.sampled,
                item=query.nearest.id,
                label=found.get("label"),
                text="",
                confidence=confidence,
                judgement=query.judgement,
                turn=query.judgement_turn,
            )
        )
    return answers


def _confidences(queries: Sequence[LoggedQuery], calibration: Calibration | None) -> list[float]:
    """Confidences for the present share of unanswerable queries; as they were logged where nothing else is known."""
    confidences = [query.confidence or 0.0 for query in queries]
    if calibration is None:
        return confidences
    known = [
        (i, query.evidence)
        for i, query in enumerate(queries)
        if query.evidence is not None and query.calibration == calibration.key
    ]
    if known:
        answerable, right = np.array([pair for _, pair in known], dtype=np.float64).T
        present = calibration.confidences(AnswerEvidence(answerable, right)).tolist()
        for (i, _), confidence in zip(known, present, strict=True):
            confidences[i] = confidence
    return confidences


async def with_texts(state: IndexState, answers: Sequence[AuditedAnswer]) -> tuple[AuditedAnswer, ...]:
    """Answers with the texts of their items as they are now."""
    points = [state.point_id(answer.item) for answer in answers]
    features = await _features(state, points, [TEXT_KEY])
    return tuple(
        replace(answer, text=str(features.get(point, {}).get("text", "")))
        for answer, point in zip(answers, points, strict=True)
    )


async def _features(
    state: IndexState, points: Sequence[int | str], keys: Sequence[str]
) -> dict[int | str, dict[str, Any]]:
    """Our part of the payloads of points that are there."""
    found: dict[int | str, dict[str, Any]] = {}
    for page in pages(list(dict.fromkeys(points)), _PAGE):
        records = await state.engine.retrieve(
            state.collection, page, with_payload=[*keys, HASH_KEY], tenant=state.chosen_tenant
        )
        found |= {id_of(record): features_of(record) for record in records}
    return found

"""Queries whose answer is known: whether the top hit is right, and what an index learns from it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.ids import UserId
from fg_search.index.calibration import Calibration, RelevantBy, calibrate
from fg_search.index.collections import physical_collection
from fg_search.index.query_vectors import Queries, Query, encode_queries
from fg_search.index.search import evidence, ranking
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import Hit
from fg_search.index.state import IndexState
from fg_search.layout.keys import CALIBRATION_KEY, LABEL_KEY
from fg_search.model.embeddings import FeatureEmbeddings

Relevant: TypeAlias = UserId | Collection[UserId] | None

_MOST_ASKED = 1000  # relevant values looked up to tell labels from ids


@dataclass(frozen=True)
class Judged:
    """The top hits of n queries, judged.

    Attributes:
        relevant_by: Whether they were judged by label or by id.
        correct: ``(n,)`` booleans, false where nothing was found.
        in_scope: ``(n,)`` booleans, whether there is a right answer.
        has_hit: ``(n,)`` booleans, whether anything was found.
        score: ``(n,)`` of the top hit, 0 where nothing was found.
        query_confidence: ``(n,)``.
        features: Numbers about the ``has_hit.sum()`` results that there are, by name.
        wanted: The right label or id, ``None`` where there is none or more than one.
        found: That of the top hit, ``None`` where it has none or nothing was found.
    """

    relevant_by: RelevantBy
    correct: npt.NDArray[np.bool_]
    in_scope: npt.NDArray[np.bool_]
    has_hit: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float64]
    query_confidence: npt.NDArray[np.float64]
    features: dict[str, npt.NDArray[np.float64]]
    wanted: Sequence[UserId | None]
    found: Sequence[UserId | None]


async def judge(
    state: IndexState,
    queries: Queries,
    relevant: Sequence[Relevant],
    relevant_by: Literal["auto", "label", "id"],
    options: SearchOptions,
) -> Judged:
    """Search for queries whose answer is known.

    Args:
        state: The index.
        queries: Encoded.
        relevant: For each query the label or id of a right answer, several of them, or ``None`` if there is none.
        relevant_by: What these are; ``"auto"`` finds out.
        options: Of the search.

    Raises:
        ValueError: If there are more or fewer answers than queries, or it cannot be told what they are.
    """
    if relevant_by not in ("auto", "label", "id"):
        raise ValueError(f"relevant_by must be one of 'auto', 'label', 'id', got {relevant_by!r}")
    if isinstance(relevant, str) or len(relevant) != len(queries.texts):
        given = "one string" if isinstance(relevant, str) else f"{len(relevant)} items"
        raise ValueError(f"relevant has {given}, queries has {len(queries.texts)}; give one for each query")
    answers = [_answers(one, i) for i, one in enumerate(relevant)]
    kind = (await _relevant_by(state, answers)) if relevant_by == "auto" else relevant_by
    hits, features = await evidence(state, queries, options, kind)
    found = [_answer(one[0], kind) if one else None for one in hits]
    return Judged(
        relevant_by=kind,
        correct=np.array([one in right for one, right in zip(found, answers, strict=True)], dtype=bool),
        in_scope=np.array([bool(right) for right in answers], dtype=bool),
        has_hit=np.array([bool(one) for one in hits], dtype=bool),
        score=np.array([one[0].weighted_score if one else 0.0 for one in hits], dtype=np.float64),
        query_confidence=np.array([query.confidence for query in queries.vectors], dtype=np.float64),
        features=features,
        wanted=[next(iter(right)) if len(right) == 1 else None for right in answers],
        found=found,
    )


async def calibrate_on(
    state: IndexState,
    queries: Sequence[Query],
    relevant: Sequence[Relevant],
    relevant_by: Literal["auto", "label", "id"],
    options: SearchOptions,
    embeddings: FeatureEmbeddings | None,
    *,
    seed: int,
    batch_size: int,
    show_progress: bool | None,
) -> Calibration:
    """Encode, search, judge, learn."""
    encoded = await encode_queries(state, queries, embeddings, batch_size=batch_size, show_progress=show_progress)
    judged = await judge(state, encoded, relevant, relevant_by, options)
    return await learn(state, judged, options, seed)


async def learn(state: IndexState, judged: Judged, options: SearchOptions, seed: int) -> Calibration:
    """Calibrate on judged queries, and keep what was learned with the index."""
    points = await state.engine.count(state.collection)

    def work() -> Calibration:
        return calibrate(
            judged.features,
            judged.correct[judged.has_hit],
            seed=seed,
            fingerprint=state.metadata.fingerprint,
            relevant_by=judged.relevant_by,
            rank_by=ranking(state, options.rank_by),
            min_confidence=options.min_confidence,
            confidence_weight=options.confidence_weight,
            points=points,
        )

    calibration = await state.engine.work(work)
    physical = await physical_collection(state.engine, state.collection)
    await state.engine.update_collection(physical, metadata={CALIBRATION_KEY: calibration.to_metadata()})
    return calibration


def _answers(relevant: Relevant, position: int) -> frozenset[UserId]:
    if relevant is None:
        return frozenset()
    if isinstance(relevant, (str, int)):
        return frozenset([relevant])
    if not isinstance(relevant, Collection):
        raise TypeError(f"relevant[{position}] is {type(relevant).__name__}; give a label, an id, or a list of them")
    return frozenset(relevant)


def _answer(hit: Hit, relevant_by: RelevantBy) -> UserId | None:
    return hit.label if relevant_by == "label" else hit.id


async def _relevant_by(state: IndexState, answers: Sequence[frozenset[UserId]]) -> RelevantBy:
    """Whether these are labels or ids of the index.

    Raises:
        ValueError: If they could be both, or are neither.
    """
    values = sorted({value for right in answers for value in right}, key=str)[:_MOST_ASKED]
    if not values:
        raise ValueError("relevant is None for all queries; some must have a right answer")
    names = [value for value in values if isinstance(value, str)]
    has_label = models.FieldCondition(key=LABEL_KEY, match=models.MatchAny(any=names))
    labelled = 0
    if names:
        labelled = await state.engine.count(state.collection, state.scope(has_label))
    records = await state.engine.retrieve(
        state.collection, [state.point_id(value) for value in values], with_payload=False
    )
    if labelled and records:
        raise ValueError(
            f"some of the relevant values, such as {values[0]!r}, are labels and ids of {state.name}; "
            "say which is meant: relevant_by='label' or relevant_by='id'"
        )
    if not labelled and not records:
        raise ValueError(f"none of the relevant values, such as {values[0]!r}, is a label or an id of {state.name}")
    return "label" if labelled else "id"

"""Relevance judgments: queries whose answer is known tell whether top hits are right, and calibrate the index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.confidence.group_promise import JudgedGroups
from fg_search.confidence.result_features import EVIDENCE_HITS
from fg_search.engine.answers import is_not_found
from fg_search.ids import UserId, plain_id
from fg_search.index.calibration import Calibration, RelevantBy, calibrate
from fg_search.index.label_choices import right_label_weights
from fg_search.index.labels import hint, ids_in_other_form, log_hint
from fg_search.index.quality_history import QualityEntry, noted
from fg_search.index.query_vectors import Queries, Query
from fg_search.index.result_evidence import evidence
from fg_search.index.retrieval import uncalibrated_ranking
from fg_search.index.rights import IndexMovedError
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import Hit
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.keys import LABEL_KEY
from fg_search.model.learned_texts import LearnedTexts
from fg_search.validation import check_list, is_missing, is_number, native

Relevant: TypeAlias = UserId | Collection[UserId] | None

_MOST_REMEMBERED = 10_000  # judged queries whose hashes are kept
_MAX_LOOKED_UP = 1000  # relevant values looked up to tell labels from ids


@dataclass(frozen=True)
class JudgedQueries:
    """The n queries of a set with known answers, their top hits judged.

    Attributes:
        relevant_by: ``"label"`` or ``"id"``, by which hits were judged.
        correct: ``(n,)`` booleans, whether a hit that counts is right: the top hit, or one of the first few.
        in_scope: ``(n,)`` booleans, whether the index has a right answer.
        has_hit: ``(n,)`` booleans, whether there is a hit.
        score: ``(n,)`` float64 score of the top hit, 0 where there is no hit.
        query_confidence: ``(n,)`` float64 answerability of the queries, in [0, 1].
        features: ``(has_hit.sum(),)`` float64 features of the top hits by name, see
            :func:`fg_search.confidence.result_features`.
        wanted: ``(n,)`` right labels or ids, ``None`` where there is none or more than one.
        found: ``(n,)`` labels or ids of the top hits, ``None`` where there is no hit or the top hit has no label.
        top: ``(n,)`` top hits, ``None`` where there is none.
        right_label: ``(n,)`` float32 weight of the right label, NaN where there is none, see
            :func:`fg_search.index.label_choices.right_label_weights`; ``None`` if it was not asked for, or not found.
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
    top: Sequence[Hit | None]
    right_label: npt.NDArray[np.float32] | None = None

    @property
    def labels(self) -> list[str | None]:
        """``(n,)`` labels of the top hits."""
        return [None if hit is None else hit.label for hit in self.top]


def in_pairs(queries: Sequence[Query], relevant: Sequence[Relevant]) -> tuple[list[Query], list[Relevant]]:
    """Queries and what is right for each, as two lists: columns of a data frame are looked up by their index.

    Raises:
        TypeError: If one of them is no list.
        ValueError: If their numbers differ.
    """
    check_list(queries, "queries", ordered=True)
    if not isinstance(relevant, str):
        check_list(relevant, "relevant", ordered=True)
    asked, right = [native(query) for query in queries], list(relevant)
    if isinstance(relevant, str) or len(right) != len(asked):
        given = "one string" if isinstance(relevant, str) else f"{len(right)} items"
        raise ValueError(f"relevant has {given}, queries has {len(asked)}; give one for each query")
    return asked, right


async def judge(
    state: IndexState,
    queries: Queries,
    relevant: Sequence[Relevant],
    relevant_by: Literal["auto", "label", "id"],
    options: SearchOptions,
    *,
    within: int = 1,
    with_labels: bool = False,
) -> JudgedQueries:
    """Search for queries whose answer is known, and judge their hits.

    Args:
        state: The index.
        queries: Encoded queries.
        relevant: For each query the label or id of a right answer, several of them, or ``None`` if the index has none.
        relevant_by: Whether these are labels or ids. ``"auto"`` asks the index.
        options: Options of the search.
        within: A result is right if one of its first ``within`` hits is, at most ten.
        with_labels: Whether to find out how probable the right labels are.

    Raises:
        ValueError: If the answers could be both labels and ids, or neither.
    """
    if relevant_by not in ("auto", "label", "id"):
        raise ValueError(f"relevant_by must be one of 'auto', 'label', 'id', got {relevant_by!r}")
    if not is_number(within) or within != int(within) or not 1 <= within <= EVIDENCE_HITS:
        raise ValueError(f"relevant_within must be a whole number from 1 to {EVIDENCE_HITS}, got {within!r}")
    answers = [_answers(values, i) for i, values in enumerate(relevant)]
    kind = (await _relevant_by(state, answers)) if relevant_by == "auto" else relevant_by
    if relevant_by == "id":
        await _hint_at_ids(state, answers)
    if kind == "label":
        answers = [frozenset(map(_as_label, right)) for right in answers]
    found, features = await evidence(state, queries, options, kind)
    right_label = None
    if with_labels and kind == "label":
        right_label = await right_label_weights(state, queries.vectors, found, answers)
    top = [hits[0] if hits else None for hits in found]
    return JudgedQueries(
        relevant_by=kind,
        correct=np.array(
            [
                any(_answer(hit, kind) in right for hit in hits[:within])
                for hits, right in zip(found, answers, strict=True)
            ],
            dtype=bool,
        ),
        in_scope=np.array([bool(right) for right in answers], dtype=bool),
        has_hit=np.array([bool(hits) for hits in found], dtype=bool),
        score=np.array([hits[0].ranking_score if hits else 0.0 for hits in found], dtype=np.float64),
        query_confidence=np.array([query.answerability for query in queries.vectors], dtype=np.float64),
        features=features,
        wanted=[next(iter(right)) if len(right) == 1 else None for right in answers],
        found=[None if hit is None else _answer(hit, kind) for hit in top],
        top=top,
        right_label=right_label,
    )


async def learn(
    state: IndexState,
    judged: JudgedQueries,
    options: SearchOptions,
    seed: int,
    *,
    within: int = 1,
    groups: JudgedGroups | None = None,
    texts: Sequence[str] = (),
    reviewer: str,
) -> Calibration:
    """Calibrate on judged queries, whose texts are remembered, and keep the calibration with the index."""
    about = {**await described(state, options), "relevant_by": judged.relevant_by, "relevant_within": within}
    about["judged_texts"] = LearnedTexts.of(texts[:_MOST_REMEMBERED]) if texts else None

    def work() -> Calibration:
        return calibrate(
            judged.features,
            judged.correct[judged.has_hit],
            judged.in_scope[judged.has_hit],
            groups=None if groups is None else groups[judged.has_hit],
            right_label=None if judged.right_label is None else judged.right_label[judged.has_hit],
            seed=seed,
            **about,
        )

    calibration = await state.engine.work(work)
    await keep_calibration(state, calibration, reviewer)
    return calibration


async def described(state: IndexState, options: SearchOptions) -> dict[str, Any]:
    """What a calibration says of the index and of the searches that it is for."""
    return {
        "fingerprint": state.metadata.fingerprint,
        "points": await state.engine.count(state.collection),
        "rank_by": uncalibrated_ranking(state, options.rank_by),
        "min_confidence": options.min_confidence,
        "confidence_weight": options.confidence_weight,
        "min_familiarity": options.min_familiarity,
        "familiarity_weight": options.familiarity_weight,
    }


async def kept_calibration(state: IndexState) -> Calibration | None:
    """The calibration that is kept with the index now; ``None`` if there is none, or of another encoder."""
    info = await state.engine.get_collection(state.collection)
    return Calibration.of_metadata(info.config.metadata, state.metadata.fingerprint)


async def keep_calibration(state: IndexState, calibration: Calibration, reviewer: str) -> None:
    """Keep a calibration with the index, and note it in the history."""
    entry = await state.engine.work(lambda: QualityEntry.of_calibration(calibration, reviewer))
    await keep(state, {**calibration.to_metadata(), **await noted(state, entry)})


async def keep(state: IndexState, metadata: dict[str, Any]) -> None:
    """Keep metadata with the index, where everybody who opens it finds them."""
    try:
        await state.engine.update_collection(state.points, metadata=metadata)
        await acknowledge(state, [])
    except Exception as error:
        if isinstance(error, IndexMovedError) or is_not_found(error):
            raise state.was_re_encoded() from error
        raise


def _answers(relevant: Relevant, position: int) -> frozenset[UserId]:
    relevant = native(relevant)
    if is_missing(relevant):
        return frozenset()
    several = isinstance(relevant, Collection) and not isinstance(relevant, (str, bytes, Mapping))
    try:
        return frozenset(map(_answer_of, relevant if several else [relevant]))  # type: ignore[arg-type]  # checked
    except TypeError:
        raise TypeError(
            f"relevant[{position}] is {type(relevant).__name__}; give a label, an id, or a list of them"
        ) from None


def _answer_of(value: Any) -> UserId:
    # data frames make floats of integers beside missing values
    return int(value) if isinstance(value, float) and value.is_integer() else plain_id(value)


def _as_label(answer: UserId) -> str:
    """A whole number is a label by its digits, as in the files that are indexed."""
    return answer if isinstance(answer, str) else str(answer)


def _answer(hit: Hit, relevant_by: RelevantBy) -> UserId | None:
    return hit.label if relevant_by == "label" else hit.id


async def _hint_at_ids(state: IndexState, answers: Sequence[frozenset[UserId]]) -> None:
    """Log right answers that the index has as another type. No hit would be right, and nobody would know why."""
    values = list(dict.fromkeys(value for right in answers for value in right))[:_MAX_LOOKED_UP]
    points = {value: state.point_id(value) for value in values}
    records = await state.engine.retrieve(
        state.collection, list(points.values()), with_payload=False, tenant=state.chosen_tenant
    )
    there = {record.id for record in records}
    await log_hint(state, [value for value, point in points.items() if point not in there], points)


async def _relevant_by(state: IndexState, answers: Sequence[frozenset[UserId]]) -> RelevantBy:
    """Find out whether answers are labels or ids of the index.

    Raises:
        ValueError: If they could be both, or are neither.
    """
    values = sorted({value for right in answers for value in right}, key=str)[:_MAX_LOOKED_UP]
    if not values:
        raise ValueError("relevant is None for all queries; some must have a right answer")
    records = await state.engine.retrieve(
        state.collection,
        [state.point_id(value) for value in values],
        with_payload=False,
        tenant=state.chosen_tenant,
    )
    # numbers that are ids are meant as ids
    names = [_as_label(value) for value in values if isinstance(value, str) or not records]
    has_label = models.FieldCondition(key=LABEL_KEY, match=models.MatchAny(any=names))
    labelled = 0
    if names:
        labelled = await state.engine.count(state.collection, state.scope(has_label))
    if labelled and records:
        raise ValueError(
            f"some of the relevant values, such as {values[0]!r}, are labels and ids of {state.name}; "
            "say which is meant: relevant_by='label' or relevant_by='id'"
        )
    if not labelled and not records:
        meant = hint(await ids_in_other_form(state, values))
        raise ValueError(
            f"none of the relevant values, such as {values[0]!r}, is a label or an id of {state.name}{meant}"
        )
    return "label" if labelled else "id"

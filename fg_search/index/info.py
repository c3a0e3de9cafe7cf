"""Counts and identity of an index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qdrant_client import models

from fg_search.index.scores import unscored_labels
from fg_search.index.set_aside import SET_ASIDE
from fg_search.index.state import IndexState
from fg_search.layout.conditions import is_present
from fg_search.layout.keys import CONFIDENCE_KEY, GIVEN_LABEL_KEY, LABEL_KEY
from fg_search.layout.schema import IndexMetadata

_HISTOGRAM_BINS = 10


@dataclass(frozen=True)
class CalibrationInfo:
    """Summary of a calibration.

    Attributes:
        queries: Number of judged queries.
        relevant_by: ``"label"`` or ``"id"``, by which hits were judged.
        search: Options of the searches it holds for, in words.
        points: Number of points in the index at that time.
    """

    queries: int
    relevant_by: str
    search: str
    points: int


@dataclass(frozen=True)
class IndexInfo:
    """Contents of an index.

    Attributes:
        location: Folder, URL, or class of the client.
        collection: Name of the index.
        tenant: Tenant whose items were counted, ``None`` in an index without tenants.
        points: Number of points.
        labelled: Number of points that have a label.
        corrected: Number of points whose label a person corrected.
        set_aside: Number of points that are not found until somebody decides about them.
        unscored: Number of labelled points that :meth:`ConfidenceIndex.score_labels` did not score when it last ran,
            because their label had too few examples to judge.
        metadata: Identity of the encoder, and the layout.
        calibration: Summary of the calibration, ``None`` if there is none.
        confidence_histogram: Number of points with a confidence in each tenth of [0, 1].
    """

    location: str
    collection: str
    tenant: str | None
    points: int
    labelled: int
    corrected: int
    set_aside: int
    unscored: int
    metadata: IndexMetadata
    calibration: CalibrationInfo | None
    confidence_histogram: tuple[int, ...]


async def describe_index(state: IndexState) -> IndexInfo:
    """Count the items and describe the index. All numbers come from the engine."""
    calibration = state.calibration
    histogram = []
    for bounds in _bins():
        histogram.append(await _count(state, models.FieldCondition(key=CONFIDENCE_KEY, range=bounds)))
    return IndexInfo(
        location=state.location,
        collection=state.collection,
        tenant=state.chosen_tenant,
        points=(await _count(state)),
        labelled=(await _count(state, is_present(LABEL_KEY))),
        corrected=(await _count(state, is_present(GIVEN_LABEL_KEY))),
        set_aside=0 if state.metadata.set_aside is None else (await _count(state, SET_ASIDE)),
        unscored=(await unscored_labels(state)),
        metadata=state.metadata,
        calibration=None
        if calibration is None
        else CalibrationInfo(
            calibration.queries, calibration.relevant_by, calibration.describe_search(), calibration.points
        ),
        confidence_histogram=tuple(histogram),
    )


async def count(state: IndexState) -> int:
    """Number of items."""
    return await _count(state)


async def count_all(state: IndexState) -> int:
    """Number of items, across all tenants unless one is selected."""
    return await state.engine.count(state.collection, state.scope_of_all())


async def _count(state: IndexState, *conditions: models.Condition) -> int:
    return await state.engine.count(state.collection, state.scope(*conditions))


def _bins() -> Iterator[models.Range]:
    for i in range(_HISTOGRAM_BINS - 1):
        yield models.Range(gte=i / _HISTOGRAM_BINS, lt=(i + 1) / _HISTOGRAM_BINS)
    yield models.Range(gte=1 - 1 / _HISTOGRAM_BINS, lte=1.0)
